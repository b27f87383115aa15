"""Every envelope of our bundles, read by securesystemslib (DSSE) and in_toto_attestation (Statement v1)."""

import copy
import json
import os
import unittest
from pathlib import Path

import in_toto_attestation.v1.statement_pb2 as statement_pb2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

ARTEFACTS = Path(os.environ["POA_INTEROP_ARTEFACTS"])
KEYS = json.loads((ARTEFACTS / "keys.json").read_text())["signers"]
PAYLOAD_TYPE = "application/vnd.in-toto+json"
# Statements of two receipts, their key event and their agent's version.
ENVELOPES = 15
# Bits between two flips. Coprime to 8, so that all places of a byte are met.
STEP = 5


def keys() -> list[SSlibKey]:
    """Our signers' keys. Their ids are did:keys: to a DSSE verifier a key id is any text."""
    return [SSlibKey(key["keyid"], "ed25519", "ed25519", {"public": key["publicKey"]}) for key in KEYS]


def verified(envelope: dict) -> tuple[bytes, str, list[str]]:
    """The payload, its type and who signed it."""
    opened = Envelope.from_dict(copy.deepcopy(envelope))
    signers = opened.verify(keys(), 1)
    return opened.payload, opened.payload_type, sorted(signers)


def statement(payload: bytes) -> Statement:
    """The payload as an in-toto Statement v1: unknown fields, wrong types and missing subjects are errors."""
    read = Statement.copy_from_pb(json_format.Parse(payload, statement_pb2.Statement()))
    read.validate()
    return read


def files() -> dict[str, dict]:
    return {path.stem: json.loads(path.read_bytes()) for path in sorted((ARTEFACTS / "envelopes").iterdir())}


class Envelopes(unittest.TestCase):
    def test_securesystemslib_verifies_every_envelope_by_the_signer_that_stands_inside(self):
        self.assertEqual(len(files()), ENVELOPES)
        for name, envelope in files().items():
            with self.subTest(name):
                payload, payload_type, signers = verified(envelope)
                self.assertEqual(payload_type, PAYLOAD_TYPE)
                self.assertEqual([json.loads(payload)["predicate"]["signer"]], signers)

    def test_the_envelopes_of_the_bundles_are_these(self):
        loose = [json.dumps(envelope, sort_keys=True) for envelope in files().values()]
        count = 0
        for path in (ARTEFACTS / "bundles").iterdir():
            bundle = json.loads(path.read_bytes())
            for entry in [*bundle["entries"], *bundle["keyEvents"], bundle["agentVersion"]]:
                verified(entry["envelope"])
                self.assertIn(json.dumps(entry["envelope"], sort_keys=True), loose)
                count += 1
        self.assertEqual(count, ENVELOPES + 2, "both bundles carry the key event and the version")

    def test_in_toto_reads_every_statement_and_loses_nothing(self):
        for name, envelope in files().items():
            with self.subTest(name):
                payload, _, _ = verified(envelope)
                read = json_format.MessageToDict(statement(payload).pb)
                # Numbers become doubles on the way: amounts, which are larger, are strings for this reason.
                self.assertEqual(read, json.loads(payload))

    def test_securesystemslib_signs_the_same_envelope(self):
        seeds = {key["keyid"]: bytes.fromhex(key["seed"]) for key in KEYS}
        for name, envelope in files().items():
            with self.subTest(name):
                payload, _, [keyid] = verified(envelope)
                public = next(key for key in keys() if key.keyid == keyid)
                signed = Envelope(payload, PAYLOAD_TYPE, {})
                signed.sign(CryptoSigner(Ed25519PrivateKey.from_private_bytes(seeds[keyid]), public))
                self.assertEqual(signed.to_dict(), envelope)

    def test_an_envelope_is_refused_without_its_signers_key(self):
        for name, envelope in files().items():
            _, _, [keyid] = verified(envelope)
            others = [key for key in keys() if key.keyid != keyid]
            with self.subTest(name), self.assertRaises(VerificationError):
                Envelope.from_dict(copy.deepcopy(envelope)).verify(others, 1)

    def test_a_flipped_bit_is_refused_or_changes_nothing(self):
        for path in sorted((ARTEFACTS / "envelopes").iterdir()):
            genuine, data = verified(json.loads(path.read_bytes())), path.read_bytes()
            refused = flipped = 0
            for bit in range(0, len(data) * 8, STEP):
                changed = bytearray(data)
                changed[bit // 8] ^= 1 << (bit % 8)
                flipped += 1
                try:
                    found = verified(json.loads(bytes(changed)))
                except Exception:  # Whatever it raises is a refusal: JSON, base 64, keys missing, signatures.
                    refused += 1
                else:
                    self.assertEqual(found, genuine, f"{path.stem}: bit {bit}")
            self.assertGreaterEqual(refused, flipped * 0.97, path.stem)

    def test_what_is_no_statement_is_refused(self):
        payload, _, _ = verified(files()["paid-2"])
        edits = {
            "another type": lambda it: it.update(_type="https://in-toto.io/Statement/v0.1"),
            "no subject": lambda it: it.update(subject=[]),
            "no digest": lambda it: it["subject"][0].pop("digest"),
            "no predicate type": lambda it: it.pop("predicateType"),
            "no predicate": lambda it: it.pop("predicate"),
            "an unknown field": lambda it: it.update(more=1),
        }
        for name, edit in edits.items():
            changed = json.loads(payload)
            edit(changed)
            with self.subTest(name), self.assertRaises((ValueError, json_format.ParseError)):
                statement(json.dumps(changed).encode())


if __name__ == "__main__":
    unittest.main()

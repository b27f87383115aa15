// The built package, in Node.js: `make wasm` writes what is read here and runs it.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { VerifyError, digestOfStatement, trustRootDigest, verify, verifyBalance } from "../pkg/node.js";

const ARTEFACTS = process.env.POA_INTEROP_ARTEFACTS;
const VECTORS = new URL("../../../tests/vectors/", import.meta.url);
// When the artefacts and the vectors were made.
const time = "2026-01-02T03:04:05Z";

const artefact = (name) => readFileSync(`${ARTEFACTS}/${name}`);
const vector = (name) => readFileSync(new URL(name, VECTORS));
const trustRoot = artefact("trust-root.json");
const paid = artefact("bundles/paid.json");
const refused = (run, code) =>
  assert.throws(run, (error) => error instanceof VerifyError && error.code === code && error.message !== "");

test("a paid receipt says who was paid what, from bytes and from text", () => {
  const verified = verify(paid, trustRoot, { time, requirePaid: true, network: "simulated", minLogSize: 700 });
  assert.deepEqual(verified.outcome.paid, {
    amountMsat: "100999",
    feeMsat: "5049",
    payeeNetMsat: "95950",
    time: "2026-01-02T03:04:05.678901Z",
  });
  assert.equal(verified.asOfSize, 700);
  assert.equal(verified.witnesses, 1);
  assert.equal(verified.requester, "platform");
  assert.deepEqual(verified.agentKeyState, { state: "active" });
  assert.equal(verified.trustRoot, trustRootDigest(trustRoot));
  assert.ok(verified.checks.every(({ name, finding }) => name !== "" && finding !== ""));
  assert.deepEqual(verify(paid.toString(), trustRoot.toString(), { time, minLogSize: 700n }), verified);
});

test("a split receipt was decided by the arbiter of the trust root", () => {
  const verified = verify(artefact("bundles/disputed.json"), trustRoot, { time });
  assert.equal(verified.outcome.split.payeeNetMsat, "38011");
  assert.equal(verified.decision.kind, "verdict");
  assert.match(verified.requester.selfSigned, /^did:key:z6Mk/);
  refused(() => verify(artefact("bundles/disputed.json"), trustRoot, { time, requirePaid: true }), "notPaid");
});

test("what is demanded beyond a genuine receipt is held against it", () => {
  refused(() => verify(paid, trustRoot, { time, network: "mainnet" }), "network");
  refused(() => verify(paid, trustRoot, { time, minLogSize: 701 }), "logShrank");
  refused(() => verify(paid, trustRoot, { time, minLevel: "L3" }), "level");
  assert.equal(verify(paid, trustRoot, { time, minLevel: "L0", reproducedBuild: "00".repeat(32) }).level, "L0");
});

test("a trust root that has expired, is none, or is another one is refused", () => {
  const rewritten = (edit) => {
    const root = JSON.parse(vector("liabilities/trust-root.json"));
    edit(root);
    return JSON.stringify(root);
  };
  const expired = rewritten((root) => (root.expires = "2026-01-02T03:04:05Z"));
  refused(() => verify(paid, expired, { time }), "trustRootExpired");
  // A receipt with an arbiter's verdict, and a trust root without one.
  refused(() => verify(artefact("bundles/disputed.json"), rewritten(() => {}), { time }), "chain");
  // Now is after the artefacts' time, and this trust root has no end.
  assert.ok(verify(paid, trustRoot).outcome.paid);
  assert.equal(verify(paid, expired, { time: new Date(0) }).trustRoot, trustRootDigest(expired));
  refused(() => verify(paid, "{}", { time }), "trustRootMalformed");
  refused(() => verify(paid, rewritten((root) => (root.version = 2)), { time }), "trustRootUnknownVersion");
});

test("what is no receipt, no options or no time is refused by its name", () => {
  refused(() => verify("", trustRoot, { time }), "malformed");
  refused(() => verify("[".repeat(100_000), trustRoot, { time }), "malformed");
  refused(() => verify(new Uint8Array(9 * 1024 * 1024), trustRoot, { time }), "tooLarge");
  refused(() => verify(paid.toString().replace('"version":1', '"version":2'), trustRoot, { time }), "unknownVersion");
  refused(() => verify(paid, trustRoot, { time, requirepaid: true }), "options");
  refused(() => verify(paid, trustRoot, { time, network: "testnet" }), "options");
  refused(() => verify(paid, trustRoot, { time, minLevel: "L4" }), "options");
  refused(() => verify(paid, trustRoot, { time, minLogSize: -1 }), "options");
  refused(() => verify(paid, trustRoot, { time: "yesterday" }), "options");
  refused(() => verify(paid, trustRoot, { time: 8.64e15 }), "options");
  assert.throws(() => verify(undefined, trustRoot, { time }), TypeError);
  assert.throws(() => verify(JSON.parse(paid), trustRoot, { time }), TypeError);
});

test("a flipped bit is refused or changes nothing", () => {
  const genuine = verify(paid, trustRoot, { time });
  let [flipped, refusals] = [0, 0];
  // Coprime to 8, so that all places of a byte are met.
  for (let bit = 0; bit < paid.length * 8; bit += 97) {
    const changed = Uint8Array.from(paid);
    changed[bit >> 3] ^= 1 << (bit & 7);
    flipped += 1;
    try {
      assert.deepEqual(verify(changed, trustRoot, { time }), genuine, `bit ${bit}`);
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      refusals += 1;
    }
  }
  assert.ok(refusals >= flipped * 0.99, `${refusals} of ${flipped}`);
});

test("the digest of a statement is the one by which its successor names it", () => {
  const payload = (place) => Buffer.from(JSON.parse(paid).entries[place].envelope.payload, "base64");
  const named = JSON.parse(payload(1)).predicate.predecessor;
  assert.equal(digestOfStatement(payload(0)), named);
  assert.equal(verify(paid, trustRoot, { time }).terms, named);
});

for (const kind of ["liabilities"]) {
  const { vectors, trustRoot: root } = JSON.parse(vector(`${kind}/index.json`));
  for (const { file, expected } of vectors) {
    test(`${kind}/${file} is judged as the index says`, () => {
      const judge = () => verifyBalance(vector(`${kind}/${file}`), vector(`${kind}/${root}`), { time });
      if (expected.error !== undefined) return refused(judge, expected.error);
      const found = judge();
      assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, found[name]])), expected);
      assert.match(found.snapshotTime, /^2026-01-02T03:04:05/);
      refused(() => verifyBalance(vector(`${kind}/${file}`), vector(`${kind}/${root}`), { time, network: "mainnet" }), "network");
    });
  }
}

test("the package holds all that it says, and its types name all that it exports", async () => {
  const at = (name) => new URL(`../pkg/${name}`, import.meta.url);
  const manifest = JSON.parse(readFileSync(at("package.json")));
  for (const file of manifest.files) assert.ok(existsSync(at(file)), file);
  assert.match(readFileSync(new URL("../../../Cargo.toml", import.meta.url), "utf8"), new RegExp(`^version = "${manifest.version}"`, "m"));
  const types = readFileSync(at("index.d.ts"), "utf8");
  for (const name of Object.keys(await import("../pkg/node.js"))) {
    assert.match(types, new RegExp(`export (function|class) ${name}\\b`));
  }
});

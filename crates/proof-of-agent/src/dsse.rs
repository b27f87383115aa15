//! DSSE 1.0.2 envelopes around in-toto statements, signed with Ed25519.
//!
//! The signature covers the exact bytes of the payload, so nothing is canonicalised, and what was
//! verified is what is read. Source: <https://github.com/secure-systems-lab/dsse>.

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;
use crate::statement::{Statement, StatementError};

/// The payload type of every receipt statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Bytes of an envelope's JSON: a statement of the largest size in base 64, with room for signatures.
pub const MAX_ENVELOPE_BYTES: usize = 256 * 1024;
/// Signatures of one envelope. One counts; witnesses of other systems may add theirs.
pub const MAX_SIGNATURES: usize = 8;
/// Bytes of a key id: a `did:key` has 56, other systems' ids may be longer.
const MAX_KEY_ID_BYTES: usize = 256;

/// A payload and its signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    #[serde(with = "json::base64_bytes")]
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The signer's `did:key`, where it is one of ours.
    #[serde(default)]
    pub keyid: String,
    /// The signature over the PAE: 64 bytes of Ed25519, where it is one of ours.
    #[serde(with = "json::base64_bytes")]
    pub sig: Vec<u8>,
}

/// Why an envelope is not a signed statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`MAX_ENVELOPE_BYTES`].
    #[error("the envelope is larger than {MAX_ENVELOPE_BYTES} bytes")]
    TooLarge,
    /// Not the JSON of a DSSE envelope.
    #[error("the envelope is not a DSSE envelope: {0}")]
    Malformed(String),
    /// No signature, too many, or an overlong key id.
    #[error(
        "an envelope carries 1 to {MAX_SIGNATURES} signatures with key ids of at most {MAX_KEY_ID_BYTES} bytes"
    )]
    Signatures,
    /// The payload is something other than an in-toto statement.
    #[error("the payload type is not {PAYLOAD_TYPE}")]
    PayloadType,
    /// The payload is not one of our statements.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// None of the signatures names the signer that stands in the statement.
    #[error("no signature by the statement's signer {0}")]
    SignerMissing(DidKey),
    /// The signer's signature does not hold for these bytes.
    #[error("the signature by {0} does not hold for this statement")]
    BadSignature(DidKey),
    /// The key that was to sign is not the signer that the statement names.
    #[error("the statement names {0} as its signer, which is another key")]
    WrongKey(DidKey),
}

/// The bytes that a signature covers: `"DSSEv1" SP len(type) SP type SP len(payload) SP payload`.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut bytes = Vec::with_capacity(head.len().saturating_add(payload.len()));
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// SHA-256 of the PAE of a receipt statement: the name by which other statements refer to it. It covers
/// no signature, so it is known before anyone signs.
pub fn statement_digest(payload: &[u8]) -> Digest {
    Digest::of(&pae(PAYLOAD_TYPE, payload))
}

// === impl Envelope ===

impl Envelope {
    /// Signs a statement with the key of the signer that it names.
    pub fn sign(statement: &Statement, key: &SigningKey) -> Result<Self, EnvelopeError> {
        Self::sign_payload(statement.payload(), statement.context().signer, key)
    }

    /// Signs any in-toto statement with the key of the signer that it names.
    pub(crate) fn sign_payload(
        payload: &[u8],
        signer: DidKey,
        key: &SigningKey,
    ) -> Result<Self, EnvelopeError> {
        if DidKey::of(key) != signer {
            return Err(EnvelopeError::WrongKey(signer));
        }
        let signature = key.sign(&pae(PAYLOAD_TYPE, payload));
        Ok(Self::assemble(payload, signer, signature.to_bytes().to_vec()))
    }

    /// An envelope around a signature that was made elsewhere, such as in a hardware key, over
    /// [`Statement::pae`]. The signature is checked.
    pub fn with_signature(statement: &Statement, signature: &[u8; 64]) -> Result<Self, EnvelopeError> {
        let signer = statement.context().signer;
        if !signer.verifies(&statement.pae(), signature) {
            return Err(EnvelopeError::BadSignature(signer));
        }
        Ok(Self::assemble(statement.payload(), signer, signature.to_vec()))
    }

    fn assemble(payload: &[u8], signer: DidKey, sig: Vec<u8>) -> Self {
        Self {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: payload.to_vec(),
            signatures: vec![Signature { keyid: signer.to_string(), sig }],
        }
    }

    /// Reads an envelope. Nothing is verified yet: [`Envelope::open`] does that.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge);
        }
        let envelope: Self =
            json::from_file(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        envelope.check_limits()?;
        Ok(envelope)
    }

    /// The envelope's JSON, as `bytes` fields and databases carry it.
    #[expect(clippy::expect_used, reason = "strings and byte strings always serialise")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope holds strings and bytes alone")
    }

    /// Verifies the signature of the signer that the statement names, and returns the statement. Other
    /// signatures are ignored. It does not say whether that signer may be trusted: the chain does.
    pub fn open(&self) -> Result<Statement, EnvelopeError> {
        self.open_signed().map(|(statement, _)| statement)
    }

    /// The same, and the signature that holds: whoever needs both verifies it once. A broken one of the same signer beside it
    /// does no harm.
    pub fn open_signed(&self) -> Result<(Statement, &Signature), EnvelopeError> {
        self.check_type()?;
        let statement = Statement::parse(&self.payload)?;
        let signature = self.signature_by(statement.context().signer, &self.payload)?;
        Ok((statement, signature))
    }

    /// The same envelope with one signature alone: what a log stores, so that the signatures of others cannot make two
    /// versions of one envelope.
    #[must_use]
    pub fn with_one(&self, signature: Signature) -> Self {
        Self { signatures: vec![signature], ..self.clone() }
    }

    /// The exact bytes of the statement, unverified.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, unverified.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The digest of the statement inside. It does not depend on the signatures.
    pub fn digest(&self) -> Digest {
        statement_digest(&self.payload)
    }

    /// The signature of a signer that holds over a payload.
    pub(crate) fn signature_by(&self, signer: DidKey, payload: &[u8]) -> Result<&Signature, EnvelopeError> {
        let keyid = signer.to_string();
        let mut named = self.signatures.iter().filter(|signature| signature.keyid == keyid).peekable();
        named.peek().ok_or(EnvelopeError::SignerMissing(signer))?;
        let pae = pae(PAYLOAD_TYPE, payload);
        named
            .find(|signature| signer.verifies(&pae, &signature.sig))
            .ok_or(EnvelopeError::BadSignature(signer))
    }

    /// Whether it is an envelope around an in-toto statement.
    pub(crate) fn check_type(&self) -> Result<(), EnvelopeError> {
        self.check_limits()?;
        if self.payload_type == PAYLOAD_TYPE { Ok(()) } else { Err(EnvelopeError::PayloadType) }
    }

    fn check_limits(&self) -> Result<(), EnvelopeError> {
        let counted = (1..=MAX_SIGNATURES).contains(&self.signatures.len());
        let short = self.signatures.iter().all(|signature| signature.keyid.len() <= MAX_KEY_ID_BYTES);
        if counted && short { Ok(()) } else { Err(EnvelopeError::Signatures) }
    }
}

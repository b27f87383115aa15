//! What the log stores of a statement: digests alone, so that a log is public and receipts are not.

use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError};
use crate::statement::{Kind, Statement};

/// The version of the encoding.
const VERSION: u8 = 1;
/// Bytes of an encoded entry: version, kind, two digests, and the length of the reserved field.
pub const ENTRY_BYTES: usize = 1 + 1 + Digest::LENGTH + Digest::LENGTH + 2;

/// One leaf of the log.
///
/// `version (1 byte, 1) ‖ kind (1 byte) ‖ statement digest (32) ‖ signatures digest (32) ‖ length of the
/// public reputation fields (2 bytes, big-endian, 0 in this version)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The kind of the statement.
    pub kind: Kind,
    /// The digest of the statement: SHA-256 of its PAE.
    pub statement: Digest,
    /// SHA-256 over the required signers' public keys (32 bytes) and signatures (64 bytes), pair after pair in
    /// the order of the keys. In this version there is one required signer.
    pub signatures: Digest,
}

/// The bytes are not a log entry of a known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log entry of version {VERSION}")]
pub struct EntryError;

// === impl LogEntry ===

impl LogEntry {
    /// The entry of an envelope, whose signature is verified.
    pub fn of(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        Self::of_opened(envelope, &envelope.open()?)
    }

    /// The entry of an envelope that was opened already.
    pub(crate) fn of_opened(envelope: &Envelope, statement: &Statement) -> Result<Self, EnvelopeError> {
        let signature = envelope.signature_of(statement)?;
        let pair = (statement.context().signer, signature.sig.as_slice());
        Ok(Self {
            kind: statement.kind(),
            statement: statement.digest(),
            signatures: digest_of_pairs(&[pair]),
        })
    }

    /// The bytes of the leaf.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.kind.number();
        bytes[2..34].copy_from_slice(self.statement.as_bytes());
        bytes[34..66].copy_from_slice(self.signatures.as_bytes());
        bytes
    }

    /// Reads the bytes of a leaf.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let bytes: &[u8; ENTRY_BYTES] = bytes.try_into().map_err(|_| EntryError)?;
        let kind = Kind::from_number(bytes[1]).filter(|_| bytes[0] == VERSION && bytes[66..] == [0, 0]);
        Ok(Self {
            kind: kind.ok_or(EntryError)?,
            statement: Digest::try_from(&bytes[2..34]).map_err(|_| EntryError)?,
            signatures: Digest::try_from(&bytes[34..66]).map_err(|_| EntryError)?,
        })
    }

    /// The hash of the leaf.
    pub fn leaf_hash(&self) -> Digest {
        super::leaf_hash(&self.encode())
    }
}

fn digest_of_pairs(pairs: &[(DidKey, &[u8])]) -> Digest {
    let mut sorted: Vec<_> = pairs.iter().map(|(key, signature)| (key.as_bytes(), *signature)).collect();
    sorted.sort_unstable();
    let bytes: Vec<u8> = sorted
        .into_iter()
        .flat_map(|(key, signature)| [key.as_slice(), signature])
        .flatten()
        .copied()
        .collect();
    Digest::of(&bytes)
}

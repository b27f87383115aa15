//! What the log stores of a statement: digests alone, so that a log is public and receipts are not.

use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError, Signature};
use crate::statement::{Kind, Statement};

/// The version of the encoding.
const VERSION: u8 = 1;
/// Bytes of an encoded entry: version, kind, two digests, and the length of the reserved field.
pub const ENTRY_BYTES: usize = 1 + 1 + Digest::LENGTH + Digest::LENGTH + 2;

/// What kind of statement a leaf is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A statement of a task's receipt.
    Receipt(Kind),
    /// What the platform owes: see [`liabilities`](crate::liabilities).
    Liabilities,
}

/// One leaf of the log.
///
/// `version (1 byte, 1) ‖ kind (1 byte) ‖ statement digest (32) ‖ signatures digest (32) ‖ length of the
/// public reputation fields (2 bytes, big-endian, 0 in this version)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The kind of the statement.
    pub kind: EntryKind,
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

// === impl EntryKind ===

impl EntryKind {
    /// The number of liabilities: those of receipts are 1 to 6.
    const LIABILITIES: u8 = 7;

    /// The number that stands in a log entry.
    pub const fn number(self) -> u8 {
        match self {
            Self::Receipt(kind) => kind.number(),
            Self::Liabilities => Self::LIABILITIES,
        }
    }

    /// The kind of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        if number == Self::LIABILITIES {
            return Some(Self::Liabilities);
        }
        Kind::from_number(number).map(Self::Receipt)
    }
}

// === impl LogEntry ===

impl LogEntry {
    /// The entry of an envelope, whose signature is verified.
    pub fn of(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        Self::of_opened(envelope, &envelope.open()?)
    }

    /// The entry of an envelope that was opened already.
    pub(crate) fn of_opened(envelope: &Envelope, statement: &Statement) -> Result<Self, EnvelopeError> {
        let signature = envelope.signature_of(statement)?;
        let signer = statement.context().signer;
        Ok(Self::signed(EntryKind::Receipt(statement.kind()), statement.digest(), signer, signature))
    }

    /// The entry of a statement of what the platform owes, whose signature is verified.
    pub fn of_liabilities(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        let (signer, signature) = crate::liabilities::signature_of(envelope)?;
        Ok(Self::signed(EntryKind::Liabilities, envelope.digest(), signer, signature))
    }

    fn signed(kind: EntryKind, statement: Digest, signer: DidKey, signature: &Signature) -> Self {
        Self { kind, statement, signatures: digest_of_pairs(&[(signer, signature.sig.as_slice())]) }
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
        let kind = EntryKind::from_number(bytes[1]).filter(|_| bytes[0] == VERSION && bytes[66..] == [0, 0]);
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

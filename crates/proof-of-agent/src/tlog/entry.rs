//! What the log stores of a statement: digests, and the few fields that are public, so that a log is public and receipts
//! are not.

use super::Slot;
use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError, Signature};
use crate::notice::{Notice, NoticeStatement};
use crate::reputation::{RECORD_BYTES, Record};
use crate::statement::{Kind, Statement};

/// The version of the encoding.
const VERSION: u8 = 1;
/// Bytes of an encoded entry without a record: version, kind, three digests, and the length of the record.
const HEAD_BYTES: usize = 1 + 1 + 3 * Digest::LENGTH + 2;
/// The most bytes that an encoded entry has.
pub const MAX_ENTRY_BYTES: usize = HEAD_BYTES + RECORD_BYTES;

/// What kind of statement a leaf is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A statement of a task's receipt.
    Receipt(Kind),
    /// What the platform owes: see [`liabilities`](crate::liabilities).
    Liabilities,
    /// What became of an agent's key: see [`KeyEvent`](crate::notice::KeyEvent).
    KeyEvent,
    /// A build of an agent: see [`AgentVersion`](crate::notice::AgentVersion).
    AgentVersion,
}

/// One leaf of the log.
///
/// `version (1 byte, 1) ‖ kind (1 byte) ‖ statement digest (32) ‖ signatures digest (32) ‖ slot (32) ‖ length of the record
/// (2 bytes, big-endian) ‖ record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The kind of the statement.
    pub kind: EntryKind,
    /// The digest of the statement: SHA-256 of its PAE.
    pub statement: Digest,
    /// SHA-256 over the required signers' public keys (32 bytes) and signatures (64 bytes), pair after pair in
    /// the order of the keys. In this version there is one required signer.
    pub signatures: Digest,
    /// The place that the statement takes, and no other may.
    pub slot: Slot,
    /// What the statement means for an agent's reputation, where it means something.
    pub record: Option<Record>,
}

/// The bytes are not a log entry of a known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log entry of version {VERSION}")]
pub struct EntryError;

// === impl EntryKind ===

impl EntryKind {
    /// The kinds that belong to no task, and whose statements are public.
    pub const NOTICES: [Self; 3] = [Self::Liabilities, Self::KeyEvent, Self::AgentVersion];

    /// The number that stands in a log entry: those of receipts are 1 to 6.
    pub const fn number(self) -> u8 {
        match self {
            Self::Receipt(kind) => kind.number(),
            Self::Liabilities => 7,
            Self::KeyEvent => 8,
            Self::AgentVersion => 9,
        }
    }

    /// The kind of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        let notice = Self::NOTICES.into_iter().find(|kind| kind.number() == number);
        notice.or_else(|| Kind::from_number(number).map(Self::Receipt))
    }
}

// === impl LogEntry ===

impl LogEntry {
    /// The entry of a receipt's envelope, whose signature is verified, without a record.
    pub fn of(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        let (statement, signature) = envelope.open_signed()?;
        Ok(Self::of_signed(&statement, signature))
    }

    /// The entry of a statement and its signature, which are verified already: see [`Envelope::open_signed`].
    pub fn of_signed(statement: &Statement, signature: &Signature) -> Self {
        let signer = statement.context().signer;
        Self {
            kind: EntryKind::Receipt(statement.kind()),
            statement: statement.digest(),
            signatures: digest_of_pairs(&[(signer, signature.sig.as_slice())]),
            slot: statement.slot(),
            record: None,
        }
    }

    /// The entry of a notice's envelope, whose signature is verified.
    pub fn of_notice<N: Notice>(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        let (statement, signature) = NoticeStatement::<N>::open_signed(envelope)?;
        Ok(Self {
            kind: N::ENTRY,
            statement: statement.digest(),
            signatures: digest_of_pairs(&[(statement.signer(), signature.sig.as_slice())]),
            slot: statement.notice().slot(),
            record: None,
        })
    }

    /// The same entry with what the statement means for an agent's reputation.
    #[must_use]
    pub fn with_record(self, record: Option<Record>) -> Self {
        Self { record, ..self }
    }

    /// The bytes of the leaf.
    pub fn encode(&self) -> Vec<u8> {
        let record = self.record.map(|record| record.encode());
        let length = if record.is_some() { RECORD_LENGTH } else { 0 };
        let mut bytes = Vec::with_capacity(MAX_ENTRY_BYTES);
        bytes.extend_from_slice(&[VERSION, self.kind.number()]);
        for digest in [&self.statement, &self.signatures, self.slot.digest()] {
            bytes.extend_from_slice(digest.as_bytes());
        }
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend(record.into_iter().flatten());
        bytes
    }

    /// Reads the bytes of a leaf.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let (head, record) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(EntryError)?;
        let digest = |start: usize| {
            head.get(start..start + Digest::LENGTH)
                .and_then(|bytes| Digest::try_from(bytes).ok())
                .ok_or(EntryError)
        };
        let length = u16::from_be_bytes([head[HEAD_BYTES - 2], head[HEAD_BYTES - 1]]);
        if head[0] != VERSION || usize::from(length) != record.len() {
            return Err(EntryError);
        }
        let record = if record.is_empty() { None } else { Some(Record::decode(record).ok_or(EntryError)?) };
        Ok(Self {
            kind: EntryKind::from_number(head[1]).ok_or(EntryError)?,
            statement: digest(2)?,
            signatures: digest(34)?,
            slot: Slot::from_digest(digest(66)?),
            record,
        })
    }

    /// The hash of the leaf.
    pub fn leaf_hash(&self) -> Digest {
        super::leaf_hash(&self.encode())
    }
}

/// [`RECORD_BYTES`] as the entry writes it.
#[expect(clippy::as_conversions, reason = "a constant is converted in no other way, and this one fits")]
const RECORD_LENGTH: u16 = RECORD_BYTES as u16;

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

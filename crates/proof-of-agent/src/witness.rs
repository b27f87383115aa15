//! What a log asks of a witness, and what the witness answers: that it saw this checkpoint, and nothing before that disagrees.
//!
//! Source: <https://c2sp.org/tlog-witness>. Pure: whoever calls keeps what was cosigned, and stores it before it answers.

use crate::checkpoint::{Checkpoint, CheckpointError, decimal};
use crate::digest::Digest;
use crate::json;
use crate::note::{LogKey, NoteError};
use crate::tlog::{MAX_PROOF_HASHES, TlogError, empty_root, verify_consistency};

/// Bytes of a request: a proof and a note.
pub const MAX_REQUEST_BYTES: usize = 32 * 1024;

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness has cosigned before, as far as the log knows.
    pub old_size: u64,
    /// That the new tree begins with the old one.
    pub proof: Vec<Digest>,
    /// The log's signed checkpoint.
    pub note: String,
}

/// What a witness has cosigned last of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// Not a request of the documented form, or an old size above the new one.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// A log that the witness does not know.
    #[error("the log {0} is not known here")]
    UnknownLog(String),
    /// Not signed by a key of the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The witness has cosigned another size.
    #[error("the size that was cosigned last is {0}")]
    OldSize(u64),
    /// Another root at the size that was cosigned: the log has forked.
    #[error("the log has shown another root at the size {0}: it has forked")]
    OtherRoot(u64),
    /// The new tree does not begin with the old one: the log has forked, or the proof is wrong.
    #[error("the new tree does not begin with the one that was cosigned: {0}")]
    Inconsistent(TlogError),
}

// === impl AddCheckpoint ===

impl AddCheckpoint {
    /// Reads a request's body.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(body: &[u8]) -> Result<Self, WitnessRefusal> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(WitnessRefusal::Malformed("too large"));
        }
        let body = std::str::from_utf8(body).map_err(|_| WitnessRefusal::Malformed("not UTF-8"))?;
        let (head, note) = body.split_once("\n\n").ok_or(WitnessRefusal::Malformed("no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old_size = old.ok_or(WitnessRefusal::Malformed("the old size"))?;
        let hash = |line| json::base64_decode(line).and_then(|bytes| Digest::try_from(bytes.as_slice()).ok());
        let proof: Option<Vec<Digest>> = lines.map(hash).collect();
        let proof = proof.filter(|proof| proof.len() <= MAX_PROOF_HASHES);
        let proof = proof.ok_or(WitnessRefusal::Malformed("the proof"))?;
        Ok(Self { old_size, proof, note: note.to_owned() })
    }

    /// The request's body.
    pub fn to_body(&self) -> String {
        let proof: String =
            self.proof.iter().map(|hash| format!("{}\n", json::base64_encode(hash.as_bytes()))).collect();
        format!("old {}\n{proof}\n{}", self.old_size, self.note)
    }

    /// Whether a witness that has seen `seen` of the log may cosign; answers with what it has seen then.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(&self, keys: &[LogKey], seen: Option<Seen>) -> Result<Checkpoint, WitnessRefusal> {
        let claimed = Checkpoint::read_unverified(&self.note)?;
        let of_log: Vec<LogKey> = keys.iter().filter(|key| key.name() == claimed.origin).cloned().collect();
        if of_log.is_empty() {
            return Err(WitnessRefusal::UnknownLog(claimed.origin));
        }
        let checkpoint = Checkpoint::open(&self.note, &of_log)?;
        if self.old_size > checkpoint.size {
            return Err(WitnessRefusal::Malformed("the old size is above the new one"));
        }
        let seen = seen.unwrap_or(Seen { size: 0, root: empty_root() });
        if self.old_size != seen.size {
            return Err(WitnessRefusal::OldSize(seen.size));
        }
        if checkpoint.size == seen.size && checkpoint.root != seen.root {
            return Err(WitnessRefusal::OtherRoot(seen.size));
        }
        verify_consistency(seen.size, &seen.root, checkpoint.size, &checkpoint.root, &self.proof)
            .map_err(WitnessRefusal::Inconsistent)?;
        Ok(checkpoint)
    }
}

// === impl WitnessRefusal ===

impl WitnessRefusal {
    /// The HTTP status that the specification gives it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UnknownLog(_) => 404,
            Self::Checkpoint(CheckpointError::NoTrustedSignature)
            | Self::Checkpoint(CheckpointError::Note(NoteError::BadSignature(_))) => 403,
            Self::Checkpoint(_) => 400,
            Self::OldSize(_) | Self::OtherRoot(_) => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// Whether it shows that the log says different things to different people.
    pub fn is_fork(&self) -> bool {
        matches!(self, Self::OtherRoot(_))
    }
}

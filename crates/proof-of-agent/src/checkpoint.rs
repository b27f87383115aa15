//! Checkpoints: the log's size and root, as signed notes.
//!
//! Source: <https://c2sp.org/tlog-checkpoint>.

use ed25519_dalek::SigningKey;

use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;
use crate::note::{LogKey, Note, NoteError, WitnessKey, is_key_name};
use crate::tlog::MAX_SIZE;

/// What a log says of itself: how many entries, and the root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log: one per platform instance.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
}

/// Why a text is not a checkpoint of a log that is trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note, or a trusted key's signature does not hold.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// Not a checkpoint's text.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    /// No signature by one of the keys.
    #[error("no signature on the checkpoint is by a trusted log key")]
    NoTrustedSignature,
    /// Fewer witnesses have cosigned it than the trust root asks for.
    #[error(
        "{found} of the {quorum} witnesses that the trust root asks for have seen the checkpoint: get it again in a moment"
    )]
    NotWitnessed {
        /// How many must have.
        quorum: u32,
        /// How many have.
        found: usize,
    },
}

// === impl Checkpoint ===

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, json::base64_encode(self.root.as_bytes()))
    }

    /// The signed note, by a key under the log's own name.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CheckpointError> {
        let log_key = LogKey::new(self.origin.clone(), DidKey::of(key))?;
        let text = self.text();
        let line = log_key.sign(&text, key);
        Ok(format!("{text}\n{line}"))
    }

    /// Verifies a signed note with any of the log's keys. Signatures of others, such as witnesses, are ignored.
    pub fn open(note: &str, keys: &[LogKey]) -> Result<Self, CheckpointError> {
        let note = Note::parse(note)?;
        let checkpoint = Self::parse_text(note.text())?;
        let mut trusted = false;
        for key in keys.iter().filter(|key| key.name() == checkpoint.origin) {
            trusted |= note.is_signed_by(key)?;
        }
        if trusted { Ok(checkpoint) } else { Err(CheckpointError::NoTrustedSignature) }
    }

    /// Which of these witnesses have cosigned a note, each once.
    ///
    /// # Errors
    /// What is no note.
    pub fn cosigners<'k>(note: &str, keys: &'k [WitnessKey]) -> Result<Vec<&'k WitnessKey>, CheckpointError> {
        let note = Note::parse(note)?;
        Ok(keys.iter().filter(|key| note.cosigned_by(key).is_some()).collect())
    }

    /// Reads a signed note without verifying it, to see which log and size it is about.
    pub fn read_unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::parse_text(Note::parse(note)?.text())
    }

    fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|line| is_key_name(line));
        let size = lines.next().and_then(decimal).filter(|size| *size <= MAX_SIZE);
        let root = lines.next().and_then(json::base64_decode);
        let root = root.and_then(|root| Digest::try_from(root.as_slice()).ok());
        // Extension lines may follow: they are signed, and mean nothing to us.
        Ok(Self {
            origin: origin.ok_or(CheckpointError::Malformed("the origin"))?.to_owned(),
            size: size.ok_or(CheckpointError::Malformed("the size"))?,
            root: root.ok_or(CheckpointError::Malformed("the root"))?,
        })
    }
}

/// That an entry is in a log, as one file that other tools read: <https://c2sp.org/tlog-proof>.
pub fn tlog_proof(log_index: u64, proof: &[Digest], note: &str) -> String {
    let hashes: String =
        proof.iter().map(|hash| format!("{}\n", json::base64_encode(hash.as_bytes()))).collect();
    format!("c2sp.org/tlog-proof@v1\nindex {log_index}\n{hashes}\n{note}")
}

/// A number in its one decimal spelling.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

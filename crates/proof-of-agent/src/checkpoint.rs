//! Checkpoints: the log's size and root, as signed notes.
//!
//! Sources: <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;
use crate::tlog::MAX_SIZE;

/// Bytes of a signed checkpoint: three lines and a signature each of the log and its witnesses.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;
/// Signature lines that are looked at. Each costs a verification at most.
const MAX_SIGNATURE_LINES: usize = 32;
/// The signature type of Ed25519 in a note's key.
const ED25519: u8 = 1;
/// Separates the text of a note from its signatures.
const SIGNATURE_START: &str = "\u{2014} ";

/// A key that signs checkpoints, under the name of its log.
///
/// Its text is a C2SP verifier key: `<name>+<key id in hex>+<base 64 of 0x01 ‖ key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    key: DidKey,
}

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
    /// Larger than [`MAX_NOTE_BYTES`].
    #[error("the checkpoint is larger than {MAX_NOTE_BYTES} bytes")]
    TooLarge,
    /// Not a signed note with a checkpoint in it.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    /// No signature by one of the keys.
    #[error("no signature on the checkpoint is by a trusted log key")]
    NoTrustedSignature,
    /// A signature line names a trusted key, and the signature does not hold.
    #[error("the signature of the log key `{0}` does not hold for the checkpoint")]
    BadSignature(String),
    /// Not a verifier key, or its key id does not fit.
    #[error("expected a log key of the form <name>+<key id>+<base 64>")]
    BadKey,
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
        let mut signature = log_key.id().to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes()).to_bytes());
        let signature = json::base64_encode(&signature);
        Ok(format!("{text}\n{SIGNATURE_START}{} {signature}\n", self.origin))
    }

    /// Verifies a signed note with any of the log's keys. Signatures of others, such as witnesses, are ignored.
    pub fn open(note: &str, keys: &[LogKey]) -> Result<Self, CheckpointError> {
        let (text, signatures) = split(note)?;
        let checkpoint = Self::parse_text(text)?;
        let mut trusted = false;
        for line in signatures.lines() {
            let signature = NoteSignature::parse(line)?;
            let named = keys.iter().find(|key| {
                key.name == signature.name && key.name == checkpoint.origin && key.id() == signature.id
            });
            let Some(key) = named else {
                continue;
            };
            if !key.key.verifies(text.as_bytes(), &signature.bytes) {
                return Err(CheckpointError::BadSignature(key.name.clone()));
            }
            trusted = true;
        }
        if trusted { Ok(checkpoint) } else { Err(CheckpointError::NoTrustedSignature) }
    }

    /// Reads a signed note without verifying it, to see which log and size it is about.
    pub fn read_unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::parse_text(split(note)?.0)
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

/// The signed text, with its final newline, and the signature lines.
fn split(note: &str) -> Result<(&str, &str), CheckpointError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(CheckpointError::TooLarge);
    }
    if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
        return Err(CheckpointError::Malformed("control characters"));
    }
    let end = note.rfind("\n\n").ok_or(CheckpointError::Malformed("no signatures"))?;
    let (text, signatures) = (&note[..=end], &note[end + 2..]);
    if !signatures.ends_with('\n') || signatures.lines().count() > MAX_SIGNATURE_LINES {
        return Err(CheckpointError::Malformed("the signature lines"));
    }
    Ok((text, signatures))
}

/// A number in its one decimal spelling.
fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

struct NoteSignature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Result<Self, CheckpointError> {
        let parse = || {
            let (name, signature) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
            let bytes = json::base64_decode(signature)?;
            let (id, bytes) = bytes.split_first_chunk::<4>()?;
            is_key_name(name).then(|| Self { name, id: *id, bytes: bytes.to_vec() })
        };
        parse().ok_or(CheckpointError::Malformed("a signature line"))
    }
}

// === impl LogKey ===

impl LogKey {
    /// The key of the log with this origin.
    pub fn new(origin: impl Into<String>, key: DidKey) -> Result<Self, CheckpointError> {
        let name = origin.into();
        if is_key_name(&name) { Ok(Self { name, key }) } else { Err(CheckpointError::BadKey) }
    }

    /// The log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key.
    pub fn key(&self) -> DidKey {
        self.key
    }

    /// `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)`, the first four bytes.
    fn id(&self) -> [u8; 4] {
        let digest = Digest::of_parts(&[self.name.as_bytes(), b"\n", &[ED25519], self.key.as_bytes()]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        [a, b, c, d]
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), json::base64_encode(&key))
    }
}

impl std::str::FromStr for LogKey {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let parse = || {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let key = json::base64_decode(key)?;
            let (&ED25519, key) = key.split_first()? else {
                return None;
            };
            let key = Self::new(name, DidKey::from_slice(key).ok()?).ok()?;
            // Base 64 may be spelt in two ways; a key is spelt in one.
            (json::lower_hex(id) == Some(key.id()) && key.to_string() == text).then_some(key)
        };
        parse().ok_or(CheckpointError::BadKey)
    }
}

impl Serialize for LogKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::from_text(deserializer)
    }
}

//! Signed notes: a text, an empty line, and signature lines; the keys that sign them.
//!
//! Sources: <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-cosignature>.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;

/// Bytes of a signed note: three lines and a signature each of the log and its witnesses.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;
/// Signature lines that are looked at. Each costs a verification at most.
pub const MAX_SIGNATURE_LINES: usize = 32;
/// Separates the text of a note from its signatures.
const SIGNATURE_START: &str = "\u{2014} ";
/// The first line of what a witness signs.
const COSIGNATURE_HEADER: &str = "cosignature/v1";

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Algorithm {
    /// The text itself: a log's signature.
    Ed25519,
    /// A moment and the text: a witness's cosignature.
    Cosignature,
}

/// A named key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteKey {
    name: String,
    algorithm: Algorithm,
    key: DidKey,
}

/// A key that signs checkpoints, under the name of its log.
///
/// Its text is a C2SP verifier key: `<name>+<key id in hex>+<base 64 of 0x01 ‖ key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey(NoteKey);

/// A key that cosigns checkpoints, under the name of its witness.
///
/// Its text is a C2SP verifier key: `<name>+<key id in hex>+<base 64 of 0x04 ‖ key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey(NoteKey);

/// Why a text is not a signed note, or a key not a verifier key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Larger than [`MAX_NOTE_BYTES`].
    #[error("the note is larger than {MAX_NOTE_BYTES} bytes")]
    TooLarge,
    /// Not a text with signature lines.
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    /// A signature line names the key, and the signature does not hold.
    #[error("the signature of the key `{0}` does not hold for the note")]
    BadSignature(String),
    /// Not a verifier key of this kind, or its key id does not fit.
    #[error("expected a verifier key of the form <name>+<key id>+<base 64>")]
    BadKey,
}

/// A note, taken apart. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<NoteSignature<'a>>,
}

#[derive(Clone, Debug)]
struct NoteSignature<'a> {
    name: &'a str,
    id: [u8; 4],
    bytes: Vec<u8>,
}

// === impl Note ===

impl<'a> Note<'a> {
    /// Takes a note apart.
    ///
    /// # Errors
    /// One variant per cause.
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge);
        }
        if note.chars().any(|c| c.is_ascii_control() && c != '\n') {
            return Err(NoteError::Malformed("control characters"));
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Malformed("no signatures"))?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        if !lines.ends_with('\n') || lines.lines().count() > MAX_SIGNATURE_LINES {
            return Err(NoteError::Malformed("the signature lines"));
        }
        let signatures = lines.lines().map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text, signatures })
    }

    /// The signed text, with its final newline.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Whether a log has signed.
    ///
    /// # Errors
    /// `BadSignature` where a line names the key and does not hold.
    pub fn is_signed_by(&self, key: &LogKey) -> Result<bool, NoteError> {
        Ok(self.verified(&key.0)?.is_some())
    }

    /// When a witness has cosigned, in seconds since 1970; none where it has not. A broken line in a witness's name counts for
    /// nothing: it is not the log that vouches for it.
    pub fn cosigned_by(&self, key: &WitnessKey) -> Option<u64> {
        self.verified(&key.0).ok().flatten()
    }

    /// When, or 0 where the key signs no moment.
    fn verified(&self, key: &NoteKey) -> Result<Option<u64>, NoteError> {
        let id = key.id();
        let mut found = None;
        for signature in self.signatures.iter().filter(|line| line.name == key.name && line.id == id) {
            let at = key.verify(self.text, &signature.bytes);
            found = Some(at.ok_or_else(|| NoteError::BadSignature(key.name.clone()))?);
        }
        Ok(found)
    }
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Result<Self, NoteError> {
        let parse = || {
            let (name, signature) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
            let bytes = json::base64_decode(signature)?;
            let (id, bytes) = bytes.split_first_chunk::<4>()?;
            is_key_name(name).then(|| Self { name, id: *id, bytes: bytes.to_vec() })
        };
        parse().ok_or(NoteError::Malformed("a signature line"))
    }
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

fn line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    let bytes = [id.as_slice(), signature].concat();
    format!("{SIGNATURE_START}{name} {}\n", json::base64_encode(&bytes))
}

// === impl Algorithm ===

impl Algorithm {
    /// The signature type in a key's id and text.
    const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

// === impl NoteKey ===

impl NoteKey {
    fn new(name: String, algorithm: Algorithm, key: DidKey) -> Result<Self, NoteError> {
        if is_key_name(&name) { Ok(Self { name, algorithm, key }) } else { Err(NoteError::BadKey) }
    }

    /// `SHA-256(name ‖ 0x0A ‖ type ‖ key)`, the first four bytes.
    fn id(&self) -> [u8; 4] {
        let kind = [self.algorithm.number()];
        let digest = Digest::of_parts(&[self.name.as_bytes(), b"\n", &kind, self.key.as_bytes()]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        [a, b, c, d]
    }

    /// When it was signed, 0 where the signature says no moment; none where it does not hold.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        match self.algorithm {
            Algorithm::Ed25519 => self.key.verifies(text.as_bytes(), signature).then_some(0),
            Algorithm::Cosignature => {
                let (at, signature) = signature.split_first_chunk::<8>()?;
                let at = u64::from_be_bytes(*at);
                self.key.verifies(cosigned_text(at, text).as_bytes(), signature).then_some(at)
            }
        }
    }

    fn parse(text: &str, algorithm: Algorithm) -> Result<Self, NoteError> {
        let parse = || {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            let key = json::base64_decode(key)?;
            let (kind, key) = key.split_first()?;
            let key = Self::new(name.to_owned(), algorithm, DidKey::from_slice(key).ok()?).ok()?;
            // Base 64 may be spelt in two ways; a key is spelt in one.
            let exact = *kind == algorithm.number()
                && json::lower_hex(id) == Some(key.id())
                && key.to_string() == text;
            exact.then_some(key)
        };
        parse().ok_or(NoteError::BadKey)
    }
}

/// What a witness signs.
fn cosigned_text(at: u64, text: &str) -> String {
    format!("{COSIGNATURE_HEADER}\ntime {at}\n{text}")
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.number()], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), json::base64_encode(&key))
    }
}

// === impl LogKey ===

impl LogKey {
    /// The key of the log with this origin.
    pub fn new(origin: impl Into<String>, key: DidKey) -> Result<Self, NoteError> {
        NoteKey::new(origin.into(), Algorithm::Ed25519, key).map(Self)
    }

    /// The signature line of a text, with its newline.
    pub(crate) fn sign(&self, text: &str, key: &SigningKey) -> String {
        line(&self.0.name, self.0.id(), &key.sign(text.as_bytes()).to_bytes())
    }
}

// === impl WitnessKey ===

impl WitnessKey {
    /// The key of the witness with this name.
    pub fn new(name: impl Into<String>, key: DidKey) -> Result<Self, NoteError> {
        NoteKey::new(name.into(), Algorithm::Cosignature, key).map(Self)
    }

    /// The signature line of a text, with its newline: that the witness saw it at this moment, in seconds since 1970, and nothing
    /// before that disagrees with it.
    pub fn cosign(&self, text: &str, at: u64, key: &SigningKey) -> String {
        let signature = key.sign(cosigned_text(at, text).as_bytes());
        let bytes = [at.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        line(&self.0.name, self.0.id(), &bytes)
    }
}

macro_rules! verifier_keys {
    ($($name:ident $algorithm:ident;)*) => {
        $(
            impl $name {
                /// The name that stands in signature lines.
                pub fn name(&self) -> &str {
                    &self.0.name
                }

                /// The public key.
                pub fn key(&self) -> DidKey {
                    self.0.key
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Display::fmt(&self.0, f)
                }
            }

            impl std::str::FromStr for $name {
                type Err = NoteError;

                fn from_str(text: &str) -> Result<Self, NoteError> {
                    NoteKey::parse(text, Algorithm::$algorithm).map(Self)
                }
            }

            impl Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    json::from_text(deserializer)
                }
            }
        )*
    };
}

verifier_keys! {
    LogKey Ed25519;
    WitnessKey Cosignature;
}

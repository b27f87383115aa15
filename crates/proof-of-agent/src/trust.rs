//! The trust root: a file that says which keys a verifier believes. It is pinned by whoever verifies, and
//! never fetched from the server under test.

use poa_common::{Network, Timestamp};
use serde::{Deserialize, Serialize};

use crate::checkpoint::LogKey;
use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;

/// Bytes of a trust root's file.
pub const MAX_TRUST_ROOT_BYTES: usize = 64 * 1024;
/// Keys of one kind: rotations add, and old receipts need the old ones.
pub const MAX_KEYS: usize = 64;
/// The version of the file that this verifier reads.
const VERSION: u32 = 1;

/// What a verifier believes about one platform instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    file: File,
    digest: Digest,
}

/// The file's JSON. Unknown fields are an error: one that a verifier overlooks may be the one that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    version: u32,
    network: Network,
    origin: String,
    log_keys: Vec<LogKey>,
    receipt_keys: Vec<DidKey>,
    #[serde(default, with = "json::optional_utc", skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// Why a file is not a trust root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Larger than [`MAX_TRUST_ROOT_BYTES`].
    #[error("the trust root is larger than {MAX_TRUST_ROOT_BYTES} bytes")]
    TooLarge,
    /// Not JSON of the documented shape.
    #[error("the trust root is malformed: {0}")]
    Malformed(String),
    /// Of a version that this verifier does not read.
    #[error("the trust root is of the unknown version {0}: use a newer verifier")]
    UnknownVersion(u32),
    /// No key of a kind, too many, or a log key of another log.
    #[error("a trust root holds 1 to {MAX_KEYS} receipt keys, and as many log keys under its own origin")]
    Keys,
}

// === impl TrustRoot ===

impl TrustRoot {
    /// The trust root of an instance, as that instance writes it at its first start.
    pub fn new(
        network: Network,
        origin: impl Into<String>,
        log_keys: Vec<LogKey>,
        receipt_keys: Vec<DidKey>,
        expires: Option<Timestamp>,
    ) -> Result<Self, TrustError> {
        let file = File { version: VERSION, network, origin: origin.into(), log_keys, receipt_keys, expires };
        let bytes =
            serde_json::to_vec_pretty(&file).map_err(|error| TrustError::Malformed(error.to_string()))?;
        Self::from_json(&bytes)
    }

    /// Reads the file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TrustError> {
        if bytes.len() > MAX_TRUST_ROOT_BYTES {
            return Err(TrustError::TooLarge);
        }
        let file: File =
            serde_json::from_slice(bytes).map_err(|error| TrustError::Malformed(error.to_string()))?;
        if file.version != VERSION {
            return Err(TrustError::UnknownVersion(file.version));
        }
        let counted =
            [file.log_keys.len(), file.receipt_keys.len()].into_iter().all(|n| (1..=MAX_KEYS).contains(&n));
        if !counted || file.log_keys.iter().any(|key| key.name() != file.origin) {
            return Err(TrustError::Keys);
        }
        let digest = Digest::of(&canonical(&file)?);
        Ok(Self { file, digest })
    }

    /// The file's JSON, indented for people.
    pub fn to_json(&self) -> Result<Vec<u8>, TrustError> {
        canonical(&self.file)
    }

    /// SHA-256 of the file as [`TrustRoot::to_json`] writes it: what people compare over the telephone. It does
    /// not depend on how the file at hand is indented.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Which kind of sats the instance moves.
    pub fn network(&self) -> Network {
        self.file.network
    }

    /// The origin of the instance's log.
    pub fn origin(&self) -> &str {
        &self.file.origin
    }

    /// The keys that sign checkpoints.
    pub fn log_keys(&self) -> &[LogKey] {
        &self.file.log_keys
    }

    /// The keys that sign statements in the platform's role.
    pub fn receipt_keys(&self) -> &[DidKey] {
        &self.file.receipt_keys
    }

    /// When the file must be replaced by a newer one.
    pub fn expires(&self) -> Option<Timestamp> {
        self.file.expires
    }
}

fn canonical(file: &File) -> Result<Vec<u8>, TrustError> {
    let mut bytes =
        serde_json::to_vec_pretty(file).map_err(|error| TrustError::Malformed(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

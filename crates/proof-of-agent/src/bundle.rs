//! Receipt bundles: all that a verifier needs of one task, in one file.

use poa_common::{Network, TaskId};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::json;
use crate::reputation::Record;
use crate::tlog::MAX_PROOF_HASHES;

/// Bytes of a bundle's JSON.
pub const MAX_BUNDLE_BYTES: usize = 8 * 1024 * 1024;
/// Statements of a bundle: the path of one claim, with its rejections and parts.
pub const MAX_ENTRIES: usize = crate::chain::MAX_STATEMENTS;
/// Events of one agent's key.
pub const MAX_KEY_EVENTS: usize = 64;
/// Bytes of a result or an input that travels inside.
pub const MAX_INLINE_BYTES: usize = 128 * 1024;
/// The version of the file that this verifier reads.
const VERSION: u32 = 1;

/// A task's receipt. Nothing in it is verified before [`crate::verify`] says so.
///
/// Unknown fields are an error: a bundle is read by people's tools, and a field with a typing error must not
/// pass for one that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    version: u32,
    /// Which kind of sats.
    pub network: Network,
    /// The task.
    pub task: TaskId,
    /// The statements with their proofs, in order.
    pub entries: Vec<BundleEntry>,
    /// What became of the agent's key, with proofs: the event that made it the agent's, and all that came after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_events: Vec<NoticeEntry>,
    /// The version of the agent that the submission names, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<NoticeEntry>,
    /// The signed note that the proofs lead to.
    pub checkpoint: String,
    /// The input of the task, if it is to travel along.
    #[serde(default, with = "json::optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<u8>>,
    /// The result, if it is to travel along.
    #[serde(default, with = "json::optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    pub result: Option<Vec<u8>>,
    /// The evidence of a trusted execution environment, if there is any.
    #[serde(default, with = "json::optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    pub tee_evidence: Option<Vec<u8>>,
}

/// One statement and the proof that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleEntry {
    /// The signed statement.
    pub envelope: Envelope,
    /// Its place in the log.
    pub log_index: u64,
    /// The inclusion proof, nearest hash first. Empty where the statement is not in the published tree yet: such a
    /// bundle shows what is coming, and does not verify.
    pub proof: Vec<Digest>,
    /// What the statement means for the agent's reputation, as it stands in the log: in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

/// One notice and the proof that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeEntry {
    /// The signed notice.
    pub envelope: Envelope,
    /// Its place in the log.
    pub log_index: u64,
    /// The inclusion proof, nearest hash first.
    pub proof: Vec<Digest>,
}

/// Why a file is not a receipt bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Larger than [`MAX_BUNDLE_BYTES`].
    #[error("the bundle is larger than {MAX_BUNDLE_BYTES} bytes")]
    TooLarge,
    /// Not JSON of the documented shape.
    #[error("the bundle is malformed: {0}")]
    Malformed(String),
    /// Of a version that this verifier does not read.
    #[error("the bundle is of the unknown version {0}: use a newer verifier")]
    UnknownVersion(u32),
    /// More statements, hashes or inline bytes than a bundle may have.
    #[error("the bundle has more {0} than a bundle may have")]
    Limit(&'static str),
}

// === impl Bundle ===

impl Bundle {
    /// A bundle of the current version.
    pub fn new(network: Network, task: TaskId, entries: Vec<BundleEntry>, checkpoint: String) -> Self {
        Self {
            version: VERSION,
            network,
            task,
            entries,
            key_events: Vec::new(),
            agent_version: None,
            checkpoint,
            input: None,
            result: None,
            tee_evidence: None,
        }
    }

    /// Reads a bundle.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge);
        }
        let bundle: Self =
            json::from_file(bytes).map_err(|error| BundleError::Malformed(error.to_string()))?;
        if bundle.version != VERSION {
            return Err(BundleError::UnknownVersion(bundle.version));
        }
        bundle.check_limits()?;
        Ok(bundle)
    }

    /// The bundle's JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, BundleError> {
        self.check_limits()?;
        serde_json::to_vec(self).map_err(|error| BundleError::Malformed(error.to_string()))
    }

    fn check_limits(&self) -> Result<(), BundleError> {
        let inline = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_none_or(|b| b.len() <= MAX_INLINE_BYTES);
        if self.entries.len() > MAX_ENTRIES {
            return Err(BundleError::Limit("statements"));
        }
        if self.key_events.len() > MAX_KEY_EVENTS {
            return Err(BundleError::Limit("key events"));
        }
        let notices = self.key_events.iter().chain(&self.agent_version).map(|entry| &entry.proof);
        let mut proofs = self.entries.iter().map(|entry| &entry.proof).chain(notices);
        if proofs.any(|proof| proof.len() > MAX_PROOF_HASHES) {
            return Err(BundleError::Limit("hashes in a proof"));
        }
        if !inline(&self.input) || !inline(&self.result) || !inline(&self.tee_evidence) {
            return Err(BundleError::Limit("inline bytes"));
        }
        Ok(())
    }
}

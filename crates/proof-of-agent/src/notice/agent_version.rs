//! A build of an agent: what runs, and where its source is.

use poa_common::{AgentId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Notice;
use crate::digest::Digest;
use crate::json;
use crate::statement::{MAX_TEXT_BYTES, Role, StatementError};
use crate::tlog::{EntryKind, Slot};

/// Bytes of a version's name.
pub const MAX_VERSION_BYTES: usize = 100;
/// Measurements of one version: one for each kind of machine that it runs on.
pub const MAX_MEASUREMENTS: usize = 16;
/// Bytes of a measurement: five registers of SHA-384 are the most.
const MAX_MEASUREMENT_BYTES: usize = 240;

/// What a trusted execution environment measures where this build runs in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeeMeasurement {
    /// Whose environment: `intelSgx`, `intelTdx`, `amdSevSnp` or `awsNitro`.
    pub vendor: String,
    /// The registers, one after another, in lower-case hex: docs/protocol/tee.md says which.
    pub value: String,
}

/// A version of an agent. It is signed in the role `agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentVersion {
    /// The agent.
    pub agent: AgentId,
    /// The version's name, such as `1.4.0`: once per agent.
    pub version: String,
    /// SHA-256 of the build's archive.
    pub build_digest: Digest,
    /// Bytes of the archive.
    pub build_size: u64,
    /// Where the source is, such as a repository and a commit.
    pub source_ref: Option<String>,
    /// What trusted execution environments measure of it.
    pub measurements: Vec<TeeMeasurement>,
    /// When, by the agent's clock.
    pub published_time: Timestamp,
}

/// The body's JSON. The build's digest is the subject.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentVersionBody {
    agent: AgentId,
    version: String,
    build_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    measurements: Vec<TeeMeasurement>,
    #[serde(with = "json::utc")]
    published_time: Timestamp,
}

impl AgentVersion {
    fn check(&self) -> Result<(), StatementError> {
        let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let sound = |measured: &TeeMeasurement| {
            let value = &measured.value;
            let hex = value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let bytes = value.len() / 2;
            hex && value.len().is_multiple_of(2)
                && (Digest::LENGTH..=MAX_MEASUREMENT_BYTES).contains(&bytes)
                && (1..=32).contains(&measured.vendor.len())
                && measured.vendor.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let named = (1..=MAX_VERSION_BYTES).contains(&self.version.len()) && graphic(&self.version);
        let source = self.source_ref.as_ref();
        let rules = [
            (named, "version", "expected 1 to 100 printable ASCII characters without space"),
            (self.build_size <= json::MAX_INTEGER, "buildSize", "above 2^53 - 1"),
            (source.is_none_or(|text| !text.is_empty()), "sourceRef", "empty"),
            (source.is_none_or(|text| text.len() <= MAX_TEXT_BYTES), "sourceRef", "too long"),
            (self.measurements.len() <= MAX_MEASUREMENTS, "measurements", "too many"),
            (
                self.measurements.iter().all(sound),
                "measurements",
                "expected the name of a vendor, and 32 to 240 bytes in lower-case hex",
            ),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, field, problem)) => Err(StatementError::Invalid { field, problem }),
            None => Ok(()),
        }
    }
}

impl Notice for AgentVersion {
    type Wire = AgentVersionBody;

    const NAME: &'static str = "AgentVersion";
    const SUBJECT: &'static str = "build";
    const ROLE: Role = Role::Agent;
    const ENTRY: EntryKind = EntryKind::AgentVersion;
    const OBJECT_LISTS: &'static [&'static str] = &["/measurements"];

    fn to_wire(&self) -> (Digest, AgentVersionBody) {
        let version = self.clone();
        let body = AgentVersionBody {
            agent: version.agent,
            version: version.version,
            build_size: version.build_size,
            source_ref: version.source_ref,
            measurements: version.measurements,
            published_time: version.published_time,
        };
        (self.build_digest, body)
    }

    fn from_wire(subject: Digest, body: AgentVersionBody) -> Result<Self, StatementError> {
        let version = Self {
            agent: body.agent,
            version: body.version,
            build_digest: subject,
            build_size: body.build_size,
            source_ref: body.source_ref,
            measurements: body.measurements,
            published_time: body.published_time,
        };
        version.check()?;
        Ok(version)
    }

    fn slot(&self) -> Slot {
        Slot::agent_version(&self.agent, &self.version)
    }
}

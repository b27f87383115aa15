//! What the log shows of the agent that signed: its key, its build, where it ran.

use std::fmt;

use poa_common::Timestamp;
use serde::Serialize;

use super::verified::Check;
use super::{Policy, VerifyError};
use crate::bundle::{Bundle, NoticeEntry};
use crate::chain::Chain;
use crate::checkpoint::Checkpoint;
use crate::json;
use crate::notice::{AgentVersion, KeyEvent, KeyEventKind, KeyReason, Notice, NoticeStatement};
use crate::statement::{WorkReceived, WorkSubmitted};
use crate::tlog::{LogEntry, verify_inclusion};
use crate::trust::TrustRoot;

/// What is known of the key that signed the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "state")]
pub enum KeyState {
    /// It was the agent's, and nothing after that is in the bundle.
    Active,
    /// It was replaced or given up later, in good order.
    Superseded,
    /// Somebody else may have it since a moment that is after the work was received.
    Compromised {
        /// Since when.
        #[serde(with = "json::utc")]
        since: Timestamp,
    },
}

/// What is shown of a run. It follows from what was shown, never from what was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum TrustLevel {
    /// The agent's key signed: who holds it, ran something.
    #[serde(rename = "L0")]
    Key,
    /// The agent published the build that it names, and where its source is.
    #[serde(rename = "L1")]
    Published,
    /// The verifier has made the same build from that source.
    #[serde(rename = "L2")]
    Reproduced,
    /// A trusted execution environment measured that build, and it made this result.
    #[serde(rename = "L3")]
    Tee,
}

/// What was found of the agent.
pub(super) struct Inspected {
    pub(super) key_state: Option<KeyState>,
    pub(super) level: TrustLevel,
    pub(super) version: Option<String>,
    pub(super) checks: Vec<Check>,
}

/// A key event and its place in the log.
type Logged = (u64, NoticeStatement<KeyEvent>);

const KEY_EVENT: &str = "a key event of the agent";
const VERSION: &str = "the agent's version";

pub(super) fn inspect(
    chain: &Chain,
    bundle: &Bundle,
    trust_root: &TrustRoot,
    checkpoint: &Checkpoint,
    policy: &Policy,
) -> Result<Inspected, VerifyError> {
    let events = bundle
        .key_events
        .iter()
        .map(|entry| Ok((entry.log_index, key_event(entry, trust_root, checkpoint)?)))
        .collect::<Result<Vec<Logged>, VerifyError>>()?;
    let version = match &bundle.agent_version {
        Some(entry) => Some(agent_version(entry, trust_root, checkpoint, &events)?),
        None => None,
    };
    let mut found = Inspected { key_state: None, level: TrustLevel::Key, version: None, checks: Vec::new() };
    let (Some(work), Some(received)) = (chain.work_submitted(), chain.work_received()) else {
        return match &bundle.tee_evidence {
            Some(_) => Err(VerifyError::Evidence("the receipt is of no received work".to_owned())),
            None => Ok(found),
        };
    };
    let state = key_state(received, &events)?;
    found.key_state = Some(state);
    found.checks.push(Check { name: "agent key", finding: state.finding().to_owned() });
    // Who publishes a build after it has run shows nothing of that run.
    let published =
        bundle.agent_version.as_ref().is_some_and(|entry| entry.log_index < received.submission_log_index);
    let named = version.filter(|_| published).filter(|version| {
        let version = version.notice();
        version.agent == received.agent && Some(version.build_digest) == work.build_digest
    });
    let Some(version) = named.as_ref().map(NoticeStatement::notice) else {
        return if bundle.tee_evidence.is_some() {
            Err(VerifyError::Evidence(
                "it is of no version of the agent that was published before".to_owned(),
            ))
        } else {
            Ok(found)
        };
    };
    found.version = Some(version.version.clone());
    if let Some(source) = &version.source_ref {
        found.level = TrustLevel::Published;
        let finding =
            format!("version {} of the agent was published, its source is {source}", version.version);
        found.checks.push(Check { name: "build", finding });
        if policy.reproduced_build == Some(version.build_digest) {
            found.level = TrustLevel::Reproduced;
            let finding = "the build at hand is the one that the agent names".to_owned();
            found.checks.push(Check { name: "reproduced", finding });
        }
    }
    if let Some(evidence) = &bundle.tee_evidence {
        let finding = verify_evidence(evidence, work, received, version, trust_root)?;
        // Without its source nobody knows what the build does, wherever it ran.
        if version.source_ref.is_some() {
            found.level = TrustLevel::Tee;
        }
        found.checks.push(Check { name: "tee", finding });
    }
    Ok(found)
}

/// A key event that the platform has signed, in the log.
fn key_event(
    entry: &NoticeEntry,
    trust_root: &TrustRoot,
    checkpoint: &Checkpoint,
) -> Result<NoticeStatement<KeyEvent>, VerifyError> {
    let event = notice::<KeyEvent>(entry, trust_root, checkpoint, KEY_EVENT)?;
    if trust_root.may_sign_receipts(event.signer(), entry.log_index) {
        Ok(event)
    } else {
        Err(problem(KEY_EVENT, "it is not signed with a receipt key of the platform"))
    }
}

/// A version that a key of the agent has signed, in the log.
fn agent_version(
    entry: &NoticeEntry,
    trust_root: &TrustRoot,
    checkpoint: &Checkpoint,
    events: &[Logged],
) -> Result<NoticeStatement<AgentVersion>, VerifyError> {
    let version = notice::<AgentVersion>(entry, trust_root, checkpoint, VERSION)?;
    let by_agent = events.iter().map(|(_, event)| event.notice()).any(|event| {
        event.agent == version.notice().agent
            && (event.key == version.signer() || event.previous_key == Some(version.signer()))
    });
    if by_agent { Ok(version) } else { Err(problem(VERSION, "it is not signed with a key of the agent")) }
}

/// A notice of this log and network, in the log.
fn notice<N: Notice>(
    entry: &NoticeEntry,
    trust_root: &TrustRoot,
    checkpoint: &Checkpoint,
    name: &'static str,
) -> Result<NoticeStatement<N>, VerifyError> {
    let refused = |error: &dyn fmt::Display| problem(name, error);
    let statement = NoticeStatement::<N>::open(&entry.envelope).map_err(|error| refused(&error))?;
    if statement.network() != trust_root.network() || !trust_root.has_origin(statement.origin()) {
        return Err(refused(&"it is of another log than the trusted one"));
    }
    let leaf = LogEntry::of_notice::<N>(&entry.envelope).map_err(|error| refused(&error))?.leaf_hash();
    verify_inclusion(&leaf, entry.log_index, checkpoint.size, &entry.proof, &checkpoint.root)
        .map_err(|error| refused(&error))?;
    Ok(statement)
}

fn problem(notice: &'static str, problem: impl fmt::Display) -> VerifyError {
    VerifyError::Notice { notice, problem: problem.to_string() }
}

/// The key that signed the work is the one that the platform says, by an event that is there, and what became of it.
fn key_state(received: &WorkReceived, events: &[Logged]) -> Result<KeyState, VerifyError> {
    let key = received.agent_key;
    let introduced = events.iter().any(|(log_index, event)| {
        let notice = event.notice();
        event.digest() == received.key_event
            && *log_index < received.submission_log_index
            && notice.agent == received.agent
            && notice.account == received.account
            && notice.key == key
            && notice.kind != KeyEventKind::Revoked
    });
    if !introduced {
        return Err(VerifyError::NoKeyEvent { key });
    }
    let mut state = KeyState::Active;
    for event in events.iter().map(|(_, event)| event.notice()).filter(|event| event.agent == received.agent)
    {
        let since = event.compromised_since.unwrap_or(event.event_time);
        match event.ended() {
            Some((ended, KeyReason::Compromised)) if ended == key => {
                if since <= received.received_time {
                    return Err(VerifyError::AgentKeyCompromised { since });
                }
                state = KeyState::Compromised { since };
            }
            Some((ended, KeyReason::Superseded)) if ended == key && state == KeyState::Active => {
                state = KeyState::Superseded;
            }
            Some(_) | None => {}
        }
    }
    Ok(state)
}

/// Whether evidence of trusted execution is what a submission names, genuine as of when the platform had the result, and about
/// this result of this agent and a measurement of this build. Answers with a sentence for people.
///
/// # Errors
/// [`VerifyError::Evidence`], whatever is wrong with it. Without the feature `tee` always: a verifier that cannot check evidence
/// does not pass over it.
pub fn verify_evidence(
    evidence: &[u8],
    work: &WorkSubmitted,
    received: &WorkReceived,
    version: &AgentVersion,
    trust_root: &TrustRoot,
) -> Result<String, VerifyError> {
    tee(evidence, work, received, version, trust_root).map_err(VerifyError::Evidence)
}

#[cfg(feature = "tee")]
fn tee(
    evidence: &[u8],
    work: &WorkSubmitted,
    received: &WorkReceived,
    version: &AgentVersion,
    trust_root: &TrustRoot,
) -> Result<String, String> {
    use crate::tee::{Evidence, Expected, Measurement, ReportData, TeePolicy, TeeRoots, Vendor, verify};

    let digest = work.tee_evidence_digest.ok_or("the receipt names none")?;
    let evidence = Evidence::open(evidence, &digest).map_err(|error| error.to_string())?;
    let vendor = evidence.vendor();
    let name = vendor.to_string();
    let pinned = trust_root.trusted().tee_roots.iter().filter(|root| root.vendor == name);
    let pinned = pinned.map(|root| root.sha256).collect();
    let roots = match vendor {
        Vendor::IntelSgx | Vendor::IntelTdx => TeeRoots { intel: pinned, ..TeeRoots::none() },
        Vendor::AmdSevSnp => TeeRoots { amd: pinned, ..TeeRoots::none() },
        Vendor::AwsNitro => TeeRoots { aws: pinned, ..TeeRoots::none() },
    };
    let measured: Vec<Measurement> = version
        .measurements
        .iter()
        .filter(|measured| measured.vendor == name)
        .filter_map(|measured| measured.value.parse().ok())
        .collect();
    let report_data = ReportData::of(&work.acceptance, &work.output.sha256, &received.agent_key);
    let expected = Expected { report_data, measurements: Some(&measured) };
    // As of when the platform had the result: certificates and collateral of then.
    let verified = verify(&evidence, &roots, &expected, &TeePolicy::default(), received.received_time)
        .map_err(|error| error.to_string())?;
    Ok(format!("{} measured the build {}, and it made this result", verified.vendor, version.version))
}

#[cfg(not(feature = "tee"))]
fn tee(
    _evidence: &[u8],
    _work: &WorkSubmitted,
    _received: &WorkReceived,
    _version: &AgentVersion,
    _trust_root: &TrustRoot,
) -> Result<String, String> {
    Err("this verifier was built without the feature `tee`".to_owned())
}

// === impl KeyState ===

impl KeyState {
    fn finding(self) -> &'static str {
        match self {
            Self::Active => {
                "the agent's key was registered in the log before, and the bundle shows no revocation"
            }
            Self::Superseded => {
                "the agent's key was registered in the log before, and replaced in good order later"
            }
            Self::Compromised { .. } => "the agent's key was compromised later, after the work was received",
        }
    }
}

// === impl TrustLevel ===

impl TrustLevel {
    /// The name: `L0` to `L3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "L0",
            Self::Published => "L1",
            Self::Reproduced => "L2",
            Self::Tee => "L3",
        }
    }
}

impl std::str::FromStr for TrustLevel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Key, Self::Published, Self::Reproduced, Self::Tee];
        all.into_iter().find(|level| level.as_str() == text).ok_or("expected L0, L1, L2 or L3")
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

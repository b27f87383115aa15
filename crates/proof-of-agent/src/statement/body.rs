//! What each kind of statement says.

use poa_common::{AccountId, AgentId, EscrowId, Msat, Timestamp, TransferId};
use serde::{Deserialize, Serialize};

use super::{Body, Kind};
use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;

/// Bytes that a statement names without containing them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// SHA-256 of the bytes.
    pub sha256: Digest,
    /// How many bytes.
    pub size: u64,
    /// Their media type, such as `application/json`.
    pub media_type: String,
}

/// What a result must fulfil. All but [`Criterion::Manual`] are checked by machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Criterion {
    /// The result is JSON that this schema accepts.
    JsonSchema {
        /// The schema, as the text of its JSON: the agent sees exactly what is checked.
        schema: String,
    },
    /// The result is exactly the bytes with this digest.
    Digest {
        /// SHA-256 of the expected result.
        sha256: Digest,
    },
    /// The result's size lies within bounds.
    Size {
        /// The fewest bytes.
        min_bytes: u64,
        /// The most bytes; absent for no bound.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_bytes: Option<u64>,
    },
    /// The result is UTF-8 text in which this pattern is found (RE2 syntax, not anchored).
    Regex {
        /// The pattern.
        pattern: String,
    },
    /// A person judges.
    Manual {
        /// What the person looks at.
        text: String,
    },
}

/// When the sats are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReleasePolicy {
    /// As soon as the receipt is logged and the machine-checkable criteria hold.
    OnAttestation,
    /// When the requester accepts, or the review deadline passes.
    OnAcceptance,
}

/// How the task is funded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rail {
    /// From the requester's balance.
    Balance,
    /// By a hold invoice over Lightning.
    HoldInvoice,
}

/// Statement 1: the terms, by the requester or by the platform for the requester.
///
/// `price_msat` is what the requester pays; the fee is taken from it, rounded down to the msat
/// (`floor(price × feeBps / 10,000)`), and the payee gets the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TermsOffered {
    /// The account that pays.
    pub requester: AccountId,
    /// One line that says what is asked.
    pub title: String,
    /// The capability that the agent needs, such as `text.summarize`, if one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// The input that the agent works on.
    pub input: Content,
    /// What the result must fulfil. Empty: the requester judges freely.
    pub criteria: Vec<Criterion>,
    /// What the requester pays, in msat.
    #[serde(with = "json::msat")]
    pub price_msat: Msat,
    /// The platform's share of the price, in basis points (1/10,000).
    pub fee_bps: u32,
    /// The platform's share of the price, in msat.
    #[serde(with = "json::msat")]
    pub fee_msat: Msat,
    /// What the payee gets, in msat.
    #[serde(with = "json::msat")]
    pub payee_net_msat: Msat,
    /// When the sats are released.
    pub policy: ReleasePolicy,
    /// How long the task waits for an agent, in seconds, before it expires.
    pub expires_in_seconds: u32,
    /// How long a claim lasts before it must be renewed, in seconds.
    pub claim_seconds: u32,
    /// How long the agent has for the work, in seconds from the claim.
    pub work_seconds: u32,
    /// How long the requester has to judge, in seconds from the submission.
    pub review_seconds: u32,
    /// How the task is funded.
    pub rail: Rail,
    /// The escrow that holds the sats.
    pub escrow: EscrowId,
    /// The one agent that may take the task, if it is not open to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_agent: Option<AgentId>,
    /// When the terms were made.
    #[serde(with = "json::utc")]
    pub offered_time: Timestamp,
}

/// Statement 2: the agent takes the task under these terms. Its predecessor is the offer, and the subject
/// names the offer too, so that the agent's signature covers the exact bytes that it was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TermsAccepted {
    /// The agent.
    pub agent: AgentId,
    /// The account that is paid.
    pub account: AccountId,
    /// Which claim of the task this is: 1 for the first, higher for each later one.
    pub claim_number: u32,
    /// The lease that the agent agrees to, in seconds. When it runs out, another may claim the task.
    pub lease_seconds: u32,
    /// When the agent signed, by its own clock.
    #[serde(with = "json::utc")]
    pub accepted_time: Timestamp,
}

/// Statement 3: the agent hands in a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkSubmitted {
    /// The agent.
    pub agent: AgentId,
    /// The claim under which it worked.
    pub claim_number: u32,
    /// The digest of the [`TermsAccepted`] under which it worked.
    pub acceptance: Digest,
    /// The result.
    pub output: Content,
    /// When the work began, by the agent's clock.
    #[serde(with = "json::utc")]
    pub started_time: Timestamp,
    /// When the work ended, by the agent's clock.
    #[serde(with = "json::utc")]
    pub finished_time: Timestamp,
    /// The digest of the agent's build, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_digest: Option<Digest>,
    /// Where the build's source is, such as a repository and a commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<String>,
    /// The digest of evidence from a trusted execution environment, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tee_evidence_digest: Option<Digest>,
}

/// What the platform knew of the agent's key when the work arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgentKeyState {
    /// The agent's key at that time.
    Active,
    /// Replaced by another key.
    Superseded,
    /// Reported as stolen.
    Compromised,
}

/// Statement 4: the platform has the submission, and says whose key signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkReceived {
    /// The agent.
    pub agent: AgentId,
    /// The account that is paid.
    pub account: AccountId,
    /// The key that signed the acceptance and the submission.
    pub agent_key: DidKey,
    /// The digest of the [key event](crate::notice::KeyEvent) that made it the agent's key.
    pub key_event: Digest,
    /// The state of that key.
    pub agent_key_state: AgentKeyState,
    /// The place of the submission in the log.
    pub submission_log_index: u64,
    /// When it arrived.
    #[serde(with = "json::utc")]
    pub received_time: Timestamp,
}

/// How a task, or one submission of it, was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DecisionKind {
    /// The requester takes the result.
    Accepted,
    /// The result is refused, by the requester or because a criterion failed.
    Rejected,
    /// The requester did not judge in time, so that the result counts as accepted.
    DeadlinePassed,
    /// All machine-checkable criteria hold.
    CriteriaMet,
    /// The requester takes a part of the work, and pays a part of the price for it. The work goes on.
    AcceptedInPart,
    /// The requester asks for another result under the same claim.
    RevisionRequested,
    /// A deadline was moved, by the platform after an outage or by the requester. Nothing else changes.
    DeadlineExtended,
    /// The requester or the agent wants an arbiter to judge.
    Disputed,
    /// An arbiter has judged how much of what is held goes to the payee.
    Verdict,
    /// Nobody delivered in time.
    Expired,
    /// The task was withdrawn.
    Canceled,
}

/// Which deadline a decision moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Deadline {
    /// Until when the task waits for an agent.
    Expiry,
    /// Until when the agent must deliver.
    Work,
    /// Until when the requester must judge.
    Review,
}

/// Statement 5: a decision. See [`Decision::of`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What was decided.
    pub kind: DecisionKind,
    /// Why, in words. A rejection must have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The place of the criterion that failed, counted from 0, for a rejection by machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_criterion: Option<u32>,
    /// How much of what is held goes to the payee, before the fee, in msat: of [`DecisionKind::AcceptedInPart`] and
    /// [`DecisionKind::Verdict`] alone.
    #[serde(default, with = "json::optional_msat", skip_serializing_if = "Option::is_none")]
    pub amount_msat: Option<Msat>,
    /// Which deadline was moved: of [`DecisionKind::DeadlineExtended`] alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// By how much, in seconds: of [`DecisionKind::DeadlineExtended`] alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extended_seconds: Option<u32>,
    /// When.
    #[serde(with = "json::utc")]
    pub decided_time: Timestamp,
}

/// Where the sats went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SettlementKind {
    /// A part to the payee, less the fee. The rest is still held, and the work goes on.
    Captured,
    /// To the payee, less the fee: all that was held.
    Released,
    /// Back to the payer: all that was held.
    Refunded,
    /// A part to the payee, less the fee, and the rest back to the payer, as an arbiter has judged.
    Split,
    /// Back to the payer, although they were to be taken: what the hold invoice had locked went back by itself. Nobody was
    /// paid, and nothing moved in the ledger.
    FundingLost,
}

/// Statement 6: the sats moved, or are lost to the task, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settlement {
    /// The escrow that held the sats.
    pub escrow: EscrowId,
    /// Where they went.
    pub kind: SettlementKind,
    /// How the task was funded.
    pub rail: Rail,
    /// What this settlement is about, in msat: the part that was captured, or all that was still held.
    #[serde(with = "json::msat")]
    pub amount_msat: Msat,
    /// What the platform took of it, in msat; zero where nobody was paid.
    #[serde(with = "json::msat")]
    pub fee_msat: Msat,
    /// What the payee got of it, in msat; zero where nobody was paid.
    #[serde(with = "json::msat")]
    pub payee_msat: Msat,
    /// What went back to the payer, in msat: of [`SettlementKind::Split`] alone.
    #[serde(default, with = "json::optional_msat", skip_serializing_if = "Option::is_none")]
    pub refund_msat: Option<Msat>,
    /// The account that paid.
    pub payer: AccountId,
    /// The account that was paid; absent where nobody was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payee: Option<AccountId>,
    /// The ledger transfers that did it: at least one where somebody was paid, and for a refund to the balance; none where what a
    /// hold invoice had locked never came into the ledger.
    pub transfers: Vec<TransferId>,
    /// When.
    #[serde(with = "json::utc")]
    pub settled_time: Timestamp,
}

// === impl Criterion ===

impl Criterion {
    /// Whether a program can decide it.
    pub fn is_machine_checkable(&self) -> bool {
        match self {
            Self::JsonSchema { .. } | Self::Digest { .. } | Self::Size { .. } | Self::Regex { .. } => true,
            Self::Manual { .. } => false,
        }
    }
}

// === impl Decision ===

impl Decision {
    /// A decision that says nothing beyond its kind.
    pub fn of(kind: DecisionKind, decided_time: Timestamp) -> Self {
        Self {
            kind,
            reason: None,
            failed_criterion: None,
            amount_msat: None,
            deadline: None,
            extended_seconds: None,
            decided_time,
        }
    }
}

// === impl SettlementKind ===

impl SettlementKind {
    /// Whether the payee got something.
    pub fn pays(self) -> bool {
        match self {
            Self::Captured | Self::Released | Self::Split => true,
            Self::Refunded | Self::FundingLost => false,
        }
    }
}

// === impl Content ===

impl Content {
    /// The media type of bytes that nobody gave a type.
    pub const UNTYPED: &'static str = "application/octet-stream";

    /// The name of `bytes`. An empty media type stands for [`Content::UNTYPED`].
    pub fn of(bytes: &[u8], media_type: impl Into<String>) -> Self {
        // A slice has at most 2^63 bytes.
        Self::new(Digest::of(bytes), u64::try_from(bytes.len()).unwrap_or(u64::MAX), media_type)
    }

    /// The name of bytes that are elsewhere. An empty media type stands for [`Content::UNTYPED`].
    pub fn new(sha256: Digest, size: u64, media_type: impl Into<String>) -> Self {
        let media_type = Some(media_type.into()).filter(|media_type| !media_type.is_empty());
        Self { sha256, size, media_type: media_type.unwrap_or_else(|| Self::UNTYPED.to_owned()) }
    }

    /// Whether these are the bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        u64::try_from(bytes.len()) == Ok(self.size) && Digest::of(bytes) == self.sha256
    }
}

// === impl Body ===

impl Body {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::TermsOffered(_) => Kind::TermsOffered,
            Self::TermsAccepted(_) => Kind::TermsAccepted,
            Self::WorkSubmitted(_) => Kind::WorkSubmitted,
            Self::WorkReceived(_) => Kind::WorkReceived,
            Self::Decision(_) => Kind::Decision,
            Self::Settlement(_) => Kind::Settlement,
        }
    }
}

macro_rules! bodies {
    ($($name:ident $accessor:ident;)*) => {
        $(impl From<$name> for Body {
            fn from(body: $name) -> Self {
                Self::$name(body)
            }
        })*

        impl Body {
            $(
                /// The body, if it is of this kind.
                pub fn $accessor(&self) -> Option<&$name> {
                    if let Self::$name(body) = self { Some(body) } else { None }
                }
            )*
        }
    };
}

bodies! {
    TermsOffered as_terms_offered;
    TermsAccepted as_terms_accepted;
    WorkSubmitted as_work_submitted;
    WorkReceived as_work_received;
    Decision as_decision;
    Settlement as_settlement;
}

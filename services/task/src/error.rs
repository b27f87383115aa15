//! The only place where a code and a reason are chosen.

use std::time::Duration;

use poa_common::hold::{LockTooLong, MAX_CLTV_BLOCKS};
use poa_common::{Code, FieldViolation, ServiceError};
use poa_storage as storage;

use crate::domain::{DomainError, State};

/// What the task service may answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What any server may answer.
    #[error(transparent)]
    Chassis(#[from] poa_chassis::Error),
    /// There is no such thing, or it is not the caller's.
    #[error("there is no such {resource}, or it is not yours")]
    NotFound {
        /// `task`, `agent`.
        resource: &'static str,
    },
    /// The page token is not one of this list.
    #[error("the page token was made for another list: start at the first page")]
    PageToken,
    /// The task's state does not allow this.
    #[error("a task that is {state} does not allow this")]
    TaskState {
        /// Where it stands.
        state: State,
    },
    /// The caller's agent does not hold the claim.
    #[error("this agent does not hold the claim on the task, which is {state}")]
    ClaimNotHeld {
        /// Where the task stands.
        state: State,
    },
    /// Nothing matches the filter now.
    #[error("no open task matches: watch the feed, or ask again later")]
    NoOpenTask,
    /// The result fails a criterion.
    #[error("the result fails criterion {criterion}: {why}; nothing was recorded")]
    CriterionFailed {
        /// Its place, from 0.
        criterion: usize,
        /// What is wrong.
        why: String,
    },
    /// The task changed while the result was checked, so that the check does not count.
    #[error(
        "the task changed while the result was checked, and nothing was done: send the same request again"
    )]
    Unchecked,
    /// The account has as many tasks set aside as it may.
    #[error(
        "at most {limit} tasks are set aside for one account: claim one of them, or wait until one is free"
    )]
    Reservations {
        /// How many it may have.
        limit: u32,
        /// When the first of them is free again.
        retry_after: Duration,
    },
    /// A signature does not hold, or signs something else than the call says.
    #[error("the signed statement does not hold: {problem}")]
    SignatureInvalid {
        /// What is wrong.
        problem: String,
    },
    /// The statement does not continue the chain.
    #[error("the statement does not continue the task's receipt chain: {problem}")]
    ChainMismatch {
        /// What is wrong.
        problem: String,
    },
    /// The agent may not work.
    #[error("the agent is retired, unknown, or belongs to another account")]
    AgentNotActive {
        /// The agent, as the attestation service named it.
        agent_id: String,
    },
    /// The requester's balance does not cover the price.
    #[error("the available balance does not cover the price: deposit, then ask again")]
    InsufficientFunds {
        /// What is there, in msat.
        available_msat: String,
        /// What is needed, in msat.
        needed_msat: String,
    },
    /// The price is outside of what this server takes.
    #[error("a price is from {min_msat} to {max_msat} msat here")]
    PriceOutOfRange {
        /// The lowest price, in msat.
        min_msat: i64,
        /// The highest price, in msat.
        max_msat: i64,
    },
    /// A hold invoice cannot fund this task.
    #[error("a hold invoice cannot fund this task: {}; fund it from the balance", .0.why())]
    HoldInvoice(NoHoldInvoice),
    /// As much is held by hold invoices as may be, for this account or in all.
    #[error(
        "too much is held by hold invoices already: wait until a task has ended, or fund it from the balance"
    )]
    HoldQuota {
        /// How much may be, as escrow says it.
        limit: String,
    },
    /// The database.
    #[error("{0}")]
    Storage(#[source] storage::Error),
}

/// Why a hold invoice cannot fund a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoHoldInvoice {
    /// `durations`, `price`, or another word of escrow's.
    pub problem: String,
    /// For how many blocks the sats would have to be locked, where the durations are the problem.
    pub needed_blocks: String,
    /// For how many they can be.
    pub max_blocks: String,
    /// The least price, in msat, where the price is the problem.
    pub least_msat: String,
}

type Metadata = Vec<(&'static str, String)>;

// === impl Error ===

impl Error {
    /// A bug, with its cause for the log.
    pub(crate) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Chassis(poa_chassis::Error::Internal(cause.into()))
    }

    /// Malformed fields.
    pub(crate) fn fields(violations: Vec<FieldViolation>) -> Self {
        Self::Chassis(poa_chassis::Error::FieldsInvalid(violations))
    }

    /// One malformed field.
    pub(crate) fn field(field: &str, description: impl Into<String>) -> Self {
        Self::fields(vec![FieldViolation { field: field.to_owned(), description: description.into() }])
    }

    /// The code, the reason and the metadata.
    fn says(&self) -> (Code, &'static str, Metadata) {
        let none = Vec::new();
        match self {
            Self::Chassis(error) => (error.code(), error.reason(), error.metadata()),
            Self::NotFound { resource } => {
                (Code::NotFound, "RESOURCE_NOT_FOUND", vec![("resource", (*resource).to_owned())])
            }
            Self::PageToken => (Code::InvalidArgument, "PAGE_TOKEN_INVALID", none),
            Self::TaskState { state } => {
                (Code::FailedPrecondition, "TASK_STATE", vec![("state", state.to_string())])
            }
            Self::ClaimNotHeld { state } => {
                (Code::FailedPrecondition, "CLAIM_NOT_HELD", vec![("state", state.to_string())])
            }
            Self::NoOpenTask => (Code::NotFound, "NO_OPEN_TASK", none),
            Self::CriterionFailed { criterion, .. } => {
                (Code::FailedPrecondition, "CRITERION_FAILED", vec![("criterion", criterion.to_string())])
            }
            Self::Unchecked => (Code::Unavailable, "OVERLOADED", none),
            Self::Reservations { limit, .. } => {
                (Code::ResourceExhausted, "QUOTA_EXCEEDED", vec![("limit", limit.to_string())])
            }
            Self::SignatureInvalid { problem } => {
                (Code::InvalidArgument, "SIGNATURE_INVALID", vec![("problem", problem.clone())])
            }
            Self::ChainMismatch { problem } => {
                (Code::FailedPrecondition, "CHAIN_MISMATCH", vec![("problem", problem.clone())])
            }
            Self::AgentNotActive { agent_id } => {
                (Code::FailedPrecondition, "AGENT_NOT_ACTIVE", vec![("agent_id", agent_id.clone())])
            }
            Self::InsufficientFunds { available_msat, needed_msat } => (
                Code::FailedPrecondition,
                "INSUFFICIENT_FUNDS",
                vec![("available_msat", available_msat.clone()), ("needed_msat", needed_msat.clone())],
            ),
            Self::PriceOutOfRange { min_msat, max_msat } => (
                Code::FailedPrecondition,
                "PRICE_OUT_OF_RANGE",
                vec![("min_msat", min_msat.to_string()), ("max_msat", max_msat.to_string())],
            ),
            Self::HoldInvoice(why) => (Code::FailedPrecondition, "HOLD_INVOICE_UNAVAILABLE", why.metadata()),
            Self::HoldQuota { limit } => {
                (Code::ResourceExhausted, "QUOTA_EXCEEDED", vec![("limit", limit.clone())])
            }
            Self::Storage(error) => of_storage(error),
        }
    }
}

// === impl NoHoldInvoice ===

impl NoHoldInvoice {
    /// Its durations do not fit.
    pub(crate) fn too_long(needed: LockTooLong) -> Self {
        Self {
            problem: "durations".to_owned(),
            needed_blocks: needed.needed_blocks.to_string(),
            max_blocks: MAX_CLTV_BLOCKS.to_string(),
            least_msat: String::new(),
        }
    }

    fn why(&self) -> String {
        match self.problem.as_str() {
            "durations" => format!(
                "its durations need a lock of {} blocks, and there are at most {}",
                self.needed_blocks, self.max_blocks
            ),
            "price" => format!("the least price is {} msat", self.least_msat),
            "node" => "this platform's node makes none".to_owned(),
            other => other.to_owned(),
        }
    }

    fn metadata(&self) -> Metadata {
        let said = [
            ("problem", &self.problem),
            ("needed_blocks", &self.needed_blocks),
            ("max_blocks", &self.max_blocks),
            ("least_msat", &self.least_msat),
        ];
        said.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, value.clone()))
            .collect()
    }
}

fn of_storage(error: &storage::Error) -> (Code, &'static str, Metadata) {
    match error {
        storage::Error::Busy | storage::Error::ShuttingDown | storage::Error::Serialization(_) => {
            (Code::Unavailable, "OVERLOADED", Vec::new())
        }
        storage::Error::Unavailable(_) => {
            (Code::Unavailable, "DEPENDENCY_UNAVAILABLE", vec![("dependency", "database".to_owned())])
        }
        storage::Error::CommitUnknown => (Code::Unavailable, "OUTCOME_UNKNOWN", Vec::new()),
        storage::Error::RequestIdReused => (Code::AlreadyExists, "REQUEST_ID_REUSED", Vec::new()),
        storage::Error::Constraint { .. }
        | storage::Error::Corrupt(_)
        | storage::Error::Config(_)
        | storage::Error::Other(_) => (Code::Internal, "INTERNAL", Vec::new()),
    }
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        self.says().0
    }

    fn reason(&self) -> &'static str {
        self.says().1
    }

    fn metadata(&self) -> Metadata {
        self.says().2
    }

    fn violations(&self) -> &[FieldViolation] {
        if let Self::Chassis(error) = self { error.violations() } else { &[] }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chassis(error) => error.retry_after(),
            Self::Reservations { retry_after, .. } => Some(*retry_after),
            Self::NotFound { .. }
            | Self::PageToken
            | Self::TaskState { .. }
            | Self::ClaimNotHeld { .. }
            | Self::NoOpenTask
            | Self::CriterionFailed { .. }
            | Self::Unchecked
            | Self::SignatureInvalid { .. }
            | Self::ChainMismatch { .. }
            | Self::AgentNotActive { .. }
            | Self::InsufficientFunds { .. }
            | Self::PriceOutOfRange { .. }
            | Self::HoldInvoice(_)
            | Self::HoldQuota { .. }
            | Self::Storage(_) => None,
        }
    }

    fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Chassis(error) => error.certainly_not_applied(),
            Self::Storage(error) => error.certainly_not_applied(),
            Self::NotFound { .. }
            | Self::PageToken
            | Self::TaskState { .. }
            | Self::ClaimNotHeld { .. }
            | Self::NoOpenTask
            | Self::CriterionFailed { .. }
            | Self::Unchecked
            | Self::Reservations { .. }
            | Self::SignatureInvalid { .. }
            | Self::ChainMismatch { .. }
            | Self::AgentNotActive { .. }
            | Self::InsufficientFunds { .. }
            | Self::PriceOutOfRange { .. }
            | Self::HoldInvoice(_)
            | Self::HoldQuota { .. } => true,
        }
    }
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<DomainError> for Error {
    fn from(error: DomainError) -> Self {
        match error {
            DomainError::State(state) => Self::TaskState { state },
            DomainError::ClaimNotHeld(state) => Self::ClaimNotHeld { state },
            DomainError::Signature(problem) => Self::SignatureInvalid { problem },
            DomainError::Chain(problem) => Self::ChainMismatch { problem },
            DomainError::Criterion(failed) => {
                Self::CriterionFailed { criterion: failed.place, why: failed.why }
            }
            DomainError::Unchecked => Self::Unchecked,
            DomainError::Pending => {
                Self::Chassis(poa_chassis::Error::DependencyUnavailable { dependency: "attestation" })
            }
            DomainError::Edge(..) | DomainError::Statement(_) | DomainError::Corrupt(_) => {
                Self::internal(error)
            }
        }
    }
}

//! Every error of this service: the only place where a code and a reason are chosen.

use std::time::Duration;

use poa_chassis::Error as Chassis;
use poa_common::{Code, FieldViolation, ServiceError};
use poa_storage::Error as Storage;

use crate::domain::caps::Span;
use crate::domain::hold_invoice::Unavailable;
use crate::domain::invoice::Problem;
use crate::domain::refusal::Refusal;
use crate::domain::release::Unauthorised;
use crate::lnurl::AddressProblem;

/// When there may be room again under what may leave in an hour, and in a day: a part of it, since what counts leaves the
/// span bit by bit.
const HOUR_CAP_RETRY: Duration = Duration::from_secs(300);
const DAY_CAP_RETRY: Duration = Duration::from_secs(3_600);

/// What this service answers when it does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What any server may answer.
    #[error(transparent)]
    Chassis(#[from] Chassis),
    /// The database's. Not transparent: the storage layer looks for its own error in the chain of causes.
    #[error("{}", sentence(.0))]
    Storage(#[from] Storage),
    /// The ledger refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Absent, or not the caller's.
    #[error("there is no such {resource}")]
    NotFound {
        /// `deposit`, `withdrawal` or `escrow`.
        resource: &'static str,
    },
    /// Not a token of this list and caller.
    #[error("the page token is not one of this list: start at the first page")]
    PageTokenInvalid,
    /// As many invoices as one account may have open.
    #[error("{limit} deposits wait to be paid, which is the limit: pay one, or let one expire")]
    Quota {
        /// How many.
        limit: i64,
    },
    /// An invoice that is not paid.
    #[error("the invoice is refused: {0}")]
    Invoice(#[from] Problem),
    /// A fee that is in force, or was, is not changed.
    #[error(
        "the fee of this moment has begun and may be agreed in signed terms: set another one from a later moment on"
    )]
    FeeStarted,
    /// A task that no hold invoice can fund.
    #[error(transparent)]
    HoldInvoice(#[from] Unavailable),
    /// A Lightning address that is not paid.
    #[error("the Lightning address is refused: {0}")]
    Address(#[from] AddressProblem),
    /// A chain that allows no release.
    #[error("the receipt chain does not allow this release: {0}")]
    Release(#[from] Unauthorised),
}

// === impl Error ===

impl Error {
    /// One malformed field.
    pub(crate) fn field(field: &str, description: impl Into<String>) -> Self {
        let violation = FieldViolation { field: field.to_owned(), description: description.into() };
        Self::Chassis(Chassis::FieldsInvalid(vec![violation]))
    }

    /// The node does not answer.
    pub(crate) fn no_node() -> Self {
        Self::Chassis(Chassis::DependencyUnavailable { dependency: "lightning" })
    }
}

/// What a caller reads of an error of the database.
fn sentence(error: &Storage) -> &'static str {
    match error {
        Storage::Unavailable(_) => "the database cannot be reached: try again in a moment",
        Storage::Busy | Storage::ShuttingDown | Storage::Serialization(_) => {
            "the server is at its limit and did nothing: try again in a moment"
        }
        Storage::CommitUnknown => {
            "the effect is not known yet: ask again with the same id, and the answer will tell"
        }
        Storage::RequestIdReused => "the request_id was used before with another payload: take a new one",
        Storage::Constraint { .. } | Storage::Corrupt(_) | Storage::Config(_) | Storage::Other(_) => {
            "something went wrong on our side; the request id names the log entry"
        }
    }
}

fn storage_code(error: &Storage) -> (Code, &'static str) {
    match error {
        Storage::Unavailable(_) => (Code::Unavailable, "DEPENDENCY_UNAVAILABLE"),
        Storage::Busy | Storage::ShuttingDown | Storage::Serialization(_) => {
            (Code::Unavailable, "OVERLOADED")
        }
        Storage::CommitUnknown => (Code::Unavailable, "OUTCOME_UNKNOWN"),
        Storage::RequestIdReused => (Code::AlreadyExists, "REQUEST_ID_REUSED"),
        Storage::Constraint { .. } | Storage::Corrupt(_) | Storage::Config(_) | Storage::Other(_) => {
            (Code::Internal, "INTERNAL")
        }
    }
}

fn refusal_code(refusal: &Refusal) -> (Code, &'static str) {
    match refusal {
        Refusal::InsufficientFunds { .. } => (Code::FailedPrecondition, "INSUFFICIENT_FUNDS"),
        Refusal::AlreadyReleased(_) => (Code::FailedPrecondition, "ALREADY_RELEASED"),
        Refusal::AlreadyRefunded(_) => (Code::FailedPrecondition, "ALREADY_REFUNDED"),
        Refusal::EscrowNotFound | Refusal::OtherTask => (Code::NotFound, "RESOURCE_NOT_FOUND"),
        Refusal::RequestIdReused => (Code::AlreadyExists, "REQUEST_ID_REUSED"),
        Refusal::FundingLost(_) => (Code::FailedPrecondition, "FUNDING_LOST"),
        Refusal::EscrowState { .. } => (Code::FailedPrecondition, "ESCROW_STATE"),
        Refusal::TooManyWithdrawals { .. } | Refusal::TooMuchLocked { .. } => {
            (Code::ResourceExhausted, "QUOTA_EXCEEDED")
        }
        Refusal::TooMuchLately { .. } => (Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        Refusal::PayoutsPaused => (Code::Unavailable, "PAYOUTS_PAUSED"),
        Refusal::InvoiceNotOpen => (Code::InvalidArgument, "INVOICE_REFUSED"),
        Refusal::NotReplaceable { .. } | Refusal::NotReturnable { .. } => {
            (Code::FailedPrecondition, "WITHDRAWAL_STATE")
        }
        Refusal::InvoiceAlreadyUsed => (Code::AlreadyExists, "INVOICE_ALREADY_USED"),
        Refusal::NotAnAccount | Refusal::OutOfRange => (Code::InvalidArgument, "FIELDS_INVALID"),
        Refusal::WrongState { .. } => (Code::Internal, "INTERNAL"),
    }
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        match self {
            Self::Chassis(error) => error.code(),
            Self::Storage(error) => storage_code(error).0,
            Self::Refused(refusal) => refusal_code(refusal).0,
            Self::NotFound { .. } => Code::NotFound,
            Self::PageTokenInvalid | Self::Invoice(_) | Self::Address(_) => Code::InvalidArgument,
            Self::Quota { .. } => Code::ResourceExhausted,
            Self::FeeStarted | Self::HoldInvoice(_) | Self::Release(_) => Code::FailedPrecondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Chassis(error) => error.reason(),
            Self::Storage(error) => storage_code(error).1,
            Self::Refused(refusal) => refusal_code(refusal).1,
            Self::NotFound { .. } => "RESOURCE_NOT_FOUND",
            Self::PageTokenInvalid => "PAGE_TOKEN_INVALID",
            Self::Quota { .. } => "QUOTA_EXCEEDED",
            Self::Invoice(_) => "INVOICE_REFUSED",
            Self::FeeStarted => "FEE_STARTED",
            Self::HoldInvoice(_) => "HOLD_INVOICE_UNAVAILABLE",
            Self::Address(_) => "ADDRESS_REFUSED",
            Self::Release(_) => "RELEASE_NOT_AUTHORISED",
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Chassis(error) => error.metadata(),
            Self::Storage(Storage::Unavailable(_)) => vec![("dependency", "database".to_owned())],
            Self::Refused(Refusal::InsufficientFunds { available, needed }) => {
                vec![("available_msat", available.to_string()), ("needed_msat", needed.to_string())]
            }
            Self::Refused(
                Refusal::AlreadyReleased(id) | Refusal::AlreadyRefunded(id) | Refusal::FundingLost(id),
            ) => {
                vec![("escrow_id", id.to_string())]
            }
            Self::Refused(Refusal::EscrowState { state }) => vec![("state", (*state).to_owned())],
            Self::Refused(Refusal::TooMuchLocked { limit }) => vec![("limit", limit.to_string())],
            Self::HoldInvoice(problem) => problem.metadata(),
            Self::Refused(Refusal::EscrowNotFound | Refusal::OtherTask) => {
                vec![("resource", "escrow".to_owned())]
            }
            Self::NotFound { resource } => vec![("resource", (*resource).to_owned())],
            Self::Refused(Refusal::TooManyWithdrawals { limit }) => vec![("limit", limit.to_string())],
            Self::Refused(Refusal::TooMuchLately { limit, span }) => {
                vec![("limit", limit.to_string()), ("span", span.as_str().to_owned())]
            }
            Self::Refused(Refusal::InvoiceNotOpen) => vec![("problem", Problem::NotOpen.as_str().to_owned())],
            Self::Refused(Refusal::NotReplaceable { state } | Refusal::NotReturnable { state }) => {
                vec![("state", (*state).to_owned())]
            }
            Self::Address(refused) => refused.metadata(),
            Self::Quota { limit } => vec![("limit", limit.to_string())],
            Self::Invoice(problem) => vec![("problem", problem.as_str().to_owned())],
            Self::Release(error) => vec![("problem", error.problem().to_owned())],
            Self::Storage(_) | Self::Refused(_) | Self::PageTokenInvalid | Self::FeeStarted => Vec::new(),
        }
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::Chassis(error) => error.violations(),
            Self::Storage(_)
            | Self::Refused(_)
            | Self::NotFound { .. }
            | Self::PageTokenInvalid
            | Self::Quota { .. }
            | Self::Invoice(_)
            | Self::FeeStarted
            | Self::HoldInvoice(_)
            | Self::Address(_)
            | Self::Release(_) => &[],
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chassis(error) => error.retry_after(),
            Self::Refused(Refusal::TooMuchLately { span, .. }) => Some(match span {
                Span::Hour => HOUR_CAP_RETRY,
                Span::Day => DAY_CAP_RETRY,
            }),
            // By then the oldest invoice may have expired, or a withdrawal ended.
            Self::Quota { .. }
            | Self::Refused(Refusal::TooManyWithdrawals { .. } | Refusal::TooMuchLocked { .. }) => {
                Some(Duration::from_secs(60))
            }
            Self::Storage(_)
            | Self::Refused(_)
            | Self::NotFound { .. }
            | Self::PageTokenInvalid
            | Self::Invoice(_)
            | Self::FeeStarted
            | Self::HoldInvoice(_)
            | Self::Address(_)
            | Self::Release(_) => None,
        }
    }

    fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Chassis(error) => error.certainly_not_applied(),
            Self::Storage(error) => error.certainly_not_applied(),
            Self::Refused(_)
            | Self::NotFound { .. }
            | Self::PageTokenInvalid
            | Self::Quota { .. }
            | Self::Invoice(_)
            | Self::FeeStarted
            | Self::HoldInvoice(_)
            | Self::Address(_)
            | Self::Release(_) => true,
        }
    }
}

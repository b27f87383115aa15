//! Every error that this service answers with: the only place where a code and a reason are chosen.

use std::time::Duration;

use poa_common::{Code, FieldViolation, ServiceError};
use poa_storage::Error as StorageError;
use poa_storage::page::InvalidPageToken;

use crate::domain::Refusal;

/// Every error that this service answers with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What any server may answer.
    #[error(transparent)]
    Chassis(#[from] poa_chassis::Error),
    /// The database cannot be reached; nothing was done.
    #[error("the database cannot be reached: try again in a moment")]
    DatabaseUnavailable(#[source] StorageError),
    /// The database is at its limit; nothing was done.
    #[error("the server is at its limit and did nothing: try again in a moment")]
    DatabaseBusy(#[source] StorageError),
    /// COMMIT was not answered.
    #[error("the effect is not known yet: append the same statement again, and the answer will tell")]
    OutcomeUnknown(#[source] StorageError),
    /// Absent, or not the caller's.
    #[error("there is no such {resource}, or it is not yours")]
    NotFound {
        /// `attestation`, `task` or `leaf`.
        resource: &'static str,
    },
    /// A page token that is not of this list.
    #[error("{0}: start at the first page")]
    PageToken(#[from] InvalidPageToken),
    /// A statement is not appended.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

// === impl Error ===

impl Error {
    /// Something that cannot be, and is a bug where it is.
    pub(crate) fn bug(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Chassis(poa_chassis::Error::Internal(error.into()))
    }

    /// One malformed field.
    pub(crate) fn field(field: &str, description: impl ToString) -> Self {
        Self::Refused(Refusal::malformed(field, description))
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Unavailable(_) => Self::DatabaseUnavailable(error),
            StorageError::Busy | StorageError::ShuttingDown | StorageError::Serialization(_) => {
                Self::DatabaseBusy(error)
            }
            StorageError::CommitUnknown => Self::OutcomeUnknown(error),
            StorageError::Constraint { .. }
            | StorageError::RequestIdReused
            | StorageError::Corrupt(_)
            | StorageError::Config(_)
            | StorageError::Other(_) => Self::bug(error),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        StorageError::from(error).into()
    }
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        match self {
            Self::Chassis(error) => error.code(),
            Self::DatabaseUnavailable(_) | Self::DatabaseBusy(_) | Self::OutcomeUnknown(_) => {
                Code::Unavailable
            }
            Self::NotFound { .. } => Code::NotFound,
            Self::PageToken(_) => Code::InvalidArgument,
            Self::Refused(refusal) => match refusal {
                Refusal::Malformed(_) | Refusal::Signature { .. } => Code::InvalidArgument,
                Refusal::AgentUnknown { .. } | Refusal::AgentNotActive { .. } | Refusal::Chain { .. } => {
                    Code::FailedPrecondition
                }
                Refusal::OtherLiabilities => Code::AlreadyExists,
            },
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Chassis(error) => error.reason(),
            Self::DatabaseUnavailable(_) => "DEPENDENCY_UNAVAILABLE",
            Self::DatabaseBusy(_) => "OVERLOADED",
            Self::OutcomeUnknown(_) => "OUTCOME_UNKNOWN",
            Self::NotFound { .. } => "RESOURCE_NOT_FOUND",
            Self::PageToken(_) => "PAGE_TOKEN_INVALID",
            Self::Refused(refusal) => refusal.reason(),
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Chassis(error) => error.metadata(),
            Self::DatabaseUnavailable(_) => vec![("dependency", "database".to_owned())],
            Self::NotFound { resource } => vec![("resource", (*resource).to_owned())],
            Self::Refused(refusal) => match refusal {
                Refusal::Signature { problem } | Refusal::Chain { problem, .. } => {
                    vec![("problem", (*problem).to_owned())]
                }
                Refusal::AgentUnknown { agent } | Refusal::AgentNotActive { agent, .. } => {
                    vec![("agent_id", agent.to_string())]
                }
                Refusal::Malformed(_) | Refusal::OtherLiabilities => Vec::new(),
            },
            Self::DatabaseBusy(_) | Self::OutcomeUnknown(_) | Self::PageToken(_) => Vec::new(),
        }
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::Chassis(error) => error.violations(),
            Self::Refused(Refusal::Malformed(violation)) => std::slice::from_ref(violation),
            Self::DatabaseUnavailable(_)
            | Self::DatabaseBusy(_)
            | Self::OutcomeUnknown(_)
            | Self::NotFound { .. }
            | Self::PageToken(_)
            | Self::Refused(_) => &[],
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chassis(error) => error.retry_after(),
            Self::DatabaseUnavailable(_)
            | Self::DatabaseBusy(_)
            | Self::OutcomeUnknown(_)
            | Self::NotFound { .. }
            | Self::PageToken(_)
            | Self::Refused(_) => None,
        }
    }

    fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Chassis(error) => error.certainly_not_applied(),
            Self::OutcomeUnknown(_) => false,
            Self::DatabaseUnavailable(_)
            | Self::DatabaseBusy(_)
            | Self::NotFound { .. }
            | Self::PageToken(_)
            | Self::Refused(_) => true,
        }
    }
}

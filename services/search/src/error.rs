//! Every error that this service answers with: the only place where a code and a reason are chosen.

use std::time::Duration;

use poa_common::{Code, FieldViolation, ServiceError, Violations};
use poa_storage::page::InvalidPageToken;

use crate::index;

/// Every error that this service answers with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What any server may answer.
    #[error(transparent)]
    Chassis(#[from] poa_chassis::Error),
    /// The index cannot be reached.
    #[error("the index cannot be reached: try again in a moment")]
    IndexUnavailable(#[source] index::Error),
    /// The index is at its limit, or the search took too long.
    #[error("the server is at its limit and did nothing: try again in a moment")]
    IndexBusy(#[source] index::Error),
    /// A page token that is not of this list.
    #[error("the page token is not one of this list: start at the first page")]
    PageToken,
}

// === impl Error ===

impl Error {
    /// Something that cannot be, and is a bug where it is.
    pub(crate) fn bug(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Chassis(poa_chassis::Error::Internal(error.into()))
    }

    /// Malformed fields, where there are any.
    pub(crate) fn refuse(violations: Violations) -> Result<(), Self> {
        if violations.is_empty() {
            return Ok(());
        }
        Err(Self::Chassis(poa_chassis::Error::FieldsInvalid(violations.into_vec())))
    }
}

impl From<index::Error> for Error {
    fn from(error: index::Error) -> Self {
        match error {
            index::Error::Unavailable(_) => Self::IndexUnavailable(error),
            index::Error::Busy(_) => Self::IndexBusy(error),
            index::Error::Place => Self::PageToken,
            index::Error::Refused(_) | index::Error::Failed(_) => Self::bug(error),
        }
    }
}

impl From<InvalidPageToken> for Error {
    fn from(_: InvalidPageToken) -> Self {
        Self::PageToken
    }
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        match self {
            Self::Chassis(error) => error.code(),
            Self::IndexUnavailable(_) | Self::IndexBusy(_) => Code::Unavailable,
            Self::PageToken => Code::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Chassis(error) => error.reason(),
            Self::IndexUnavailable(_) => "DEPENDENCY_UNAVAILABLE",
            Self::IndexBusy(_) => "OVERLOADED",
            Self::PageToken => "PAGE_TOKEN_INVALID",
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Chassis(error) => error.metadata(),
            Self::IndexUnavailable(_) => vec![("dependency", "index".to_owned())],
            Self::IndexBusy(_) | Self::PageToken => Vec::new(),
        }
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::Chassis(error) => error.violations(),
            Self::IndexUnavailable(_) | Self::IndexBusy(_) | Self::PageToken => &[],
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chassis(error) => error.retry_after(),
            Self::IndexUnavailable(_) | Self::IndexBusy(_) | Self::PageToken => None,
        }
    }

    fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Chassis(error) => error.certainly_not_applied(),
            Self::IndexUnavailable(_) | Self::IndexBusy(_) | Self::PageToken => true,
        }
    }
}

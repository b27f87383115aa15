//! Every way in which a call to this service can fail: the one place where a code and a reason are chosen.

use std::time::Duration;

use poa_common::{Code, FieldViolation, ServiceError, Violations};

/// An error of the auth service. `Display` is what the caller reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What any server may answer.
    #[error(transparent)]
    Chassis(#[from] poa_chassis::Error),
    /// The database.
    #[error("{}", sentence(.0))]
    Storage(#[from] poa_storage::Error),
    /// User name and password do not belong together. The same for a name that nobody has.
    #[error("user name or password do not match")]
    SignInFailed,
    /// The refresh token buys nothing.
    #[error("the session has ended or its token was used before: sign in again")]
    SessionRevoked,
    /// Another account has the user name.
    #[error("the user name {username} is taken")]
    UsernameTaken {
        /// The name that was asked for.
        username: String,
    },
    /// The public key belongs to an agent, of this account or of another.
    #[error("the public key belongs to an agent already: make a new key")]
    AgentKeyTaken,
    /// The agent's proof of its key does not hold.
    #[error("key_proof is not this key's signature over the text that the contract names")]
    SignatureInvalid,
    /// The agent has published another build under this name.
    #[error("the agent has published another build as version {version}: take the next name")]
    VersionTaken {
        /// The name.
        version: String,
    },
    /// Somebody else has changed the agent's key meanwhile.
    #[error("the agent's keys have had {current} events by now: read them, then decide")]
    Stale {
        /// How many events its keys have had.
        current: u32,
    },
    /// The account holds as many as it may.
    #[error("the account holds {limit} {what}, which is the most")]
    QuotaExceeded {
        /// What there are too many of.
        what: &'static str,
        /// How many are allowed.
        limit: i64,
    },
    /// Absent, or another account's.
    #[error("there is no such {resource}, or it is not yours")]
    NotFound {
        /// What was looked for.
        resource: &'static str,
    },
    /// The page token is of another list, another caller, or nobody's.
    #[error("the page token is not one of this list: start at the first page")]
    PageTokenInvalid,
}

/// The caller's credentials name an account that is not here.
pub(crate) fn account_unknown() -> Error {
    poa_chassis::Error::CredentialsInvalid { problem: "of an unknown account" }.into()
}

/// One field of the request is wrong.
pub(crate) fn field_invalid(field: &str, description: impl Into<String>) -> Error {
    let mut violations = Violations::default();
    violations.add(field, description);
    fields_invalid(violations)
}

/// Some fields of the request are wrong. One violation each: the contract's bounds and a parser may both object.
pub(crate) fn fields_invalid(violations: Violations) -> Error {
    let mut named: Vec<FieldViolation> = Vec::new();
    for violation in violations.into_vec() {
        if named.iter().all(|other| other.field != violation.field) {
            named.push(violation);
        }
    }
    poa_chassis::Error::FieldsInvalid(named).into()
}

/// A bug.
pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    poa_chassis::Error::Internal(source.into()).into()
}

/// What a caller reads of an error of the database.
fn sentence(error: &poa_storage::Error) -> &'static str {
    use poa_storage::Error as Storage;
    match error {
        Storage::Unavailable(_) => "the database cannot be reached: try again in a moment",
        Storage::Busy | Storage::ShuttingDown | Storage::Serialization(_) => {
            "the server is at its limit and did nothing: try again in a moment"
        }
        Storage::CommitUnknown => {
            "the effect is not known yet: ask again with the same request_id, and the answer will tell"
        }
        Storage::RequestIdReused => "the request_id was used before with another payload: take a new one",
        Storage::Constraint { .. } | Storage::Corrupt(_) | Storage::Config(_) | Storage::Other(_) => {
            "something went wrong on our side; the request id names the log entry"
        }
    }
}

// === impl Error ===

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<poa_storage::page::InvalidPageToken> for Error {
    fn from(_: poa_storage::page::InvalidPageToken) -> Self {
        Self::PageTokenInvalid
    }
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        use poa_storage::Error as Storage;
        match self {
            Self::Chassis(error) => error.code(),
            Self::Storage(error) => match error {
                Storage::Unavailable(_)
                | Storage::Busy
                | Storage::ShuttingDown
                | Storage::Serialization(_)
                | Storage::CommitUnknown => Code::Unavailable,
                Storage::RequestIdReused => Code::AlreadyExists,
                Storage::Constraint { .. } | Storage::Corrupt(_) | Storage::Config(_) | Storage::Other(_) => {
                    Code::Internal
                }
            },
            Self::SignInFailed | Self::SessionRevoked => Code::Unauthenticated,
            Self::UsernameTaken { .. } | Self::AgentKeyTaken | Self::VersionTaken { .. } => {
                Code::AlreadyExists
            }
            Self::Stale { .. } => Code::Aborted,
            Self::SignatureInvalid | Self::PageTokenInvalid => Code::InvalidArgument,
            Self::QuotaExceeded { .. } => Code::ResourceExhausted,
            Self::NotFound { .. } => Code::NotFound,
        }
    }

    fn reason(&self) -> &'static str {
        use poa_storage::Error as Storage;
        match self {
            Self::Chassis(error) => error.reason(),
            Self::Storage(error) => match error {
                Storage::Unavailable(_) => "DEPENDENCY_UNAVAILABLE",
                Storage::Busy | Storage::ShuttingDown | Storage::Serialization(_) => "OVERLOADED",
                Storage::CommitUnknown => "OUTCOME_UNKNOWN",
                Storage::RequestIdReused => "REQUEST_ID_REUSED",
                Storage::Constraint { .. } | Storage::Corrupt(_) | Storage::Config(_) | Storage::Other(_) => {
                    "INTERNAL"
                }
            },
            Self::SignInFailed => "SIGN_IN_FAILED",
            Self::SessionRevoked => "SESSION_REVOKED",
            Self::UsernameTaken { .. } => "USERNAME_TAKEN",
            Self::AgentKeyTaken => "AGENT_KEY_TAKEN",
            Self::VersionTaken { .. } => "VERSION_TAKEN",
            Self::Stale { .. } => "ETAG_MISMATCH",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::QuotaExceeded { .. } => "QUOTA_EXCEEDED",
            Self::NotFound { .. } => "RESOURCE_NOT_FOUND",
            Self::PageTokenInvalid => "PAGE_TOKEN_INVALID",
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Chassis(error) => error.metadata(),
            Self::Storage(poa_storage::Error::Unavailable(_)) => {
                vec![("dependency", "database".to_owned())]
            }
            Self::UsernameTaken { username } => vec![("username", username.clone())],
            Self::VersionTaken { version } => vec![("version", version.clone())],
            Self::Stale { current } => vec![("current", current.to_string())],
            Self::SignatureInvalid => vec![("problem", "signature".to_owned())],
            Self::QuotaExceeded { limit, .. } => vec![("limit", limit.to_string())],
            Self::NotFound { resource } => vec![("resource", (*resource).to_owned())],
            Self::Storage(_)
            | Self::SignInFailed
            | Self::SessionRevoked
            | Self::AgentKeyTaken
            | Self::PageTokenInvalid => Vec::new(),
        }
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::Chassis(error) => error.violations(),
            Self::Storage(_)
            | Self::SignInFailed
            | Self::SessionRevoked
            | Self::UsernameTaken { .. }
            | Self::AgentKeyTaken
            | Self::VersionTaken { .. }
            | Self::Stale { .. }
            | Self::SignatureInvalid
            | Self::QuotaExceeded { .. }
            | Self::NotFound { .. }
            | Self::PageTokenInvalid => &[],
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Chassis(error) => error.retry_after(),
            Self::Storage(_)
            | Self::SignInFailed
            | Self::SessionRevoked
            | Self::UsernameTaken { .. }
            | Self::AgentKeyTaken
            | Self::VersionTaken { .. }
            | Self::Stale { .. }
            | Self::SignatureInvalid
            | Self::QuotaExceeded { .. }
            | Self::NotFound { .. }
            | Self::PageTokenInvalid => None,
        }
    }

    fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Chassis(error) => error.certainly_not_applied(),
            Self::Storage(error) => error.certainly_not_applied(),
            Self::SignInFailed
            | Self::SessionRevoked
            | Self::UsernameTaken { .. }
            | Self::AgentKeyTaken
            | Self::VersionTaken { .. }
            | Self::Stale { .. }
            | Self::SignatureInvalid
            | Self::QuotaExceeded { .. }
            | Self::NotFound { .. }
            | Self::PageTokenInvalid => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unanswered_commit_leaves_the_outcome_unknown() {
        let unknown = Error::Storage(poa_storage::Error::CommitUnknown);
        assert_eq!((unknown.code(), unknown.reason()), (Code::Unavailable, "OUTCOME_UNKNOWN"));
        assert!(!unknown.certainly_not_applied(), "who hears this asks again with the same request_id");
        let busy = Error::Storage(poa_storage::Error::Busy);
        assert_eq!((busy.code(), busy.reason()), (Code::Unavailable, "OVERLOADED"));
        assert!(busy.certainly_not_applied());
    }
}

//! From a service's own errors to `google.rpc.Status` with details, and back on the caller's side.

use std::collections::HashMap;
use std::time::Duration;

use poa_common::{Code, FieldViolation, ServiceError};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::context::Context;

/// `google.rpc.ErrorInfo.domain` of every error of this API.
pub(crate) const DOMAIN: &str = "proof-of-agent";
/// How many field violations one answer names: headers are capped.
const MAX_VIOLATIONS: usize = 20;
/// The longest description of a violation, in characters: headers are capped.
const MAX_DESCRIPTION: usize = 160;
/// The most bytes of all violations together, of the message, and of one metadata value: a status with its details
/// stays below 4 KiB, because headers are capped.
const MAX_VIOLATIONS_BYTES: usize = 2_000;
const MAX_MESSAGE_BYTES: usize = 600;
const MAX_METADATA_BYTES: usize = 200;
/// When to try again where an error does not say.
const DEFAULT_RETRY: Duration = Duration::from_millis(250);
/// When a quota may have room again where an error does not say: what counts against it ends by itself, or by its owner.
const DEFAULT_QUOTA_RETRY: Duration = Duration::from_secs(60);

/// What any server may answer, whatever it serves.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or one that does not hold.
    #[error("the credentials are {problem}: sign in or refresh, then call again")]
    CredentialsInvalid {
        /// `missing`, `malformed`, `expired`, `unknown key`, …
        problem: &'static str,
    },
    /// The token lacks the method's scope.
    #[error("the token lacks the scope {scope}")]
    ScopeMissing {
        /// The scope that is needed.
        scope: &'static str,
    },
    /// The method is for another kind of caller.
    #[error("this method is for {audience} callers")]
    AudienceMismatch {
        /// Who may call it.
        audience: &'static str,
    },
    /// Fields break the contract's bounds.
    #[error("{} of the request's fields are not as the contract says: {}", .0.len(), summary(.0))]
    FieldsInvalid(Vec<FieldViolation>),
    /// Too much at once; nothing was done.
    #[error("the server is at its limit and did nothing: try again in a moment")]
    Overloaded,
    /// The caller's own rate limit.
    #[error("too many requests: try again in {} ms", .retry_after.as_millis())]
    RateLimited {
        /// When there is room again.
        retry_after: Duration,
    },
    /// Another service or store is down.
    #[error("{dependency} cannot be reached: try again in a moment")]
    DependencyUnavailable {
        /// What is down.
        dependency: &'static str,
    },
    /// The time of the call ran out.
    #[error("the time of the call ran out; ask again with the same request_id")]
    DeadlineExceeded,
    /// A bug.
    #[error("something went wrong on our side; the request id names the log entry")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a caller learns from another service's error.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status code.
    pub code: tonic::Code,
    /// The reason of `ErrorInfo`, where there is one.
    pub reason: String,
    /// The metadata of `ErrorInfo`.
    pub metadata: HashMap<String, String>,
    /// The message.
    pub message: String,
}

/// Turns an error of a service into a status with details. Logs what only an operator should see, once.
pub fn status(error: impl ServiceError) -> tonic::Status {
    let code = error.code();
    let request_id = Context::current().map(|context| context.request_id.to_string()).unwrap_or_default();
    if code == Code::Internal {
        tracing::error!(request_id, error = chain(&error), "request failed");
    } else if let Some(source) = error.source() {
        tracing::warn!(request_id, reason = error.reason(), error = chain(source), "request refused");
    }

    let message = shortened(error.to_string(), MAX_MESSAGE_BYTES);
    let metadata: HashMap<String, String> = error
        .metadata()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), shortened(value, MAX_METADATA_BYTES)))
        .collect();
    let mut details = ErrorDetails::with_error_info(error.reason(), DOMAIN, metadata);
    let mut bytes = 0;
    for violation in error.violations().iter().take(MAX_VIOLATIONS) {
        let description: String = violation.description.chars().take(MAX_DESCRIPTION).collect();
        bytes += violation.field.len() + description.len();
        if bytes > MAX_VIOLATIONS_BYTES {
            break;
        }
        details.add_bad_request_violation(violation.field.clone(), description);
    }
    if code == Code::ResourceExhausted {
        details.add_quota_failure_violation("caller", message.clone());
    }
    let default_retry = match code {
        Code::Unavailable => Some(DEFAULT_RETRY),
        Code::ResourceExhausted => Some(DEFAULT_QUOTA_RETRY),
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::NotFound
        | Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::AlreadyExists
        | Code::DeadlineExceeded
        | Code::Internal => None,
    };
    if let Some(delay) = error.retry_after().or(default_retry) {
        details.set_retry_info(Some(delay));
    }
    if !request_id.is_empty() {
        details.set_request_info(request_id, "");
    }
    tonic::Status::with_error_details(grpc_code(code), message, details)
}

/// A text cut to a number of bytes, between characters.
fn shortened(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
    }
    text
}

/// Reads another service's error.
pub fn failure(status: &tonic::Status) -> Failure {
    let info = status.get_details_error_info();
    Failure {
        code: status.code(),
        reason: info.as_ref().map(|info| info.reason.clone()).unwrap_or_default(),
        metadata: info.map(|info| info.metadata).unwrap_or_default(),
        message: status.message().to_owned(),
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::Unauthenticated => tonic::Code::Unauthenticated,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::NotFound => tonic::Code::NotFound,
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Aborted => tonic::Code::Aborted,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::Internal => tonic::Code::Internal,
    }
}

fn summary(violations: &[FieldViolation]) -> String {
    violations.first().map(|first| format!("{} {}", first.field, first.description)).unwrap_or_default()
}

// === impl Error ===

impl Error {
    /// The error of a message that cannot be read.
    pub fn unreadable(why: &str) -> Self {
        let description = format!("cannot be read: {why}");
        Self::FieldsInvalid(vec![FieldViolation { field: "(message)".to_owned(), description }])
    }
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        match self {
            Self::CredentialsInvalid { .. } => Code::Unauthenticated,
            Self::ScopeMissing { .. } | Self::AudienceMismatch { .. } => Code::PermissionDenied,
            Self::FieldsInvalid(_) => Code::InvalidArgument,
            Self::RateLimited { .. } => Code::ResourceExhausted,
            Self::Overloaded | Self::DependencyUnavailable { .. } => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Internal(_) => Code::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::CredentialsInvalid { .. } => "CREDENTIALS_INVALID",
            Self::ScopeMissing { .. } => "SCOPE_MISSING",
            Self::AudienceMismatch { .. } => "AUDIENCE_MISMATCH",
            Self::FieldsInvalid(_) => "FIELDS_INVALID",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Overloaded => "OVERLOADED",
            Self::DependencyUnavailable { .. } => "DEPENDENCY_UNAVAILABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal(_) => "INTERNAL",
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::CredentialsInvalid { problem } => vec![("problem", (*problem).to_owned())],
            Self::ScopeMissing { scope } => vec![("scope", (*scope).to_owned())],
            Self::AudienceMismatch { audience } => vec![("audience", (*audience).to_owned())],
            Self::DependencyUnavailable { dependency } => vec![("dependency", (*dependency).to_owned())],
            Self::FieldsInvalid(_)
            | Self::RateLimited { .. }
            | Self::Overloaded
            | Self::DeadlineExceeded
            | Self::Internal(_) => Vec::new(),
        }
    }

    fn violations(&self) -> &[FieldViolation] {
        match self {
            Self::FieldsInvalid(violations) => violations,
            Self::CredentialsInvalid { .. }
            | Self::ScopeMissing { .. }
            | Self::AudienceMismatch { .. }
            | Self::RateLimited { .. }
            | Self::Overloaded
            | Self::DependencyUnavailable { .. }
            | Self::DeadlineExceeded
            | Self::Internal(_) => &[],
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::CredentialsInvalid { .. }
            | Self::ScopeMissing { .. }
            | Self::AudienceMismatch { .. }
            | Self::FieldsInvalid(_)
            | Self::Overloaded
            | Self::DependencyUnavailable { .. }
            | Self::DeadlineExceeded
            | Self::Internal(_) => None,
        }
    }

    fn certainly_not_applied(&self) -> bool {
        !matches!(self, Self::DeadlineExceeded | Self::Internal(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_over_a_limit_hears_which_and_when_to_come_back() {
        let refused = status(Error::RateLimited { retry_after: Duration::from_secs(3) });
        let details = refused.get_error_details();
        let quota = details.quota_failure().unwrap();
        assert_eq!(quota.violations.len(), 1);
        assert_eq!(quota.violations[0].description, refused.message());
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_status_with_everything_too_long_stays_below_four_kib() {
        let violation = FieldViolation { field: "field".repeat(12), description: "ü".repeat(400) };
        let refused = status(Error::FieldsInvalid(vec![violation; 50]));
        let details = refused.get_error_details();
        let named = details.bad_request().unwrap().field_violations.len();
        assert!((1..=20).contains(&named), "{named}");
        assert!(refused.message().len() + refused.details().len() <= 4_096);
    }
}

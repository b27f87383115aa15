//! What can go wrong, as a program and a person want to know it.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::credentials::StoreError;
use crate::endpoint::EndpointError;
use crate::key::SigningError;
use crate::key_file::KeyError;

/// Why a call or a step of the SDK failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, or could not be reached.
    #[error(transparent)]
    Status(#[from] Box<StatusError>),
    /// The address cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A key cannot be read, written or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A statement was not signed, because it does not say what it should.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The session could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server's answer breaks the contract.
    #[error("the server's answer is not as the contract has it: {0}")]
    Contract(String),
}

/// A status that the server, or the connection to it, answered with.
#[derive(Clone, Debug)]
pub struct StatusError {
    code: Code,
    message: String,
    reason: String,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    retry_after: Option<Duration>,
    request_id: Option<String>,
}

/// One malformed field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path in the contract's names.
    pub field: String,
    /// What is wrong and what is expected.
    pub description: String,
}

// === impl Error ===

impl Error {
    /// The status code; `None` for what never left this machine.
    pub fn code(&self) -> Option<Code> {
        self.status().map(|status| status.code)
    }

    /// The reason in the registry `poa.errors.v1.ErrorReason`, without its prefix; empty where there is none.
    pub fn reason(&self) -> &str {
        self.status().map_or("", |status| &status.reason)
    }

    /// The status, where there is one.
    pub fn status(&self) -> Option<&StatusError> {
        match self {
            Self::Status(status) => Some(status),
            Self::Endpoint(_) | Self::Key(_) | Self::Signing(_) | Self::Store(_) | Self::Contract(_) => None,
        }
    }

    /// When the server wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.status().and_then(|status| status.retry_after)
    }

    /// Whether the same call may succeed in a moment: the one code that is tried again by itself. Paused payouts have that
    /// code and are not: they last until somebody lets them go on.
    pub fn is_unavailable(&self) -> bool {
        self.code() == Some(Code::Unavailable) && self.reason() != "PAYOUTS_PAUSED"
    }

    /// Whether the access token, and not a password, was refused: a new one may help.
    pub(crate) fn is_stale_token(&self) -> bool {
        self.code() == Some(Code::Unauthenticated)
            && !matches!(self.reason(), "SIGN_IN_FAILED" | "SESSION_REVOKED")
    }

    /// Whether a stream that ended so is opened again: the server or the connection went, or the token ended.
    pub(crate) fn ends_a_stream_only(&self) -> bool {
        match self.code() {
            Some(
                Code::Unavailable
                | Code::DeadlineExceeded
                | Code::Cancelled
                | Code::Unknown
                | Code::Aborted
                | Code::ResourceExhausted
                | Code::Internal,
            ) => true,
            Some(_) | None => false,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(StatusError::from(status)))
    }
}

// === impl StatusError ===

impl StatusError {
    /// The status code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the server says, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The reason in the registry, without its prefix; empty where there is none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// A fact that goes with the reason, such as `needed_msat`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    /// Every malformed field.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.violations
    }

    /// When to ask again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The id under which the server logged the call.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl From<Status> for StatusError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        // Where the time of a call runs out in tonic, the code says that somebody cancelled it.
        let timed_out = status.code() == Code::Cancelled && status.message() == "Timeout expired";
        // A status with a cause was made on this side: the connection broke, whatever code tonic gives it.
        let unreachable = std::error::Error::source(&status).is_some();
        let request_id = details
            .request_info()
            .map(|request| request.request_id.clone())
            .or_else(|| status.metadata().get("x-request-id")?.to_str().ok().map(str::to_owned));
        Self {
            code: match (timed_out, unreachable) {
                (true, _) => Code::DeadlineExceeded,
                (false, true) => Code::Unavailable,
                (false, false) => status.code(),
            },
            message: reachable(&status),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            metadata: info.map(|info| info.metadata.clone()).unwrap_or_default(),
            violations: details.bad_request().map_or_else(Vec::new, |request| {
                let violation = |violation: &tonic_types::FieldViolation| FieldViolation {
                    field: violation.field.clone(),
                    description: violation.description.clone(),
                };
                request.field_violations.iter().map(violation).collect()
            }),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            request_id,
        }
    }
}

/// The message, or where nobody answered the innermost cause: "transport error" says nothing to anyone.
fn reachable(status: &Status) -> String {
    let causes = std::iter::successors(std::error::Error::source(status), |error| error.source());
    match causes.last() {
        Some(_) if status.message() == "Timeout expired" => "the server did not answer in time".to_owned(),
        Some(innermost) => format!("the server cannot be reached: {innermost}"),
        None => status.message().to_owned(),
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            write!(f, "{}", self.code.description())?;
        } else {
            f.write_str(&self.message)?;
        }
        // Some servers repeat the fields in their message.
        let told = |violation: &&FieldViolation| !self.message.contains(&violation.description);
        for violation in self.violations.iter().filter(told) {
            write!(f, "\n  {}: {}", violation.field, violation.description)?;
        }
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        match (&self.request_id, self.code) {
            (Some(id), Code::Internal) => write!(f, " [request {id}]"),
            (_, _) => Ok(()),
        }
    }
}

impl std::error::Error for StatusError {}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation as Wire};

    use super::*;

    #[test]
    fn details_of_a_status_are_read() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info(
                "INSUFFICIENT_FUNDS",
                "proof-of-agent",
                [("needed_msat".to_owned(), "5000".to_owned())],
            )
            .set_retry_info(Some(Duration::from_secs(2)))
            .set_request_info("req-1", "");
        let status = Status::with_error_details(Code::FailedPrecondition, "not enough", details);
        let error = Error::from(status);
        assert_eq!(error.code(), Some(Code::FailedPrecondition));
        assert_eq!(error.reason(), "INSUFFICIENT_FUNDS");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        let status = error.status().unwrap();
        assert_eq!((status.fact("needed_msat"), status.request_id()), (Some("5000"), Some("req-1")));
        assert_eq!(error.to_string(), "not enough (INSUFFICIENT_FUNDS)");
    }

    #[test]
    fn every_malformed_field_is_shown() {
        let mut details = ErrorDetails::new();
        details.set_bad_request(vec![Wire::new("title", "is required"), Wire::new("price_msat", "is 0")]);
        let error =
            Error::from(Status::with_error_details(Code::InvalidArgument, "2 fields are malformed", details));
        assert_eq!(error.to_string(), "2 fields are malformed\n  title: is required\n  price_msat: is 0");
    }

    #[test]
    fn a_deadline_inside_of_the_channel_counts_as_a_deadline() {
        let error = Error::from(Status::cancelled("Timeout expired"));
        assert_eq!(error.code(), Some(Code::DeadlineExceeded));
    }
}

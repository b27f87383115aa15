//! The error scheme: what a service's own `enum Error` answers about each of its variants, so that one
//! place (`chassis::status`) can turn any of them into a `google.rpc.Status` with details.

use std::fmt;
use std::time::Duration;

/// The status codes this API uses, with the retry rule each implies (see docs/errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No or bad credentials: retry after signing in.
    Unauthenticated,
    /// Wrong scope or audience: do not retry.
    PermissionDenied,
    /// Absent, or not yours: do not retry.
    NotFound,
    /// Malformed fields: do not retry.
    InvalidArgument,
    /// Wrong state: retry when it changes.
    FailedPrecondition,
    /// The etag does not match: retry after re-reading.
    Aborted,
    /// It exists already, or a request id was reused for another payload: do not retry.
    AlreadyExists,
    /// The caller's own quota: retry after the given delay.
    ResourceExhausted,
    /// The caller's deadline passed: the effect is unknown, ask again with the same request id.
    DeadlineExceeded,
    /// Shedding, a dependency down, not ready: the only code that clients retry by themselves.
    Unavailable,
    /// A bug: do not retry.
    Internal,
}

/// One malformed field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the field, in the proto's names: `criteria[2].pattern`.
    pub field: String,
    /// What is wrong and what is expected, as a sentence without a full stop.
    pub description: String,
}

/// Collects every violation of a request, so that the caller hears of all at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

/// What an error of a service says of itself. Implemented once per service, by exhaustive matches.
///
/// `Display` of the error is the message that the caller reads: no SQL, no path, no secret. What only an
/// operator should see goes into the `source()` chain, which is logged once.
pub trait ServiceError: std::error::Error + Send + Sync + 'static {
    /// The status code.
    fn code(&self) -> Code;

    /// The reason, a name of the registry `poa.errors.v1.ErrorReason` without its prefix.
    fn reason(&self) -> &'static str;

    /// Facts a program can act on, such as the state that was found.
    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The malformed fields, where the code is [`Code::InvalidArgument`].
    fn violations(&self) -> &[FieldViolation] {
        &[]
    }

    /// When to try again, where the code allows it.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Whether the request certainly left no trace. `false` means: it may have been applied; ask again
    /// with the same request id.
    fn certainly_not_applied(&self) -> bool;
}

// === impl Violations ===

impl Violations {
    /// Notes that `field` is wrong.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation { field: field.into(), description: description.into() });
    }

    /// Parses a value, noting a violation where that fails.
    pub fn parse<T: std::str::FromStr<Err: fmt::Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The violations, in the order in which they were found.
    pub fn into_vec(self) -> Vec<FieldViolation> {
        self.0
    }
}

impl From<Vec<FieldViolation>> for Violations {
    fn from(violations: Vec<FieldViolation>) -> Self {
        Self(violations)
    }
}

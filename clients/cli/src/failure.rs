//! Why a command failed: an exit code for scripts, a sentence and a next step for people.

use std::io::Write as _;
use std::process::ExitCode;

use poa_sdk::receipts::{BundleError, LiabilitiesError, TrustError, VerifyError};
use poa_sdk::{Code, EndpointError, Error, HistoryError, KeyError};
use serde_json::json;

use crate::units::sats;

/// The exit codes, as `poa --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Other,
    Usage,
    NotSignedIn,
    NotFound,
    Refused,
    Unavailable,
    Unverified,
}

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
    reason: String,
    /// Nobody reads any more: there is nothing to say.
    silent: bool,
}

// === impl Exit ===

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotSignedIn => 3,
            Self::NotFound => 4,
            Self::Refused => 5,
            Self::Unavailable => 6,
            Self::Unverified => 7,
        }
    }

    /// The exit code of what a server answered.
    fn of(error: &Error) -> Self {
        let Some(code) = error.code() else {
            return match error {
                Error::Endpoint(_) => Self::Usage,
                Error::Signing(_) => Self::Unverified,
                Error::Store(_) => Self::NotSignedIn,
                Error::Status(_) | Error::Key(_) | Error::Contract(_) => Self::Other,
            };
        };
        match code {
            Code::Unauthenticated | Code::PermissionDenied => Self::NotSignedIn,
            Code::NotFound if error.reason() == "NO_OPEN_TASK" => Self::Refused,
            Code::NotFound => Self::NotFound,
            Code::InvalidArgument
                if matches!(error.reason(), "INVOICE_REFUSED" | "ADDRESS_REFUSED" | "SIGNATURE_INVALID") =>
            {
                Self::Refused
            }
            Code::InvalidArgument | Code::OutOfRange => Self::Usage,
            Code::ResourceExhausted if error.reason() == "RATE_LIMITED" => Self::Unavailable,
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted | Code::ResourceExhausted => {
                Self::Refused
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Self::Unavailable,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Self::Other,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, reason: String::new(), silent: false }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A file could not be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::Usage } else { Exit::Other };
        Self::new(exit, format!("{}: {error}", path.display()))
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        let silent = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { silent, ..Self::new(Exit::Other, format!("standard output: {error}")) }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says it on standard error.
    pub(crate) fn report(&self, json: bool) {
        if self.silent {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        // Where even standard error is closed, the exit code remains.
        let _ = if json {
            let error = json!({
                "message": self.message, "reason": self.reason, "hint": self.hint, "exit": self.exit.code(),
            });
            writeln!(stderr, "{}", json!({ "error": error }))
        } else {
            writeln!(stderr, "error: {}", self.message)
        };
        if let (Some(hint), false) = (&self.hint, json) {
            let _ = writeln!(stderr, "  {hint}");
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match (error.code(), error.reason()) {
            (_, "SIGN_IN_FAILED") => Some("check the user name and the password".to_owned()),
            (_, "SCOPE_MISSING") => {
                Some("this key does not allow it: make one with `poa keys create --scope …`".to_owned())
            }
            (_, "AUDIENCE_MISMATCH") if fact(&error, "audience") == Some("session") => {
                Some("an API key does not do this: run `poa login`, then again without the key".to_owned())
            }
            (Some(Code::Unauthenticated), _) => Some("not signed in any more: run `poa login`".to_owned()),
            (_, "INSUFFICIENT_FUNDS") => Some("put sats in: run `poa deposit AMOUNT`".to_owned()),
            (_, "PAYOUTS_PAUSED") => Some("your sats are where they were: try again later".to_owned()),
            (_, "HOLD_INVOICE_UNAVAILABLE") => Some(without_hold_invoice(&error)),
            (_, "WITHDRAWAL_STATE") => {
                Some("only a failed one is replaced, and once: see `poa withdraw list`".to_owned())
            }
            (_, "ETAG_MISMATCH") => {
                Some("it was changed meanwhile: look at it, then decide again".to_owned())
            }
            (_, "FEE_STARTED") => Some("set another one from a later moment on: --from MOMENT".to_owned()),
            (_, "USERNAME_TAKEN") => Some("take another name, or sign in: run `poa login`".to_owned()),
            (_, "NO_OPEN_TASK") => Some("wait for one: run `poa feed`".to_owned()),
            (Some(Code::Unavailable), _) => {
                Some("is the mesh running, and is the address right? `poa info --endpoint URL`".to_owned())
            }
            (Some(Code::DeadlineExceeded), _) => {
                Some("it may have happened or not: look before you do it again".to_owned())
            }
            (Some(Code::Unimplemented), _) => {
                Some("this server is of another version: see `poa info`".to_owned())
            }
            (_, _) => None,
        };
        let hint = match &error {
            Error::Store(_) => Some("run `poa login`".to_owned()),
            Error::Status(_)
            | Error::Endpoint(_)
            | Error::Key(_)
            | Error::Signing(_)
            | Error::Contract(_) => hint,
        };
        let (exit, reason) = (Exit::of(&error), error.reason().to_owned());
        Self { hint, reason, ..Self::new(exit, error.to_string()) }
    }
}

/// What to do where no hold invoice can fund a task.
fn without_hold_invoice(error: &Error) -> String {
    let change = match (fact(error, "problem"), fact(error, "least_msat")) {
        (Some("price"), Some(least)) => match least.parse() {
            Ok(least) => format!("offer {} or more", sats(least)),
            Err(_) => "offer more".to_owned(),
        },
        (Some("price"), None) => "offer more".to_owned(),
        (Some("durations"), _) => "ask for shorter times (--open-for, --work-for, --review-for)".to_owned(),
        (_, _) => return "fund it from your balance, without --funding".to_owned(),
    };
    format!("{change}, or fund it from your balance, without --funding")
}

fn fact<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error.status().and_then(|status| status.fact(name))
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        Error::from(error).into()
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Error::from(error).into()
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::new(Exit::Unverified, error.to_string())
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        Self::new(Exit::Unverified, error.to_string())
    }
}

impl From<LiabilitiesError> for Failure {
    fn from(error: LiabilitiesError) -> Self {
        Self::new(Exit::Unverified, error.to_string())
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        Self::new(Exit::Unverified, error.to_string())
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        Self::new(Exit::Unverified, error.to_string())
    }
}

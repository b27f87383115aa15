//! What can go wrong between a service and its database, and what that means for the caller.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The cause, for the log. Shared, because one failed batch answers many callers.
type Source = Arc<dyn StdError + Send + Sync>;

/// An error of the database layer. `Display` is safe to show; details stand in the source chain.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or the connection broke before COMMIT was sent.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// A bounded queue is full, or a lock or statement took too long: shed, not applied.
    #[error("the database is busy")]
    Busy,
    /// The service is shutting down and takes no new work.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// COMMIT was sent and no answer came: re-read by the idempotency key, never retry blind.
    #[error("the outcome of the commit is not known")]
    CommitUnknown,
    /// A named constraint was violated: map the name to a domain error.
    #[error("a constraint of the database was violated")]
    Constraint {
        /// The constraint's name, as the migration gives it.
        name: String,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// A serialisation conflict or deadlock that outlived the bounded retries.
    #[error("the transaction lost against concurrent ones")]
    Serialization(#[source] Source),
    /// The request id was used before for another payload.
    #[error("the request id was used before with another payload")]
    RequestIdReused,
    /// What is stored does not parse, or an invariant of the stored data does not hold: a bug.
    #[error("stored data is corrupt")]
    Corrupt(String),
    /// The configuration cannot work.
    #[error("the database configuration is invalid: {0}")]
    Config(String),
    /// Anything else: a bug in a statement, a failed migration, a panic in the closure.
    #[error("the database operation failed")]
    Other(#[source] Source),
}

/// Nothing was heard on a connection for longer than the server lets a statement run.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct Silence(Duration);

// === impl Error ===

impl Error {
    /// An error that is none of the others.
    pub fn other(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(Arc::from(source.into()))
    }

    /// A connection stayed silent for so long, before COMMIT was sent.
    pub(crate) fn silence(patience: Duration) -> Self {
        Self::Unavailable(Arc::new(Silence(patience)))
    }

    /// Whether the cause is a connection that stayed silent.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Unavailable(source) if source.downcast_ref::<Silence>().is_some())
    }

    /// Whether the same request, with the same request id, may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::Busy
            | Self::ShuttingDown
            | Self::CommitUnknown
            | Self::Serialization(_) => true,
            Self::Constraint { .. }
            | Self::RequestIdReused
            | Self::Corrupt(_)
            | Self::Config(_)
            | Self::Other(_) => false,
        }
    }

    /// Whether the transaction certainly left no trace. Holds for errors of `transact` and of the batch
    /// writer, which are the only ways to write.
    pub fn certainly_not_applied(&self) -> bool {
        match self {
            Self::CommitUnknown => false,
            Self::Unavailable(_)
            | Self::Busy
            | Self::ShuttingDown
            | Self::Constraint { .. }
            | Self::Serialization(_)
            | Self::RequestIdReused
            | Self::Corrupt(_)
            | Self::Config(_)
            | Self::Other(_) => true,
        }
    }

    /// The name of the violated constraint.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { name, .. } => Some(name),
            Self::Unavailable(_)
            | Self::Busy
            | Self::ShuttingDown
            | Self::CommitUnknown
            | Self::Serialization(_)
            | Self::RequestIdReused
            | Self::Corrupt(_)
            | Self::Config(_)
            | Self::Other(_) => None,
        }
    }

    /// The storage error in the chain of a service's own error, however it is wrapped.
    pub(crate) fn in_chain(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(link) = next {
            // The `Arc` of a cause is a link of its own, and its `source()` skips what it holds.
            let current: &(dyn StdError + 'static) = match link.downcast_ref::<Source>() {
                Some(shared) => &**shared,
                None => link,
            };
            if let Some(found) = current.downcast_ref::<Self>() {
                return Some(found.clone());
            }
            // A `#[error(transparent)]` wrapper hides the layer itself; its cause still tells.
            if let Some(found) = current.downcast_ref::<sqlx::Error>() {
                return Some(Self::of_driver(found));
            }
            next = current.source();
        }
        None
    }

    /// What an answer to COMMIT means: an error that the server itself reports is a rollback; a broken or
    /// terminated connection proves nothing.
    pub(crate) fn of_commit(error: sqlx::Error) -> Self {
        let refused = match &error {
            sqlx::Error::Database(database) => {
                database.try_downcast_ref::<PgDatabaseError>().is_some_and(|reported| {
                    matches!(reported.severity(), PgSeverity::Error) && !reported.code().starts_with("57P")
                })
            }
            _other_drivers_enum => false,
        };
        if refused { Self::from(error) } else { Self::CommitUnknown }
    }

    fn of_driver(error: &sqlx::Error) -> Self {
        match Kind::of(error) {
            Kind::Unavailable => Self::Unavailable(shown(error)),
            Kind::Busy => Self::Busy,
            Kind::Serialization => Self::Serialization(shown(error)),
            Kind::Constraint(name) => Self::Constraint { name, source: shown(error) },
            Kind::Corrupt => Self::Corrupt(error.to_string()),
            Kind::Other => Self::Other(shown(error)),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match Kind::of(&error) {
            Kind::Unavailable => Self::Unavailable(Arc::new(error)),
            Kind::Busy => Self::Busy,
            Kind::Serialization => Self::Serialization(Arc::new(error)),
            Kind::Constraint(name) => Self::Constraint { name, source: Arc::new(error) },
            Kind::Corrupt => Self::Corrupt(error.to_string()),
            Kind::Other => Self::Other(Arc::new(error)),
        }
    }
}

/// The variant that a driver's error becomes.
enum Kind {
    Unavailable,
    Busy,
    Serialization,
    Constraint(String),
    Corrupt,
    Other,
}

// === impl Kind ===

impl Kind {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt,
            sqlx::Error::Database(database) => {
                Self::of_code(database.code().as_deref().unwrap_or(""), database.constraint())
            }
            _other_drivers_enum => Self::Other,
        }
    }

    /// By SQLSTATE: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
    fn of_code(code: &str, constraint: Option<&str>) -> Self {
        match (code, constraint) {
            ("40001" | "40P01", _) => Self::Serialization,
            // Statement timeout and lock timeout: ours, set at connect.
            ("57014" | "55P03", _) => Self::Busy,
            (code, Some(name)) if code.starts_with("23") => Self::Constraint(name.to_owned()),
            // Connection exceptions, shutdown, start-up, too many connections.
            (code, _) if code.starts_with("08") || code.starts_with("57P") || code == "53300" => {
                Self::Unavailable
            }
            (_, _) => Self::Other,
        }
    }
}

/// A driver's error that cannot be moved, kept as its text.
fn shown(error: &sqlx::Error) -> Source {
    Arc::from(Box::<dyn StdError + Send + Sync>::from(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Wrapped(#[from] Error);

    #[test]
    fn a_storage_error_is_found_however_a_service_wraps_it() {
        let wrapped = Wrapped(Error::Busy);
        // A transparent wrapper shows neither itself nor the layer below: there is nothing to find.
        assert!(Error::in_chain(&wrapped).is_none());
        let wrapped = Wrapped(Error::from(sqlx::Error::PoolTimedOut));
        assert!(matches!(Error::in_chain(&wrapped), Some(Error::Unavailable(_))));
        assert!(matches!(Error::in_chain(&Error::CommitUnknown), Some(Error::CommitUnknown)));
    }

    #[test]
    fn a_broken_connection_at_commit_is_unknown() {
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let error = Error::of_commit(broken);
        assert!(matches!(error, Error::CommitUnknown));
        assert!(!error.certainly_not_applied() && error.is_retryable());
    }
}

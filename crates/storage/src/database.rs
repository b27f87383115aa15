//! The handle to a service's database.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Error as DriverError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::{DatabaseConfig, Error, Lent, Reader, migrate};

/// A connection that was idle for longer is tested before use; testing each time would cost every
/// statement a round trip.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);
/// How long such a test may take: a dead one must leave time for a new connection.
const TEST_WITHIN: Duration = Duration::from_secs(1);
/// How much longer than a statement may run we wait for its answer: the server's own timeout comes first, and
/// what is silent after it is a dead peer or a black hole.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// A service's database: cheap to clone, one per process and database.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    reader: Reader,
    /// One permit per transaction that runs.
    running: Arc<Semaphore>,
    /// One permit per transaction that runs or waits.
    admitted: Arc<Semaphore>,
    max_connections: u32,
    acquire_timeout: Duration,
    /// How long a connection may stay silent.
    patience: Duration,
    /// Rung after a commit that appended events; the relay listens.
    appended: Notify,
}

// === impl Database ===

impl Database {
    /// Connects, waiting for a database that is still starting, then applies the tables of this crate and
    /// the service's migrations. Replicas that start together take turns.
    ///
    /// # Errors
    /// `Config` for a bad configuration, `Unavailable` where no connection came about in time, `Other` for
    /// a migration that fails or was changed after it had been applied.
    pub async fn connect(config: &DatabaseConfig, migrator: &Migrator) -> Result<Self, Error> {
        migrate::run(config, migrator).await?;
        let acquire_timeout = Duration::from_millis(config.acquire_timeout_ms);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > TEST_AFTER_IDLE {
                        let tested = tokio::time::timeout(TEST_WITHIN, connection.ping()).await;
                        tested.map_err(|_silence| DriverError::PoolTimedOut)??;
                    }
                    Ok(true)
                })
            })
            .connect_with(config.pool_options()?)
            .await?;
        let running = usize::try_from(config.max_connections).unwrap_or(1);
        Ok(Self {
            inner: Arc::new(Inner {
                reader: Reader::new(pool, Duration::from_millis(config.read_timeout_ms)),
                running: Arc::new(Semaphore::new(running)),
                admitted: Arc::new(Semaphore::new(running.saturating_add(config.max_waiting))),
                max_connections: config.max_connections,
                acquire_timeout,
                patience: Duration::from_millis(config.statement_timeout_ms).saturating_add(ANSWER_MARGIN),
                appended: Notify::new(),
            }),
        })
    }

    /// For reads: single statements that commit by themselves, each with an end. A read whose future is dropped
    /// leaves nothing behind. Writes go through [`Database::transact`] or a batch writer.
    pub fn read(&self) -> &Reader {
        &self.inner.reader
    }

    /// Whether the database answers, for readiness.
    ///
    /// # Errors
    /// `Unavailable` where it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(self.read()).await?;
        Ok(())
    }

    /// Closes all connections once their work is done. For an orderly end: nothing is lost without it.
    pub async fn close(&self) {
        self.inner.reader.pool().close().await;
    }

    /// How many connections there are in all.
    pub fn max_connections(&self) -> u32 {
        self.inner.max_connections
    }

    /// How long one attempt of a transaction may take before its connection counts as dead: the statement
    /// timeout and a margin.
    pub(crate) fn patience(&self) -> Duration {
        self.inner.patience
    }

    /// A connection for a transaction; waits at most the configured time.
    pub(crate) async fn connection(&self) -> Result<Lent, Error> {
        Ok(self.inner.reader.acquire().await?)
    }

    /// Admission of a transaction: at once to the queue or not at all, then a turn within the time that a
    /// connection may take.
    pub(crate) async fn admit(&self) -> Result<Admission, Error> {
        let queue = self.inner.admitted.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
        let turn =
            tokio::time::timeout(self.inner.acquire_timeout, self.inner.running.clone().acquire_owned())
                .await
                .map_err(|_| Error::Busy)?
                .map_err(|_| Error::ShuttingDown)?;
        Ok(Admission { _queue: queue, _turn: turn })
    }

    pub(crate) fn ring_appended(&self) {
        self.inner.appended.notify_one();
    }

    pub(crate) async fn appended(&self) {
        self.inner.appended.notified().await;
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("max_connections", &self.inner.max_connections)
            .finish_non_exhaustive()
    }
}

/// The right to run one transaction; moves into the task that runs it.
pub(crate) struct Admission {
    _queue: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

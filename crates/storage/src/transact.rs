//! The only place that begins a transaction for a request.

use std::error::Error as StdError;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::Instrument;

use crate::{Database, Error, Tx, metrics};

/// How often a transaction runs in all, where it lost against others or its connection was dead.
const MAX_ATTEMPTS: u32 = 6;
/// The pause before the second attempt; each further one is twice as long, plus as much again at random.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// What an error at COMMIT leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AfterUnknown {
    /// The caller hears of it.
    Report,
    /// The closure runs again, and finds by its own idempotency record what became of the first run.
    RunAgain,
}

// === impl Database ===

impl Database {
    /// Runs `work` in a transaction of its own task, commits when it returns `Ok` and rolls back when it
    /// returns `Err`. A caller that is dropped cancels nothing: what was begun is finished.
    ///
    /// `work` may run several times (40001, 40P01, a dead connection before COMMIT), so it only touches the
    /// database. It must not call `transact` itself: with every connection taken that would wait in vain.
    ///
    /// ```ignore
    /// db.transact(move |tx| Box::pin(async move {
    ///     sqlx::query("UPDATE …").bind(id).execute(tx.conn()).await.map_err(storage::Error::from)?;
    ///     Ok::<_, Error>(())
    /// })).await
    /// ```
    ///
    /// # Errors
    /// Those of `work`; `Busy` with a full queue; `CommitUnknown` where COMMIT was sent and not answered.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        self.transact_with(work, |work, tx| work(tx)).await
    }

    /// As [`Database::transact`], with an input that the closure borrows in each run instead of cloning it.
    ///
    /// # Errors
    /// As [`Database::transact`].
    pub async fn transact_with<I, T, E, F>(&self, input: I, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        self.spawn(AfterUnknown::Report, input, work).await
    }

    /// As [`Database::transact_with`] for a closure that is idempotent by itself: it begins with
    /// [`crate::idempotency::begin`] (or an equal guard) and answers a replay. Then an unknown COMMIT is
    /// resolved here by running it once more on a new connection, where the record tells.
    ///
    /// # Errors
    /// As [`Database::transact`]; `CommitUnknown` only where the database does not come back in time.
    pub async fn transact_idempotent<I, T, E, F>(&self, input: I, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        self.spawn(AfterUnknown::RunAgain, input, work).await
    }

    async fn spawn<I, T, E, F>(&self, after_unknown: AfterUnknown, input: I, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        let admission = self.admit().await?;
        let db = self.clone();
        let task = async move {
            let outcome = run(&db, after_unknown, &input, &work).await;
            drop(admission);
            outcome
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(outcome) => outcome,
            // A panic in the closure: its transaction was closed with its connection.
            Err(joined) if joined.is_panic() => Err(Error::other(joined).into()),
            // The runtime is going away, at an unknown point of the task.
            Err(_) => Err(Error::CommitUnknown.into()),
        }
    }
}

/// Why one attempt failed.
struct Failure<E> {
    error: E,
    /// Whether another attempt may do better. Never true of an error at COMMIT that leaves it open.
    again: bool,
    unknown: bool,
}

async fn run<I, T, E, F>(db: &Database, after_unknown: AfterUnknown, input: &I, work: &F) -> Result<T, E>
where
    F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>>,
    E: StdError + From<Error> + 'static,
{
    let mut unknown = false;
    let mut attempt = 1;
    loop {
        let failure = match once(db, input, work).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        unknown |= failure.unknown;
        let again = failure.again || (failure.unknown && after_unknown == AfterUnknown::RunAgain);
        if !again || attempt >= MAX_ATTEMPTS {
            // Once unknown, an attempt that could not find out does not make it known.
            let open = unknown && (failure.again || failure.unknown);
            return Err(if open { Error::CommitUnknown.into() } else { failure.error });
        }
        metrics::transaction_retried();
        tokio::time::sleep(pause(attempt)).await;
        attempt += 1;
    }
}

async fn once<I, T, E, F>(db: &Database, input: &I, work: &F) -> Result<T, Failure<E>>
where
    F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>>,
    E: StdError + From<Error> + 'static,
{
    // No further attempt here: the pool has tried for as long as a caller may wait.
    let connection = db.connection().await.map_err(Failure::waited_in_vain)?;
    let mut tx = Tx::new(connection);
    tx.begin().await.map_err(Failure::of_storage)?;
    match work(input, &mut tx).await {
        Ok(value) => {
            tx.commit().await.map_err(Failure::of_storage)?;
            if tx.has_appended() {
                db.ring_appended();
            }
            Ok(value)
        }
        Err(error) => {
            tx.rollback().await;
            Err(Failure { again: is_passing(Error::in_chain(&error).as_ref()), error, unknown: false })
        }
    }
}

/// Whether the error is one of concurrency or of a connection, which another attempt does not meet again.
pub(crate) fn is_passing(error: Option<&Error>) -> bool {
    match error {
        Some(Error::Serialization(_) | Error::Unavailable(_)) => true,
        Some(
            Error::Busy
            | Error::ShuttingDown
            | Error::CommitUnknown
            | Error::Constraint { .. }
            | Error::RequestIdReused
            | Error::Corrupt(_)
            | Error::Config(_)
            | Error::Other(_),
        )
        | None => false,
    }
}

// === impl Failure ===

impl<E: From<Error>> Failure<E> {
    fn of_storage(error: Error) -> Self {
        let unknown = !error.certainly_not_applied();
        Self { again: is_passing(Some(&error)), error: error.into(), unknown }
    }

    fn waited_in_vain(error: Error) -> Self {
        Self { error: error.into(), again: false, unknown: false }
    }
}

/// Exponential with full jitter, so that two that collided do not collide again.
pub(crate) fn pause(attempt: u32) -> Duration {
    let base = FIRST_PAUSE.saturating_mul(1 << attempt.min(8));
    // The seed of a hash map: random enough to part two tasks, and no secret.
    let random = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    base + base.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

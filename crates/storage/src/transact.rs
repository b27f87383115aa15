//! The only place that begins a transaction for a request.

use std::error::Error as StdError;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::Instrument;

use crate::{Database, Error, Tx, metrics};

/// How often a transaction runs in all, where it lost against others or its connection was dead.
const MAX_ATTEMPTS: u32 = 6;
/// How often it runs in all where its connection was silent: each of these attempts costs a statement timeout.
const MAX_SILENT_ATTEMPTS: u32 = 2;
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

/// How a transaction is run.
#[derive(Clone, Copy)]
struct Course {
    after_unknown: AfterUnknown,
    /// How long one attempt may take up to COMMIT.
    limit: Duration,
}

// === impl Database ===

impl Database {
    /// Runs `work` in a transaction of its own task, commits when it returns `Ok` and rolls back when it
    /// returns `Err`. A caller that is dropped cancels nothing: what was begun is finished.
    ///
    /// `work` may run several times (40001, 40P01, a dead or silent connection before COMMIT), so it only touches
    /// the database. It must not call `transact` itself: with every connection taken that would wait in vain.
    /// All its statements together have the time of one statement and two seconds.
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

    /// As [`Database::transact`] for work that reads much: one attempt may take so long. The server's limit on a
    /// statement is the closure's to raise (`SET LOCAL statement_timeout`), to less than this.
    ///
    /// # Errors
    /// As [`Database::transact`].
    pub async fn transact_within<T, E, F>(&self, limit: Duration, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        self.spawn(Course { after_unknown: AfterUnknown::Report, limit }, work, |work, tx| work(tx)).await
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
        self.spawn(Course { after_unknown: AfterUnknown::Report, limit: self.patience() }, input, work).await
    }

    /// As [`Database::transact_with`] for a closure that is idempotent by itself: it begins with
    /// [`crate::idempotency::begin`] (or an equal guard) and answers a replay. Then an unknown COMMIT is
    /// resolved here by running it once more on a new connection, where the record tells.
    ///
    /// # Errors
    /// As [`Database::transact`]; `CommitUnknown` where the runs after an unknown COMMIT end in anything but success
    /// or a definite answer of the guard (`RequestIdReused`, `Constraint`): such a failure says nothing of the first.
    pub async fn transact_idempotent<I, T, E, F>(&self, input: I, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        self.spawn(Course { after_unknown: AfterUnknown::RunAgain, limit: self.patience() }, input, work)
            .await
    }

    async fn spawn<I, T, E, F>(&self, course: Course, input: I, work: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + Sync + 'static,
        I: Send + Sync + 'static,
        T: Send + 'static,
        E: StdError + From<Error> + Send + Sync + 'static,
    {
        let admission = self.admit().await?;
        let db = self.clone();
        let unknown = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&unknown);
        let task = async move {
            let outcome = run(&db, course, &noted, &input, &work).await;
            drop(admission);
            outcome
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(outcome) => outcome,
            // A panic in the closure: its transaction was closed with its connection, and no earlier one is open.
            Err(joined) if joined.is_panic() && !unknown.load(Ordering::SeqCst) => {
                Err(Error::other(joined).into())
            }
            // The runtime is going away at an unknown point of the task, or the panic came after an unknown COMMIT.
            Err(_) => Err(Error::CommitUnknown.into()),
        }
    }
}

/// Why one attempt failed.
struct Failure<E> {
    error: E,
    /// Whether another attempt may do better. Never true of an error at COMMIT that leaves it open.
    again: bool,
    /// Whether its connection was silent.
    silent: bool,
    unknown: bool,
}

/// `unknown` is set once a COMMIT went unanswered, whatever becomes of this future.
async fn run<I, T, E, F>(
    db: &Database,
    course: Course,
    unknown: &AtomicBool,
    input: &I,
    work: &F,
) -> Result<T, E>
where
    F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>>,
    E: StdError + From<Error> + 'static,
{
    let mut attempt = 1;
    loop {
        let failure = match once(db, course.limit, input, work).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        unknown.fetch_or(failure.unknown, Ordering::SeqCst);
        let again = failure.again || (failure.unknown && course.after_unknown == AfterUnknown::RunAgain);
        if !again || attempt >= if failure.silent { MAX_SILENT_ATTEMPTS } else { MAX_ATTEMPTS } {
            // Once unknown, an attempt that could not find out does not make it known.
            let open =
                unknown.load(Ordering::SeqCst) && !is_definite(Error::in_chain(&failure.error).as_ref());
            return Err(if open { Error::CommitUnknown.into() } else { failure.error });
        }
        metrics::transaction_retried();
        tokio::time::sleep(pause(attempt)).await;
        attempt += 1;
    }
}

async fn once<I, T, E, F>(db: &Database, limit: Duration, input: &I, work: &F) -> Result<T, Failure<E>>
where
    F: for<'t> Fn(&'t I, &'t mut Tx) -> BoxFuture<'t, Result<T, E>>,
    E: StdError + From<Error> + 'static,
{
    // No further attempt here: the pool has tried for as long as a caller may wait.
    let connection = db.connection().await.map_err(Failure::waited_in_vain)?;
    let mut tx = Tx::new(connection, db.patience());
    let worked = tokio::time::timeout(limit, async {
        tx.begin().await.map_err(Failure::of_storage)?;
        work(input, &mut tx).await.map_err(Failure::of_work)
    });
    match worked.await {
        Ok(Ok(value)) => {
            tx.commit().await.map_err(Failure::of_storage)?;
            if tx.has_appended() {
                db.ring_appended();
            }
            Ok(value)
        }
        Ok(Err(failure)) => {
            tx.rollback().await;
            Err(failure)
        }
        // The connection is closed with `tx`: nothing more is said on it.
        Err(_silence) => Err(Failure::of_storage(Error::silence(limit))),
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

/// Whether the error is an answer of the guard: it has seen what earlier runs have left, or that they left nothing.
fn is_definite(error: Option<&Error>) -> bool {
    match error {
        Some(Error::RequestIdReused | Error::Constraint { .. }) => true,
        Some(
            Error::Unavailable(_)
            | Error::Busy
            | Error::ShuttingDown
            | Error::CommitUnknown
            | Error::Serialization(_)
            | Error::Corrupt(_)
            | Error::Config(_)
            | Error::Other(_),
        )
        // A service may hide ours in a wrapper, so its own error proves nothing: asked again, it is given again.
        | None => false,
    }
}

// === impl Failure ===

impl<E: StdError + From<Error> + 'static> Failure<E> {
    fn of_storage(error: Error) -> Self {
        let (again, silent) = (is_passing(Some(&error)), error.is_silence());
        let unknown = !error.certainly_not_applied();
        Self { error: error.into(), again, silent, unknown }
    }

    fn of_work(error: E) -> Self {
        let again = is_passing(Error::in_chain(&error).as_ref());
        Self { error, again, silent: false, unknown: false }
    }

    fn waited_in_vain(error: Error) -> Self {
        Self { error: error.into(), again: false, silent: false, unknown: false }
    }
}

/// Exponential with full jitter, so that two that collided do not collide again.
pub(crate) fn pause(attempt: u32) -> Duration {
    let base = FIRST_PAUSE.saturating_mul(1 << attempt.min(8));
    // The seed of a hash map: random enough to part two tasks, and no secret.
    let random = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    base + base.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

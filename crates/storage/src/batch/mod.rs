//! The batch writer: many commands, one transaction, one COMMIT, an answer for each.
//!
//! One task owns one connection. It takes the first command and whatever is ready behind it, up to
//! [`MAX_BATCH`]: an idle writer commits at once, a loaded one amortises its COMMIT, and hot rows are locked
//! by one transaction at a time. What becomes of a command:
//!
//! | what happens | what the caller hears |
//! |---|---|
//! | `apply` decides | its own result, after COMMIT |
//! | conflict, dead or silent connection before COMMIT | nothing: the batch runs again, a bounded number of times |
//! | `apply` fails or panics | the batch is halved until the culprit stands alone; it alone hears of it |
//! | COMMIT is not answered | what `recover` finds on a new connection, else `CommitUnknown` |
//! | the caller goes away | nothing; the command is carried out all the same |

mod writer;

use std::error::Error as StdError;
use std::future::Future;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Database, Error, Tx};

/// The most commands of one transaction: beyond it a COMMIT is amortised already and latency only grows.
pub const MAX_BATCH: usize = 500;
/// Commands that may wait: several batches, so that a COMMIT never finds the queue empty under load.
pub const DEFAULT_QUEUE: usize = 4_096;

/// One result per command, in their order.
pub type Replies<R, E> = Vec<Result<R, E>>;

/// What a batch writer is for: decides commands and writes what follows.
pub trait BatchHandler: Send + Sync + 'static {
    /// What callers submit. Cloned where a batch runs again.
    type Command: Clone + Send + Sync + 'static;
    /// What callers get.
    type Reply: Send + 'static;
    /// The service's own error.
    type Error: StdError + From<Error> + Send + Sync + 'static;

    /// Carries out all commands in the given transaction, with set-based statements, and answers each in
    /// its order. An `Err` for a single command is its answer (a refusal): the others commit. An outer
    /// `Err` rolls all back; then the batch runs again or is halved, so `apply` touches the database only.
    fn apply(
        &self,
        tx: &mut Tx,
        commands: &[Self::Command],
    ) -> impl Future<Output = Result<Replies<Self::Reply, Self::Error>, Self::Error>> + Send;

    /// Whether this command was carried out, by its idempotency record: asked on another connection after
    /// a COMMIT that was not answered. `None` means that no record is there.
    fn recover(
        &self,
        db: &Database,
        command: &Self::Command,
    ) -> impl Future<Output = Result<Option<Self::Reply>, Self::Error>> + Send;

    /// Commands with the same key never share a batch: the idempotency key, so that a duplicate is decided
    /// after the first was committed.
    fn conflict_key(&self, command: &Self::Command) -> Option<uuid::Uuid> {
        let _ = command;
        None
    }
}

/// How a batch writer runs.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Its name in metrics and logs.
    pub name: &'static str,
    /// Commands of one transaction, at most [`MAX_BATCH`].
    pub max_batch: usize,
    /// Commands that may wait before more are refused as busy.
    pub queue: usize,
}

/// Submits commands: cheap to clone.
pub struct Handle<H: BatchHandler> {
    queue: mpsc::Sender<Submitted<H>>,
}

/// The writer itself. Made by [`BatchWriter::spawn`].
pub struct BatchWriter;

type ReplyOf<H> = Result<<H as BatchHandler>::Reply, <H as BatchHandler>::Error>;

/// A command and where its answer goes.
struct Submitted<H: BatchHandler> {
    command: H::Command,
    reply: oneshot::Sender<ReplyOf<H>>,
}

// === impl BatchOptions ===

impl BatchOptions {
    /// The defaults under this name.
    pub fn new(name: &'static str) -> Self {
        Self { name, max_batch: MAX_BATCH, queue: DEFAULT_QUEUE }
    }
}

// === impl BatchWriter ===

impl BatchWriter {
    /// Starts a writer that keeps one of the database's connections for itself. With `shutdown` it takes no
    /// more commands, carries out those it has, and ends: await the task for a graceful drain.
    ///
    /// # Errors
    /// `Config` where the database has a single connection, `Busy` where all are taken.
    pub async fn spawn<H: BatchHandler>(
        db: &Database,
        handler: H,
        options: BatchOptions,
        shutdown: CancellationToken,
    ) -> Result<(Handle<H>, JoinHandle<()>), Error> {
        if db.max_connections() < 2 {
            return Err(Error::Config("a batch writer needs max_connections of at least 2".to_owned()));
        }
        let admission = db.admit().await?;
        let (sender, receiver) = mpsc::channel(options.queue.max(1));
        let writer = writer::Writer::new(db.clone(), handler, options);
        let task = tokio::spawn(async move {
            writer.run(receiver, shutdown).await;
            drop(admission);
        });
        Ok((Handle { queue: sender }, task))
    }
}

// === impl Handle ===

impl<H: BatchHandler> Handle<H> {
    /// Submits a command and waits for its answer, which comes after its COMMIT. A dropped future does not
    /// withdraw the command.
    ///
    /// # Errors
    /// The handler's own; `Busy` with a full queue, `ShuttingDown` after shutdown (neither applied);
    /// `CommitUnknown` where it cannot be told.
    pub async fn submit(&self, command: H::Command) -> ReplyOf<H> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Submitted { command, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::ShuttingDown,
        })?;
        answer.await.unwrap_or_else(|_writer_is_gone| Err(Error::CommitUnknown.into()))
    }
}

impl<H: BatchHandler> Clone for Handle<H> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<H: BatchHandler> std::fmt::Debug for Handle<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("free", &self.queue.capacity()).finish()
    }
}

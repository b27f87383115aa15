//! The task behind a batch writer.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{BatchHandler, BatchOptions, MAX_BATCH, ReplyOf, Submitted};
use crate::transact::{is_passing, pause};
use crate::{Database, Error, Tx, metrics};

/// How often one batch runs in all, where it lost against others or its connection was dead.
const MAX_ATTEMPTS: u32 = 6;
/// How often it runs in all where its connection was silent: each of these attempts costs a statement timeout.
const MAX_SILENT_ATTEMPTS: u32 = 2;
/// How long a database may stay away before unknown outcomes are reported as such.
const RECOVER_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries to recover.
const RECOVER_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Writer<H: BatchHandler> {
    db: Database,
    handler: H,
    options: BatchOptions,
    /// The owned connection, between transactions.
    tx: Option<Tx>,
}

/// How one transaction over a batch ended.
enum Ended<H: BatchHandler> {
    Committed(Vec<ReplyOf<H>>),
    /// Nothing was applied, and another attempt may do better.
    Passing(Error),
    /// Nothing was applied; the handler failed.
    Failed(H::Error),
    /// COMMIT was not answered.
    Unknown,
}

// === impl Writer ===

impl<H: BatchHandler> Writer<H> {
    pub(super) fn new(db: Database, handler: H, options: BatchOptions) -> Self {
        Self { db, handler, options, tx: None }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Submitted<H>>, shutdown: CancellationToken) {
        let mut carried = VecDeque::new();
        loop {
            if carried.is_empty() {
                let first = tokio::select! {
                    biased;
                    () = shutdown.cancelled(), if !queue.is_closed() => {
                        queue.close();
                        continue;
                    }
                    first = queue.recv() => first,
                };
                // Closed and empty: drained.
                let Some(first) = first else { return };
                carried.push_back(first);
            }
            let batch = self.gather(&mut carried, &mut queue);
            self.settle(batch).await;
        }
    }

    /// What is ready, up to the limit and with no conflict key twice. The rest is carried over, in order.
    fn gather(
        &self,
        carried: &mut VecDeque<Submitted<H>>,
        queue: &mut mpsc::Receiver<Submitted<H>>,
    ) -> Vec<Submitted<H>> {
        let limit = self.options.max_batch.clamp(1, MAX_BATCH);
        while carried.len() < limit {
            match queue.try_recv() {
                Ok(next) => carried.push_back(next),
                Err(_empty_or_closed) => break,
            }
        }
        let mut keys = HashSet::new();
        let (batch, later): (Vec<_>, Vec<_>) = std::mem::take(carried)
            .into_iter()
            .partition(|next| self.handler.conflict_key(&next.command).is_none_or(|key| keys.insert(key)));
        *carried = later.into();
        batch
    }

    /// Answers every command of the batch, halving it around those that fail.
    async fn settle(&mut self, batch: Vec<Submitted<H>>) {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            match self.attempt(&part).await {
                Ended::Committed(replies) => answer(part, replies),
                Ended::Unknown => self.recover(part).await,
                Ended::Passing(error) => {
                    let replies = part.iter().map(|_| Err(error.clone().into())).collect();
                    answer(part, replies);
                }
                Ended::Failed(error) if part.len() == 1 => {
                    tracing::warn!(writer = self.options.name, "a command failed alone");
                    answer(part, vec![Err(error)]);
                }
                Ended::Failed(_) => {
                    metrics::batch_bisected(self.options.name);
                    let second = part.split_off(part.len() / 2);
                    // The first half is popped first: commands keep their order.
                    parts.push(second);
                    parts.push(part);
                }
            }
        }
    }

    async fn attempt(&mut self, part: &[Submitted<H>]) -> Ended<H> {
        let commands: Vec<H::Command> = part.iter().map(|submitted| submitted.command.clone()).collect();
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            match self.once(&commands).await {
                Ended::Committed(replies) => {
                    metrics::batch_committed(self.options.name, commands.len(), started.elapsed());
                    return Ended::Committed(replies);
                }
                Ended::Passing(error) if attempt < attempts_after(&error) => {
                    metrics::transaction_retried();
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                ended @ (Ended::Passing(_) | Ended::Failed(_) | Ended::Unknown) => return ended,
            }
        }
    }

    async fn once(&mut self, commands: &[H::Command]) -> Ended<H> {
        let mut tx = match self.tx.take() {
            Some(tx) => tx,
            None => match self.db.connection().await {
                Ok(connection) => Tx::new(connection, self.db.patience()),
                Err(error) => return Ended::Passing(error),
            },
        };
        let patience = self.db.patience();
        let worked = tokio::time::timeout(patience, async {
            tx.begin().await?;
            // A panic must not end the writer: the poison command is found by halving.
            Ok(AssertUnwindSafe(self.handler.apply(&mut tx, commands)).catch_unwind().await)
        });
        let applied = match worked.await {
            Ok(Ok(applied)) => applied,
            Ok(Err(error)) => return Ended::Passing(error),
            // The connection is closed with `tx`: nothing more is said on it.
            Err(_silence) => return Ended::Passing(Error::silence(patience)),
        };
        let replies = match applied {
            Ok(Ok(replies)) if replies.len() == commands.len() => replies,
            Ok(Ok(_)) => {
                tx.rollback().await;
                return Ended::Failed(Error::Corrupt("a reply is missing or left over".to_owned()).into());
            }
            Ok(Err(error)) => {
                tx.rollback().await;
                self.keep(tx);
                let found = Error::in_chain(&error);
                return match found {
                    Some(passing) if is_passing(Some(&passing)) => Ended::Passing(passing),
                    Some(_) | None => Ended::Failed(error),
                };
            }
            // The connection is closed with `tx`: its state is anyone's guess.
            Err(_panic) => return Ended::Failed(Error::other("the handler panicked").into()),
        };
        let committed = tx.commit().await;
        let appended = tx.has_appended();
        self.keep(tx);
        match committed {
            Ok(()) => {
                if appended {
                    self.db.ring_appended();
                }
                Ended::Committed(replies)
            }
            Err(Error::CommitUnknown) => Ended::Unknown,
            Err(error) if is_passing(Some(&error)) => Ended::Passing(error),
            Err(error) => Ended::Failed(error.into()),
        }
    }

    fn keep(&mut self, tx: Tx) {
        if tx.is_reusable() {
            self.tx = Some(tx);
        }
    }

    /// Asks the records what became of each command.
    async fn recover(&mut self, part: Vec<Submitted<H>>) {
        metrics::batch_unknown(self.options.name);
        tracing::warn!(
            writer = self.options.name,
            commands = part.len(),
            "a commit was not answered, reading the records"
        );
        let mut away = false;
        for Submitted { command, reply } in part {
            let read = if away { Err(Away) } else { self.read_record(&command).await };
            away = read.is_err();
            let found = read.unwrap_or(None);
            // No record is no proof: the old server process may still be at its COMMIT.
            let _caller_may_be_gone = reply.send(found.ok_or_else(|| Error::CommitUnknown.into()));
        }
    }

    /// The record of one command, from a database that may be away for a while, or silent.
    async fn read_record(&self, command: &H::Command) -> Result<Option<H::Reply>, Away> {
        let deadline = Instant::now() + RECOVER_WITHIN;
        loop {
            match tokio::time::timeout_at(deadline, self.handler.recover(&self.db, command)).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(_)) if Instant::now() < deadline => tokio::time::sleep(RECOVER_PAUSE).await,
                Ok(Err(_)) | Err(_) => return Err(Away),
            }
        }
    }
}

/// The records could not be read in time: nor can the next ones be.
struct Away;

fn attempts_after(error: &Error) -> u32 {
    if error.is_silence() { MAX_SILENT_ATTEMPTS } else { MAX_ATTEMPTS }
}

fn answer<H: BatchHandler>(part: Vec<Submitted<H>>, replies: Vec<ReplyOf<H>>) {
    for (submitted, reply) in part.into_iter().zip(replies) {
        let _caller_may_be_gone = submitted.reply.send(reply);
    }
}

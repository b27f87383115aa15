//! Grows the tree over the statements and publishes checkpoints.
//!
//! One transaction under the lock of the tree's row takes the new leaves, stores the nodes that they complete, and
//! the size, the root and the signed note. Nothing is published that is not stored: readers take the
//! checkpoint from the table. Two replicas take turns on the row, and a process that dies leaves either all of it or
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::BuildError;
use poa_common::{Env, Timestamp};
use poa_storage::{Database, Tx};
use proof_of_agent::tlog;
use proof_of_agent::{Checkpoint, Digest};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::kept::{self, Kept};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::keys::PlatformKeys;
use crate::metrics;
use crate::store;
use crate::store::checkpoints::Published;
use crate::store::log::Tree;

/// Without a nudge the log is looked at this often: another replica may have appended.
const POLL: Duration = Duration::from_millis(250);
/// Leaves of one checkpoint at most; the rest stand in the next. Bounds the transaction to some 100 ms.
const MAX_LEAVES: usize = 8_192;

/// How long one attempt may take: longer than a transaction that is repeated after a silent connection. What it has
/// begun to write goes on without it, and the next attempt finds what became of it.
const ADVANCE_LIMIT: Duration = Duration::from_secs(30);

/// Wakes the sequencer. Cheap to clone; a lost nudge costs a poll.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nudge(Arc<Notify>);

/// Grows the tree.
#[derive(Clone, Debug)]
pub(crate) struct Sequencer {
    env: Env,
    db: Database,
    keys: Arc<PlatformKeys>,
    interval: Duration,
    nudge: Nudge,
    kept: Kept,
}

/// What became of an attempt to grow the tree.
#[derive(Clone, Debug)]
enum Growth {
    /// Nothing was appended.
    None,
    /// The last checkpoint, ours or another replica's, is too young.
    TooSoon { wait: Duration },
    /// A checkpoint was published.
    Published { size: u64, note: String },
}

// === impl Nudge ===

impl Nudge {
    /// Statements were appended.
    pub(crate) fn appended(&self) {
        self.0.notify_one();
    }
}

// === impl Sequencer ===

impl Sequencer {
    /// Opens the log: makes the checkpoint of the empty one, or holds the newest against our own keys.
    ///
    /// # Errors
    /// A checkpoint that these keys have not signed: the database is of another log. A database that does not reach what was
    /// published, as the kept checkpoint shows: the log would fork.
    pub(crate) async fn open(
        env: Env,
        db: Database,
        keys: Arc<PlatformKeys>,
        interval: Duration,
        nudge: Nudge,
        kept: Kept,
    ) -> Result<Self, BuildError> {
        let sequencer = Self { env, db, keys, interval, nudge, kept };
        let origin = sequencer.keys.origin().to_owned();
        let newest = match store::checkpoints::newest(sequencer.db.read(), &origin, &[], 0).await? {
            Some(newest) => newest,
            None => sequencer.begin_here().await?,
        };
        let opened = sequencer.keys.open_checkpoint(&newest.note).map_err(|error| {
            let origin = sequencer.keys.origin();
            format!("the database holds a log that no log key of {origin} has signed: {error}")
        })?;
        if opened.size != newest.size {
            return Err("the newest checkpoint of the database is of another size than its row says".into());
        }
        sequencer.compare_with_kept(newest.size).await?;
        Ok(sequencer)
    }

    /// Begins to publish under our origin. A database that was published under another one is taken over where the trust root
    /// names that origin as an earlier one.
    async fn begin_here(&self) -> Result<Published, BuildError> {
        let before = store::checkpoints::origins(self.db.read()).await?;
        if let Some(foreign) = before.iter().find(|origin| !self.keys.has_origin(origin)) {
            return Err(format!(
                "the database holds the log {foreign}, which is no earlier origin of this one"
            )
            .into());
        }
        Ok(self.begin().await?)
    }

    /// Holds the database against the last checkpoint that was kept apart from it.
    async fn compare_with_kept(&self, stored: u64) -> Result<(), BuildError> {
        let Some(kept) = self.kept.read()?.filter(|kept| kept.origin == self.keys.origin()) else {
            return Ok(());
        };
        let root = if kept.size <= stored {
            let nodes = store::log::nodes(self.db.read(), tlog::nodes_needed_for_root(kept.size)).await?;
            Some(tlog::root(kept.size, &nodes)?)
        } else {
            None
        };
        Ok(kept::continues(&kept, stored, root)?)
    }

    /// Publishes until it is told to stop.
    pub(crate) async fn run(self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = self.nudge.0.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            let advanced = tokio::time::timeout(ADVANCE_LIMIT, self.advance()).await;
            let stalled = |_elapsed| Err(Error::bug("an attempt to grow the tree did not end"));
            let pause = match advanced.unwrap_or_else(stalled) {
                Ok(Growth::None) => continue,
                Ok(Growth::TooSoon { wait }) => wait,
                Ok(Growth::Published { size, .. }) => {
                    metrics::checkpoint_made(size);
                    tracing::debug!(size, "checkpoint published");
                    self.interval
                }
                Err(error) => {
                    tracing::warn!(error = %error, cause = ?error, "the tree did not grow");
                    POLL
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Publishes a checkpoint, where there is something new and the last one is old enough.
    async fn advance(&self) -> Result<Growth, Error> {
        if !store::log::is_behind(self.db.read()).await? {
            return Ok(Growth::None);
        }
        let growth = self.db.transact_with(self.clone(), |this, tx| Box::pin(this.grow(tx))).await?;
        if let Growth::Published { note, .. } = &growth {
            committed(Failpoint::CheckpointCommitted).await?;
            self.kept.write(note.clone()).await;
        }
        Ok(growth)
    }

    async fn grow(&self, tx: &mut Tx) -> Result<Growth, Error> {
        let tree = store::log::lock_tree(tx).await?;
        // Under the lock: another replica may have published while we waited for it.
        let now = self.env.now();
        // Clocks of replicas differ a little, and one that was set back by far must not stop the log.
        let age = (now - tree.checkpointed_at).unsigned_abs();
        if let Some(wait) = self.interval.checked_sub(age).filter(|wait| !wait.is_zero()) {
            return Ok(Growth::TooSoon { wait });
        }
        let entries = store::log::entries(tx.conn(), tree.size, MAX_LEAVES).await?;
        let leaves: Vec<Digest> = entries.iter().map(|entry| tlog::leaf_hash(entry)).collect();
        if leaves.is_empty() {
            return Ok(Growth::None);
        }
        let needed = tlog::nodes_needed_for_append(tree.size);
        let mut nodes = store::log::nodes(tx.conn(), needed).await?;
        let made = tlog::new_nodes_for_append(tree.size, &leaves, &nodes).map_err(Error::bug)?;
        store::log::insert_nodes(tx, &made).await?;
        nodes.extend(made);
        let count = u64::try_from(leaves.len()).map_err(Error::bug)?;
        let size = tree.size.checked_add(count).ok_or_else(|| Error::bug("the log is full"))?;
        let root = tlog::root(size, &nodes).map_err(Error::bug)?;
        let origin = self.keys.origin().to_owned();
        let Published { note, .. } = self.store(tx, &Checkpoint { origin, size, root }, now).await?;
        before_commit(Failpoint::CheckpointBeforeCommit).await?;
        Ok(Growth::Published { size, note })
    }

    async fn store(&self, tx: &mut Tx, checkpoint: &Checkpoint, now: Timestamp) -> Result<Published, Error> {
        let note = self.keys.sign_checkpoint(checkpoint).map_err(Error::bug)?;
        store::checkpoints::insert(tx, checkpoint, &note, now).await?;
        store::log::set_tree(tx, Tree { size: checkpoint.size, checkpointed_at: now }).await?;
        Ok(Published { size: checkpoint.size, note })
    }

    /// The first checkpoint under our origin: of the empty log, or of one that goes on under a new name. Two replicas that start together take turns, and the second finds it.
    async fn begin(&self) -> Result<Published, Error> {
        let input = (self.clone(), self.env.now());
        self.db
            .transact_with(input, |(this, now), tx| {
                Box::pin(async move {
                    let tree = store::log::lock_tree(tx).await?;
                    if let Some(published) =
                        store::checkpoints::newest(tx.conn(), this.keys.origin(), &[], 0).await?
                    {
                        return Ok(published);
                    }
                    let origin = this.keys.origin().to_owned();
                    let nodes = store::log::nodes(tx.conn(), tlog::nodes_needed_for_root(tree.size)).await?;
                    let root = tlog::root(tree.size, &nodes).map_err(Error::bug)?;
                    this.store(tx, &Checkpoint { origin, size: tree.size, root }, *now).await
                })
            })
            .await
    }
}

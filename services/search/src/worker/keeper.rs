//! Keeps the index whole: looks whether all of it is there, empties it where something is gone, and tells the followers
//! which build of it they work for.

use std::sync::Arc;
use std::time::Duration;

use poa_chassis::Latch;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::domain::Generation;
use crate::index::{Dropped, Error, Health, Index};
use crate::metrics::{self, Cause};

/// Between two looks at an index that does not answer.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// A handle to the index and its keeper. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Keeper<I> {
    index: Arc<I>,
    generation: watch::Receiver<Option<Generation>>,
    look: Arc<Notify>,
}

/// The keeper's own task.
#[derive(Debug)]
pub(crate) struct Keeping<I> {
    keeper: Keeper<I>,
    generation: watch::Sender<Option<Generation>>,
    every: Duration,
    ready: Latch,
}

// === impl Keeper ===

impl<I: Index> Keeper<I> {
    pub(crate) fn new(index: Arc<I>, every: Duration, ready: Latch) -> (Self, Keeping<I>) {
        let (sender, generation) = watch::channel(None);
        let keeper = Self { index, generation, look: Arc::default() };
        let keeping = Keeping { keeper: keeper.clone(), generation: sender, every, ready };
        (keeper, keeping)
    }

    /// The index.
    pub(crate) fn index(&self) -> &I {
        &self.index
    }

    /// The build of the index that is to be worked for; none before the first look.
    pub(crate) fn generation(&self) -> watch::Receiver<Option<Generation>> {
        self.generation.clone()
    }

    /// Looks again now, rather than in its turn.
    pub(crate) fn look(&self) {
        self.look.notify_one();
    }

    /// Empties the index, and has it built anew. With `expected` only where that is the present build.
    pub(crate) async fn rebuild(
        &self,
        cause: Cause,
        expected: Option<Generation>,
    ) -> Result<Option<Dropped>, Error> {
        let dropped = self.index.wipe(expected).await?;
        if let Some(Dropped { agents, tasks }) = dropped {
            metrics::rebuild(cause);
            if (agents, tasks) == (0, 0) {
                // The first start of all looks like this, and is nothing to warn of.
                tracing::info!(cause = cause.as_str(), "the index is empty and is built from the beginning");
            } else {
                tracing::warn!(
                    cause = cause.as_str(),
                    agents,
                    tasks,
                    "the index was emptied and is built anew"
                );
            }
        }
        self.look();
        Ok(dropped)
    }
}

impl<I> Clone for Keeper<I> {
    fn clone(&self) -> Self {
        Self {
            index: Arc::clone(&self.index),
            generation: self.generation.clone(),
            look: Arc::clone(&self.look),
        }
    }
}

// === impl Keeping ===

impl<I: Index> Keeping<I> {
    /// Looks until it is told to stop.
    pub(crate) async fn run(self, stopping: CancellationToken) {
        loop {
            let pause = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                pause = self.pass() => pause,
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = self.keeper.look.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn pass(&self) -> Duration {
        match self.inspect().await {
            Ok(()) => {
                self.ready.ready();
                self.every
            }
            Err(error) => {
                self.ready.lost();
                tracing::warn!(%error, cause = ?error, "the index cannot be looked at");
                PAUSE_AFTER_ERROR
            }
        }
    }

    async fn inspect(&self) -> Result<(), Error> {
        let damaged = match self.keeper.index.inspect().await? {
            Health::Whole(generation) => {
                self.generation.send_if_modified(|known| known.replace(generation) != Some(generation));
                return Ok(());
            }
            Health::Damaged(generation) => generation,
        };
        self.keeper.rebuild(Cause::Damaged, damaged).await?;
        Ok(())
    }
}

//! What an index must do, whatever keeps it. `tests/it/conformance` holds every implementation to it.

pub mod postgres;

use std::fmt;

use crate::domain::{
    AgentHit, AgentQuery, Batch, Generation, Page, Source, SuggestQuery, Suggestion, TaskQuery,
};

/// The source of an error, for the log.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an index does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached. Nothing was done, or it may be done again.
    #[error("the index cannot be reached")]
    Unavailable(#[source] Cause),
    /// It is at its limit. Nothing was done.
    #[error("the index is at its limit")]
    Busy(#[source] Cause),
    /// It cannot keep what the batch holds, now or ever. Nothing was done.
    #[error("the index cannot keep what it was given")]
    Refused(#[source] Cause),
    /// A place that no page of this query gave.
    #[error("the place is not one of this query")]
    Place,
    /// Anything else: a bug, or a part of the index that is missing.
    #[error("the index failed")]
    Failed(#[source] Cause),
}

/// The state that an index is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All that was ever applied in this generation is there, as far as a quick look can tell.
    Whole(Generation),
    /// Something of it is gone, or nothing was ever built: it is to be wiped and built from nothing.
    Damaged(Option<Generation>),
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is durable together with its cursor, and found by every query that begins from now on.
    Done,
    /// The index has been wiped since: nothing was done, and its events are to be followed from the beginning.
    Stale,
}

/// What a wipe dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Agents that were known.
    pub agents: i64,
    /// Tasks that were known.
    pub tasks: i64,
}

/// An index of agents and tasks.
///
/// Any number of processes may use one, all of them following the same events: what is applied twice or late counts
/// once, and what is older than what is there changes nothing. An agent's numbers are derived from the tasks and
/// statements that were applied, in whatever order those and the agent itself came.
#[tonic::async_trait]
pub trait Index: fmt::Debug + Send + Sync + 'static {
    /// Looks whether all is there. Quick enough to be asked every second.
    async fn inspect(&self) -> Result<Health, Error>;

    /// Where to go on with a service's events; empty for the beginning.
    async fn cursor(&self, source: Source) -> Result<String, Error>;

    /// Applies changes, and keeps the cursor after them. A crash in between may leave changes without their cursor,
    /// never a cursor without its changes.
    async fn apply(&self, batch: Batch) -> Result<Applied, Error>;

    /// Drops everything, cursors too, and begins another generation. With `expected` only where that is the present one:
    /// else somebody else did so, and nothing is dropped.
    async fn wipe(&self, expected: Option<Generation>) -> Result<Option<Dropped>, Error>;

    /// Agents: the better match of the words first, then more completed tasks, then the newer agent. At most
    /// [`crate::domain::MAX_HITS`] over all pages.
    async fn agents(&self, query: AgentQuery) -> Result<Page<AgentHit>, Error>;

    /// What is shown of tasks: the better match of the words first, then the newer task. At most
    /// [`crate::domain::MAX_HITS`] over all pages.
    async fn tasks(&self, query: TaskQuery) -> Result<Page<Vec<u8>>, Error>;

    /// Completions of what was typed, capabilities first.
    async fn suggest(&self, query: SuggestQuery) -> Result<Vec<Suggestion>, Error>;
}

//! Follows one service's events into the index. The cursor is committed with the effect, so that the stream goes on where
//! it ended, whenever and however that was.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use poa_common::{Env, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::keeper::Keeper;
use crate::domain::{Batch, Change, Generation, Source};
use crate::index::{Applied, Error, Index};
use crate::metrics::{self, Cause};

/// Events that are applied at once, at most.
const CHUNK: usize = 256;
/// A stream without even a heartbeat for so long is dead; heartbeats come every 20 s at most.
const SILENCE: Duration = Duration::from_secs(60);
/// The wait before the stream is opened again; it doubles while it fails.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A service's events, as the index takes them.
#[tonic::async_trait]
pub(crate) trait Feed: Send + 'static {
    /// Whose.
    const SOURCE: Source;

    /// Opens the stream after a cursor; empty for the beginning.
    async fn open(&mut self, cursor: String) -> Result<BoxStream<'static, Result<Told, Status>>, Status>;
}

/// One message of a stream.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) cursor: String,
    pub(crate) news: News,
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum News {
    /// Something happened, at a time.
    Change(Change, Timestamp),
    /// Something happened that is nothing to the index, at a time.
    Other(Timestamp),
    /// The message breaks the contract: what is wrong with it.
    Malformed(&'static str),
    /// The stream lives, and all up to its cursor was told.
    Heartbeat,
}

/// Follows one service.
pub(crate) struct Follower<I, F> {
    env: Env,
    keeper: Keeper<I>,
    feed: F,
    /// Up to where the index has the events; empty for the beginning.
    cursor: String,
    /// When the index was last known to be as new as the service.
    caught_up: Instant,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{} answered {}: {}", .0.as_str(), .1.code(), .1.message())]
    Status(Source, Status),
    #[error("the stream was closed")]
    Closed,
    #[error("the stream fell silent")]
    Silent,
    #[error("the index is built anew")]
    Rebuilt,
    #[error("the cursor is not known any more")]
    CursorRefused,
    #[error("the index does not take the events")]
    Index(#[from] Error),
}

// === impl Follower ===

impl<I: Index, F: Feed> Follower<I, F> {
    pub(crate) fn new(env: &Env, keeper: Keeper<I>, feed: F) -> Self {
        Self { env: env.clone(), keeper, feed, cursor: String::new(), caught_up: Instant::now() }
    }

    /// Follows until it is told to stop. A dead stream is opened again, after growing waits.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            let mut heard = false;
            let ended = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                ended = self.follow(&mut heard) => ended,
            };
            let source = F::SOURCE.as_str();
            let got_on = heard || matches!(ended, Ended::Rebuilt | Ended::CursorRefused);
            if got_on {
                wait = FIRST_WAIT;
            }
            if got_on && !matches!(ended, Ended::Index(_)) {
                tracing::info!(source, reason = %ended, "the stream of events ended, opening it again");
            } else {
                tracing::warn!(source, reason = %ended, cause = ?ended, "events cannot be followed");
            }
            metrics::lag(F::SOURCE, self.caught_up.elapsed().as_secs_f64());
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Follows one stream to its end. `heard` says afterwards whether anything was, and was kept.
    async fn follow(&mut self, heard: &mut bool) -> Ended {
        // Before the cursor: what is applied under an earlier build than the cursor's is refused.
        let mut generations = self.keeper.generation();
        let generation = match generations.wait_for(Option::is_some).await.map(|known| *known) {
            Ok(Some(generation)) => generation,
            Ok(None) | Err(_) => return Ended::Rebuilt,
        };
        let stream = match self.open(generation).await {
            Ok(stream) => stream,
            Err(ended) => return ended,
        };
        let mut chunks = stream.ready_chunks(CHUNK);
        loop {
            let chunk = tokio::select! {
                biased;
                _ = generations.wait_for(|known| *known != Some(generation)) => return Ended::Rebuilt,
                chunk = tokio::time::timeout(SILENCE, chunks.next()) => chunk,
            };
            match chunk {
                Err(_) => return Ended::Silent,
                Ok(None) => return Ended::Closed,
                Ok(Some(messages)) => {
                    if let Err(ended) = self.take(generation, messages, heard).await {
                        return ended;
                    }
                }
            }
        }
    }

    async fn open(
        &mut self,
        generation: Generation,
    ) -> Result<BoxStream<'static, Result<Told, Status>>, Ended> {
        self.cursor = self.keeper.index().cursor(F::SOURCE).await?;
        let is_beginning = self.cursor.is_empty();
        match self.feed.open(self.cursor.clone()).await {
            // It was restored from a backup, for one: what it has told us may not be so any more.
            Err(status) if status.code() == Code::InvalidArgument && !is_beginning => {
                self.keeper.rebuild(Cause::CursorRefused, Some(generation)).await?;
                Err(Ended::CursorRefused)
            }
            opened => opened.map_err(|status| Ended::Status(F::SOURCE, status)),
        }
    }

    /// Applies what arrived together, with the cursor after it; then reports an error that came behind.
    async fn take(
        &mut self,
        generation: Generation,
        messages: Vec<Result<Told, Status>>,
        heard: &mut bool,
    ) -> Result<(), Ended> {
        let mut told = Vec::with_capacity(messages.len());
        let mut error = None;
        for message in messages {
            match message {
                Ok(message) => told.push(message),
                Err(status) => {
                    error = Some(status);
                    break;
                }
            }
        }
        let is_any = !told.is_empty();
        self.apply(generation, told).await?;
        // Not before: what cannot be kept would be asked for again without a pause.
        *heard |= is_any;
        error.map_or(Ok(()), |status| Err(Ended::Status(F::SOURCE, status)))
    }

    async fn apply(&mut self, generation: Generation, told: Vec<Told>) -> Result<(), Ended> {
        let mut steps: Vec<(Option<Change>, String)> = Vec::with_capacity(told.len());
        let (mut newest, mut beat) = (None, None);
        for Told { cursor, news } in told {
            let change = match news {
                News::Heartbeat => {
                    beat = Some(cursor);
                    continue;
                }
                News::Change(change, time) => {
                    newest = Some(time);
                    Some(change)
                }
                News::Other(time) => {
                    newest = Some(time);
                    None
                }
                // To stop here would stop everything behind it.
                News::Malformed(problem) => {
                    metrics::poison(F::SOURCE);
                    tracing::error!(source = F::SOURCE.as_str(), cursor, problem, "an event is passed over");
                    None
                }
            };
            beat = None;
            steps.push((change, cursor));
        }
        if let Some((_, cursor)) = steps.last() {
            let cursor = cursor.clone();
            self.keep(generation, steps, cursor, newest).await?;
        }
        // Where our cursor is the beginning, there is no event at all.
        if beat.is_some_and(|beat| self.cursor.is_empty() || beat == self.cursor) {
            self.is_caught_up();
        }
        Ok(())
    }

    /// Puts events and the cursor after them into the index; `newest` is when the last one happened.
    async fn keep(
        &mut self,
        generation: Generation,
        steps: Vec<(Option<Change>, String)>,
        cursor: String,
        newest: Option<Timestamp>,
    ) -> Result<(), Ended> {
        let count = steps.len();
        let changes = steps.iter().filter_map(|(change, _)| change.clone()).collect();
        match self.keeper.index().apply(self.batch(generation, changes, cursor.clone())).await {
            Err(Error::Refused(_)) => self.apply_one_by_one(generation, steps).await?,
            applied => self.accept(applied?)?,
        }
        self.cursor = cursor;
        metrics::events(F::SOURCE, count);
        if let Some(newest) = newest {
            let behind = self.env.now() - newest;
            metrics::lag(F::SOURCE, behind.as_seconds_f64());
            // An event of the future is as new as can be.
            let behind = Duration::try_from(behind).unwrap_or_default();
            self.caught_up =
                Instant::now().checked_sub(behind).map_or(self.caught_up, |then| then.max(self.caught_up));
        }
        Ok(())
    }

    /// Something in the stretch cannot be kept: all else in it can.
    async fn apply_one_by_one(
        &self,
        generation: Generation,
        steps: Vec<(Option<Change>, String)>,
    ) -> Result<(), Ended> {
        for (change, cursor) in steps {
            let batch = self.batch(generation, change.into_iter().collect(), cursor.clone());
            match self.keeper.index().apply(batch).await {
                Err(error @ Error::Refused(_)) => {
                    metrics::poison(F::SOURCE);
                    tracing::error!(
                        source = F::SOURCE.as_str(),
                        cursor,
                        cause = ?error,
                        "an event cannot be kept and is passed over"
                    );
                    let batch = self.batch(generation, Vec::new(), cursor);
                    self.accept(self.keeper.index().apply(batch).await?)?;
                }
                applied => self.accept(applied?)?,
            }
        }
        Ok(())
    }

    fn batch(&self, generation: Generation, changes: Vec<Change>, cursor: String) -> Batch {
        Batch { generation, source: F::SOURCE, changes, cursor, now: self.env.now() }
    }

    fn accept(&self, applied: Applied) -> Result<(), Ended> {
        match applied {
            Applied::Done => Ok(()),
            Applied::Stale => {
                self.keeper.look();
                Err(Ended::Rebuilt)
            }
        }
    }

    fn is_caught_up(&mut self) {
        self.caught_up = Instant::now();
        metrics::lag(F::SOURCE, 0.0);
    }
}

#[cfg(test)]
mod tests;

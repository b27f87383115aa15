//! Follows escrow's stream of what becomes of hold invoices. The cursor is committed with the effect, so that the stream goes
//! on where it ended, whenever and however that was.
//!
//! An event moves no task by itself: it notes what is known and makes the task due. Where the stream is dead, a task whose
//! step waits for escrow asks again by itself, later.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use poa_chassis::Context;
use poa_common::TaskId;
use poa_proto::escrow::v1::watch_escrow_events_response::Update;
use poa_proto::escrow::v1::{EscrowEvent, WatchEscrowEventsRequest, WatchEscrowEventsResponse};
use poa_storage::{Tx, cursor};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::answers;
use super::driver::Driver;
use crate::domain::News;
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::{metrics, store};

/// The name of our cursor.
const CURSOR: &str = "escrow.events";
/// A stream without even a heartbeat for so long is dead; heartbeats come every 20 s at most.
const SILENCE: Duration = Duration::from_secs(60);
/// A stream is opened anew this often, with a fresh token.
const STREAM_LIFE: Duration = Duration::from_secs(30 * 60);
/// The wait before the stream is opened again; it doubles while nothing comes of it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Follows the events.
pub(crate) struct Follower {
    driver: Arc<Driver>,
    /// Wakes the worker that drives what is due.
    wake: Arc<Notify>,
    heard: u64,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("escrow answered {}: {}", .0.code(), .0.message())]
    Status(#[from] tonic::Status),
    #[error("escrow closed the stream")]
    Closed,
    #[error("the stream fell silent")]
    Silent,
    #[error("an event could not be stored in time")]
    Stalled,
    #[error("the events cannot be stored")]
    Store(#[from] Error),
}

/// What to note of an event.
#[derive(Clone)]
struct Heard {
    task: TaskId,
    escrow: String,
    news: News,
}

// === impl Follower ===

impl Follower {
    pub(crate) fn new(driver: Arc<Driver>, wake: Arc<Notify>) -> Self {
        Self { driver, wake, heard: 0 }
    }

    /// Follows until it is told to stop. A dead stream is opened again, after growing waits.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            let before = self.heard;
            let ended = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                ended = self.follow() => ended,
            };
            if self.heard != before {
                wait = FIRST_WAIT;
                tracing::info!(reason = %ended, "escrow events: the stream ended, opening it again");
            } else {
                tracing::warn!(reason = %ended, cause = ?ended, "escrow events cannot be followed");
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Follows one stream to its end.
    async fn follow(&mut self) -> Ended {
        let mut stream = match self.open().await {
            Ok(stream) => stream,
            Err(ended) => return ended,
        };
        loop {
            match tokio::time::timeout(SILENCE, stream.next()).await {
                Err(_) => return Ended::Silent,
                Ok(None) => return Ended::Closed,
                Ok(Some(Err(status))) => return status.into(),
                Ok(Some(Ok(message))) => {
                    // What it has begun to write goes on without us; the cursor tells whether it was written.
                    match tokio::time::timeout(self.driver.limit, self.take(message)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return error.into(),
                        Err(_elapsed) => return Ended::Stalled,
                    }
                    self.heard = self.heard.wrapping_add(1);
                }
            }
        }
    }

    async fn open(&self) -> Result<tonic::Streaming<WatchEscrowEventsResponse>, Ended> {
        let cursor = cursor::load(self.driver.db.read(), CURSOR).await.map_err(Error::from)?;
        let cursor = String::from_utf8(cursor.unwrap_or_default()).map_err(Error::internal)?;
        let is_beginning = cursor.is_empty();
        match self.watch(cursor).await {
            // Escrow was restored from a backup, for one. All that it has to tell is heard again: what is known stays known.
            Err(status) if status.code() == Code::InvalidArgument && !is_beginning => {
                tracing::warn!(reason = %status.message(), "escrow does not know our cursor, its events are read again");
                Ok(self.watch(String::new()).await?)
            }
            opened => Ok(opened?),
        }
    }

    async fn watch(
        &self,
        cursor: String,
    ) -> Result<tonic::Streaming<WatchEscrowEventsResponse>, tonic::Status> {
        // A stream outlives the time that a client gives to a call by default.
        let deadline = std::time::Instant::now() + STREAM_LIFE;
        let context = Context { request_id: "escrow-events".into(), deadline: Some(deadline) };
        let mut escrow = self.driver.peers.escrow();
        let request = WatchEscrowEventsRequest { cursor };
        Ok(context.scope(escrow.watch_escrow_events(request)).await?.into_inner())
    }

    /// Notes what an event says, together with the cursor after it.
    async fn take(&self, message: WatchEscrowEventsResponse) -> Result<(), Error> {
        let WatchEscrowEventsResponse { cursor, update: Some(Update::Event(event)) } = message else {
            // A heartbeat: its cursor is the last event's.
            return Ok(());
        };
        let heard = read(&event);
        if heard.is_none() {
            // To stop here would stop all escrows behind it; each task asks escrow by itself, too.
            tracing::error!("an escrow event is malformed and passed over");
        }
        let at = self.driver.now();
        let env = self.driver.env.clone();
        self.driver
            .db
            .transact_with((heard, cursor, env), move |(heard, cursor, env), tx| {
                Box::pin(async move {
                    if let Some(heard) = heard {
                        note(tx, heard, at, env).await?;
                    }
                    cursor::store(tx, CURSOR, cursor.as_bytes(), at.wall).await?;
                    before_commit(Failpoint::HeardBeforeCommit).await?;
                    Ok::<_, Error>(())
                })
            })
            .await?;
        metrics::escrow_event();
        committed(Failpoint::HeardStored).await?;
        self.wake.notify_one();
        Ok(())
    }
}

async fn note(
    tx: &mut Tx,
    heard: &Heard,
    at: crate::domain::Moment,
    env: &poa_common::Env,
) -> Result<(), Error> {
    // A task that is not known is one of before a backup was restored, and nobody's here.
    let before = match store::load(tx, heard.task).await {
        Ok(Some(before)) => before,
        Ok(None) => return Ok(()),
        // To stop here would stop all escrows behind it.
        Err(poa_storage::Error::Corrupt(what)) => {
            tracing::error!(task = %heard.task, what, "an escrow event is about a task that cannot be read");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if before.offer.escrow.to_string() != heard.escrow {
        return Ok(());
    }
    let mut saga = before.clone();
    if saga.hear(heard.news.clone(), at) {
        store::save(tx, &before, &saga, at, env).await?;
    }
    store::wake(tx, heard.task, at.mesh).await?;
    Ok(())
}

fn read(event: &EscrowEvent) -> Option<Heard> {
    let escrow = event.escrow.as_ref()?;
    Some(Heard {
        task: escrow.task_id.parse().ok()?,
        escrow: escrow.escrow_id.clone(),
        news: answers::news(escrow, event.guard_reached),
    })
}

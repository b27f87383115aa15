//! Follows auth's stream of agent events into the log and our own tables. The cursor is committed with the effect, so that the
//! stream goes on where it ended, whenever and however that was.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use poa_chassis::Context;
use poa_chassis::client::PeerChannel;
use poa_common::{Env, Timestamp};
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use poa_proto::auth::v1::watch_agent_events_response::Update;
use poa_proto::auth::v1::{WatchAgentEventsRequest, WatchAgentEventsResponse};
use poa_storage::{Database, cursor};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::agent_events::{self, News};
use super::sequencer::Nudge;
use crate::error::Error;
use crate::failpoint::{Failpoint, committed};
use crate::keys::PlatformKeys;
use crate::metrics;

/// The name of our cursor.
const CURSOR: &str = "auth.agent-events";
/// Events that are stored in one transaction at most.
const CHUNK: usize = 256;
/// A stream that has been quiet for so long has nothing more to catch up with.
const QUIET: Duration = Duration::from_millis(300);
/// A stream without even a heartbeat for so long is dead; heartbeats come every 20 s at most.
const SILENCE: Duration = Duration::from_secs(60);
/// How long storing what arrived may take: longer than a transaction that is repeated after a silent connection. What it has begun to
/// write goes on without us, and where the stream is opened again its cursor says what became of it.
const STORE_LIMIT: Duration = Duration::from_secs(30);
/// A stream is opened anew this often, with a fresh token.
const STREAM_LIFE: Duration = Duration::from_secs(30 * 60);
/// An event younger than this is news, not backlog.
const NEWS: time::Duration = time::Duration::seconds(5);
/// The wait before the stream is opened again; it doubles while it fails.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How far the events were followed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Goes up with every event.
    pub(crate) applied: u64,
    /// Whether the stream lives and was followed to its end. Where it was not, an agent that is not known may
    /// be one whose registration is still to come.
    pub(crate) caught_up: bool,
}

/// Follows the events.
#[derive(Debug)]
pub(crate) struct Follower {
    env: Env,
    db: Database,
    keys: Arc<PlatformKeys>,
    sequencer: Nudge,
    client: AuthInternalServiceClient<PeerChannel>,
    progress: watch::Sender<Progress>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("auth answered {}: {}", .0.code(), .0.message())]
    Status(#[from] tonic::Status),
    #[error("auth closed the stream")]
    Closed,
    #[error("the stream fell silent")]
    Silent,
    #[error("storing the events did not end")]
    Stalled,
    #[error("the events cannot be stored")]
    Store(#[from] Error),
}

/// What a stretch of the stream tells, and where to go on.
#[derive(Debug, Default)]
struct Stretch {
    news: Vec<News>,
    events: usize,
    cursor: Option<String>,
    newest: Option<Timestamp>,
}

// === impl Follower ===

impl Follower {
    pub(crate) fn new(
        env: Env,
        db: Database,
        keys: Arc<PlatformKeys>,
        sequencer: Nudge,
        channel: PeerChannel,
    ) -> (Self, watch::Receiver<Progress>) {
        let (progress, receiver) = watch::channel(Progress::default());
        let client = AuthInternalServiceClient::new(channel);
        (Self { env, db, keys, sequencer, client, progress }, receiver)
    }

    /// Follows until it is told to stop. A dead stream is opened again, after growing waits.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            let before = self.progress.borrow().applied;
            let ended = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                ended = self.follow() => ended,
            };
            let was_caught_up = self.progress.borrow().caught_up;
            self.set_caught_up(false);
            let moved = self.progress.borrow().applied != before;
            if was_caught_up || moved {
                wait = FIRST_WAIT;
                tracing::info!(reason = %ended, "agent events: the stream ended, opening it again");
            } else {
                tracing::warn!(reason = %ended, cause = ?ended, "agent events cannot be followed");
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
        let stream = match self.open().await {
            Ok(stream) => stream,
            Err(ended) => return ended,
        };
        let mut stretches = stream.ready_chunks(CHUNK);
        loop {
            let caught_up = self.progress.borrow().caught_up;
            let patience = if caught_up { SILENCE } else { QUIET };
            match tokio::time::timeout(patience, stretches.next()).await {
                Err(_) if caught_up => return Ended::Silent,
                Err(_) => self.set_caught_up(true),
                Ok(None) => return Ended::Closed,
                Ok(Some(messages)) => {
                    let taken = tokio::time::timeout(STORE_LIMIT, self.take(messages)).await;
                    if let Err(ended) = taken.unwrap_or(Err(Ended::Stalled)) {
                        return ended;
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<tonic::Streaming<WatchAgentEventsResponse>, Ended> {
        let cursor = cursor::load(self.db.read(), CURSOR).await.map_err(Error::from)?.unwrap_or_default();
        let cursor = String::from_utf8(cursor).map_err(Error::bug)?;
        let is_beginning = cursor.is_empty();
        match self.watch(cursor).await {
            // Auth was restored from a backup, for one. All that it has to tell is read again, over what we know: an
            // agent that it has forgotten gets no token from it any more, and one that retired stays so here.
            Err(status) if status.code() == Code::InvalidArgument && !is_beginning => {
                tracing::warn!(reason = %status.message(), "auth does not know our cursor, its events are read again");
                Ok(self.watch(String::new()).await?)
            }
            opened => Ok(opened?),
        }
    }

    async fn watch(
        &mut self,
        cursor: String,
    ) -> Result<tonic::Streaming<WatchAgentEventsResponse>, tonic::Status> {
        // A stream outlives the time that a client gives to a call by default.
        let deadline = std::time::Instant::now() + STREAM_LIFE;
        let context = Context { request_id: "agent-events".into(), deadline: Some(deadline) };
        let request = WatchAgentEventsRequest { cursor };
        Ok(context.scope(self.client.watch_agent_events(request)).await?.into_inner())
    }

    /// Stores what arrived together, with the cursor after it; then reports an error that came behind.
    async fn take(
        &mut self,
        messages: Vec<Result<WatchAgentEventsResponse, tonic::Status>>,
    ) -> Result<(), Ended> {
        let mut stretch = Stretch::default();
        let mut error = None;
        for message in messages {
            match message {
                Ok(message) => stretch.add(message),
                Err(status) => {
                    error = Some(status);
                    break;
                }
            }
        }
        if stretch.events > 0 {
            self.store(stretch).await?;
        }
        error.map_or(Ok(()), |status| Err(status.into()))
    }

    async fn store(&self, stretch: Stretch) -> Result<(), Error> {
        let Stretch { news, events, cursor, newest } = stretch;
        let (env, keys, now) = (self.env.clone(), Arc::clone(&self.keys), self.env.now());
        let is_logged = !news.is_empty();
        self.db
            .transact_with((env, keys, news, cursor, now), |(env, keys, news, cursor, now), tx| {
                Box::pin(async move {
                    agent_events::apply(tx, env, keys, news, *now).await?;
                    if let Some(cursor) = cursor {
                        cursor::store(tx, CURSOR, cursor.as_bytes(), *now).await?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .await?;
        if is_logged {
            committed(Failpoint::AgentEventsCommitted).await?;
            self.sequencer.appended();
        }
        metrics::agent_events(events);
        let is_news = newest.is_some_and(|newest| now - newest < NEWS);
        self.progress.send_modify(|progress| {
            progress.applied = progress.applied.wrapping_add(1);
            progress.caught_up |= is_news;
        });
        metrics::agents_caught_up(self.progress.borrow().caught_up);
        Ok(())
    }

    fn set_caught_up(&self, caught_up: bool) {
        self.progress.send_modify(|progress| progress.caught_up = caught_up);
        metrics::agents_caught_up(caught_up);
    }
}

// === impl Stretch ===

impl Stretch {
    fn add(&mut self, message: WatchAgentEventsResponse) {
        let WatchAgentEventsResponse { cursor, update } = message;
        let Some(Update::Event(event)) = update else {
            // A heartbeat: its cursor is the last event's.
            return;
        };
        self.events += 1;
        self.cursor = Some(cursor);
        let nanos =
            |time: prost_types::Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        let time = event.event_time.map(nanos);
        self.newest = time.and_then(|nanos| Timestamp::from_unix_timestamp_nanos(nanos).ok()).or(self.newest);
        match agent_events::read(&event) {
            Some(news) => self.news.push(news),
            // To stop here would stop all agents behind it; such an agent is one that we do not know.
            None => tracing::error!(kind = event.kind, "an agent event is malformed and passed over"),
        }
    }
}

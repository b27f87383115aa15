//! One reader of the events for all streams of this process.
//!
//! It wakes the streams of the tasks that changed, and tells the streams of the feed what opened and what closed, each
//! message made once and shared. A stream of the feed that does not keep up loses messages, hears so, and begins again
//! with a snapshot: memory does not grow with slow readers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use poa_chassis::Lifecycle;
use poa_common::{Env, TaskId, TypedId as _};
use poa_proto::task::v1::ClosedTask;
use poa_proto::task::v1::watch_open_tasks_response::Update;
use poa_storage::events::{self, Event, Events, Tail};
use poa_storage::{Database, Error};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::mesh_clock::MeshClock;
use crate::domain::Moment;
use crate::rpc::{encode, open_task};
use crate::store::{self, Change, Facets, FeedChange, OpenRow};

/// Messages that a stream of the feed may lag behind.
const FEED_BACKLOG: usize = 1_024;
/// Between two tries of a database that does not answer.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);

/// Wakes streams and feeds the feed. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    feed: broadcast::Sender<Arc<FeedItem>>,
    watched: Watched,
}

/// By task: the newest version that was heard of. Only tasks that a stream follows are in it.
type Watched = Arc<Mutex<HashMap<Uuid, watch::Sender<i64>>>>;

/// One message of the feed, for all streams whose filter its facets pass.
#[derive(Debug)]
pub(crate) struct FeedItem {
    pub(crate) facets: Facets,
    /// The message, encoded once.
    pub(crate) encoded: Bytes,
}

/// Hears of the changes of one task.
#[derive(Debug)]
pub(crate) struct Watcher {
    task: Uuid,
    watched: Watched,
    changes: watch::Receiver<i64>,
}

/// What the hub's own task works with.
struct Reader {
    hub: Hub,
    db: Database,
    clock: MeshClock,
    env: Env,
    tail: Tail,
}

// === impl Hub ===

impl Hub {
    /// Starts to read events from now on.
    pub(crate) async fn start(
        db: &Database,
        events: Events,
        clock: MeshClock,
        env: Env,
        lifecycle: &Lifecycle,
    ) -> Result<Self, Error> {
        let hub = Self { feed: broadcast::Sender::new(FEED_BACKLOG), watched: Watched::default() };
        let tail = events.tail(Some(store::TOPIC), events::head(db).await?);
        let reader = Reader { hub: hub.clone(), db: db.clone(), clock, env, tail };
        let stopping = lifecycle.stopping();
        lifecycle.spawn("task hub", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = reader.run() => {}
            }
        });
        Ok(hub)
    }

    /// Hears of a task's changes from now on.
    pub(crate) fn watch(&self, task: TaskId) -> Watcher {
        let task = task.uuid();
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = watched.entry(task).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Watcher { task, watched: Arc::clone(&self.watched), changes }
    }

    /// Hears of what opens and closes from now on.
    pub(crate) fn feed(&self) -> broadcast::Receiver<Arc<FeedItem>> {
        self.feed.subscribe()
    }

    fn wake(&self, task: Uuid, version: i64) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&task) {
            sender.send_replace(version);
        }
    }
}

// === impl Watcher ===

impl Watcher {
    /// Waits for a change after the last one heard of.
    pub(crate) async fn changed(&mut self) {
        // The sender lives in the map for as long as this watcher does.
        let _alive = self.changes.changed().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // This one is still counted.
        if watched.get(&self.task).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.task);
        }
    }
}

// === impl Reader ===

impl Reader {
    async fn run(mut self) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                match self.tail.next().await {
                    Ok(batch) => waiting = batch.events,
                    Err(Error::ShuttingDown) => return std::future::pending().await,
                    Err(error) => self.pause(&error).await,
                }
            }
            match self.tell(&waiting).await {
                Ok(()) => waiting.clear(),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn pause(&self, error: &Error) {
        tracing::warn!(%error, "the hub cannot read, it will try again");
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }

    /// Tells everybody of a batch. What opened is read once for all streams.
    async fn tell(&self, batch: &[Event]) -> Result<(), Error> {
        let changes: Vec<(Uuid, Change)> = batch.iter().filter_map(read).collect();
        for (task, change) in &changes {
            self.hub.wake(*task, change.version);
        }
        if self.hub.feed.receiver_count() == 0 {
            return Ok(());
        }
        let opened: Vec<TaskId> = changes
            .iter()
            .filter(|(_, change)| change.feed == FeedChange::Opened)
            .map(|(task, _)| TaskId::from_uuid(*task))
            .collect();
        let rows =
            if opened.is_empty() { Vec::new() } else { store::open_rows(self.db.read(), &opened).await? };
        for (task, change) in changes {
            let task = TaskId::from_uuid(task);
            let update = match change.feed {
                FeedChange::None => continue,
                FeedChange::Closed => Update::Closed(ClosedTask { task_id: task.to_string() }),
                FeedChange::Opened => match self.opened(&rows, task) {
                    Some(update) => update,
                    None => continue,
                },
            };
            let item = FeedItem { facets: change.facets, encoded: encode(update) };
            // Without a stream nobody needs it.
            let _streams = self.hub.feed.send(Arc::new(item));
        }
        Ok(())
    }

    fn opened(&self, rows: &[OpenRow], task: TaskId) -> Option<Update> {
        let row = rows.iter().find(|row| row.task == task)?;
        let now = Moment { mesh: self.clock.now(), wall: self.env.now() };
        match open_task(row, now) {
            Ok(open) => Some(Update::Opened(open)),
            Err(error) => {
                tracing::error!(%task, %error, "an open task cannot be shown");
                None
            }
        }
    }
}

fn read(event: &Event) -> Option<(Uuid, Change)> {
    match serde_json::from_slice(&event.payload) {
        Ok(change) => Some((event.subject, change)),
        Err(error) => {
            tracing::error!(position = event.position, %error, "an event does not parse");
            None
        }
    }
}

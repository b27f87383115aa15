//! WatchOpenTasks: the feed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use poa_chassis::status;
use poa_common::{AgentId, Msat, TaskId, Violations};
use poa_proto::task::v1::watch_open_tasks_response::Update;
use poa_proto::task::v1::{
    Heartbeat, OpenTask, OpenTasksSnapshot, Resync, WatchOpenTasksRequest, WatchOpenTasksResponse,
};
use prost::Message as _;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::convert::open_task;
use super::parse;
use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::{self, Facets, OpenRow};
use crate::worker::FeedItem;

/// How long a stream is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Messages that wait for a slow reader; what he then does not take in time is lost, and he hears so.
const BACKLOG: usize = 16;
/// Tasks of one part of a snapshot.
const SNAPSHOT_TASKS: usize = 100;
/// Bytes of one part of a snapshot, so that any part fits a message.
const SNAPSHOT_BYTES: usize = 512 * 1_024;
/// Tasks that one read of a snapshot brings: they may be 100 KiB each.
const READ_TASKS: u32 = 100;

type Sender = mpsc::Sender<Result<Bytes, Status>>;
type Feed = broadcast::Receiver<Arc<FeedItem>>;

/// Which tasks a stream is about.
#[derive(Debug)]
struct Filter {
    capabilities: Vec<String>,
    min_payee: Msat,
    agent: Option<AgentId>,
}

/// Counts the open streams.
struct Counted;

/// Why a stream ends.
enum End {
    /// Nobody listens.
    Gone,
    /// The database, or a task that cannot be shown.
    Failed(Error),
}

pub(super) fn handle(
    service: &Arc<Service>,
    request: WatchOpenTasksRequest,
) -> Result<ReceiverStream<Result<Bytes, Status>>, Error> {
    let mut found = Violations::default();
    for (place, capability) in request.capabilities.iter().enumerate() {
        parse::capability(&mut found, &format!("capabilities[{place}]"), capability);
    }
    let agent = match request.agent_id.as_str() {
        "" => None,
        text => found.parse("agent_id", text),
    };
    parse::refuse(found)?;
    let filter =
        Filter { capabilities: request.capabilities, min_payee: Msat::new(request.min_payee_msat), agent };
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let _counted = Counted::new();
        match run(&service, &filter, &sender).await {
            Ok(()) | Err(End::Gone) => {}
            Err(End::Failed(error)) => {
                // Nobody may be there to hear it.
                let _heard = sender.send(Err(status(error))).await;
            }
        }
    });
    Ok(ReceiverStream::new(receiver))
}

/// Snapshot, then what opens and closes; from the start again when messages were lost. The feed is subscribed to before
/// the snapshot is read: what happens in between is told twice, never not at all.
async fn run(service: &Service, filter: &Filter, sender: &Sender) -> Result<(), End> {
    loop {
        let mut feed = service.hub.feed();
        snapshot(service, filter, sender).await?;
        if !follow(&mut feed, filter, sender, HEARTBEAT).await? {
            return Ok(());
        }
        metrics::feed_resync();
        tell(sender, Update::Resync(Resync {})).await?;
    }
}

/// Passes on what happens, and says after each `silence` that it is still there: what the filter drops breaks none.
/// Answers `true` where messages were lost, `false` at the end of the service.
async fn follow(feed: &mut Feed, filter: &Filter, sender: &Sender, silence: Duration) -> Result<bool, End> {
    let mut told = Instant::now();
    loop {
        let item = tokio::select! {
            () = sender.closed() => return Err(End::Gone),
            item = feed.recv() => item,
            () = tokio::time::sleep_until(told + silence) => {
                tell(sender, Update::Heartbeat(Heartbeat {})).await?;
                told = Instant::now();
                continue;
            }
        };
        match item {
            Ok(item) if filter.passes(&item.facets) => {
                sender.send(Ok(item.encoded.clone())).await.map_err(|_closed| End::Gone)?;
                told = Instant::now();
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Ok(true),
            Err(RecvError::Closed) => return Ok(false),
        }
    }
}

async fn snapshot(service: &Service, filter: &Filter, sender: &Sender) -> Result<(), End> {
    let mut part = Vec::new();
    let mut bytes = 0usize;
    let mut after: Option<TaskId> = None;
    loop {
        let ids = store::open_page(&service.db, after, READ_TASKS).await.map_err(failed)?;
        let rows = store::open_rows(service.db.read(), &ids).await.map_err(failed)?;
        for row in rows.iter().filter(|row| filter.passes(&facets(row))) {
            let open = open_task(row, service.now()).map_err(End::Failed)?;
            let length = open.encoded_len();
            if part.len() >= SNAPSHOT_TASKS
                || (bytes.saturating_add(length) > SNAPSHOT_BYTES && !part.is_empty())
            {
                send_part(sender, std::mem::take(&mut part), false).await?;
                bytes = 0;
            }
            bytes = bytes.saturating_add(length);
            part.push(open);
        }
        match ids.last() {
            Some(last) => after = Some(*last),
            None => return send_part(sender, part, true).await,
        }
    }
}

async fn send_part(sender: &Sender, tasks: Vec<OpenTask>, last: bool) -> Result<(), End> {
    tell(sender, Update::Snapshot(OpenTasksSnapshot { tasks, last })).await
}

async fn tell(sender: &Sender, update: Update) -> Result<(), End> {
    sender.send(Ok(encode(update))).await.map_err(|_closed| End::Gone)
}

/// A message as it goes over the wire, to be made once and shared.
pub(crate) fn encode(update: Update) -> Bytes {
    WatchOpenTasksResponse { update: Some(update) }.encode_to_vec().into()
}

fn failed(error: poa_storage::Error) -> End {
    End::Failed(error.into())
}

fn facets(row: &OpenRow) -> Facets {
    Facets { capability: row.capability.clone(), payee_msat: row.payee, direct_agent: row.direct_agent }
}

// === impl Filter ===

impl Filter {
    fn passes(&self, facets: &Facets) -> bool {
        (self.capabilities.is_empty() || self.capabilities.contains(&facets.capability))
            && facets.payee_msat >= self.min_payee
            && facets.direct_agent.is_none_or(|direct| self.agent == Some(direct))
    }
}

// === impl Counted ===

impl Counted {
    fn new() -> Self {
        metrics::feed_opened();
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::feed_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_whose_filter_drops_everything_hears_heartbeats_all_the_same() {
        let filter =
            Filter { capabilities: vec!["text.other".to_owned()], min_payee: Msat::ZERO, agent: None };
        let facets =
            Facets { capability: "text.greet".to_owned(), payee_msat: Msat::new(1), direct_agent: None };
        let dropped = Arc::new(FeedItem { facets, encoded: Bytes::new() });
        let (feed, mut reader) = broadcast::channel(64);
        let (sender, mut heard) = mpsc::channel(BACKLOG);
        let following =
            tokio::spawn(
                async move { follow(&mut reader, &filter, &sender, Duration::from_millis(50)).await },
            );
        let deadline = Instant::now() + Duration::from_secs(10);
        let message = loop {
            if let Ok(message) = heard.try_recv() {
                break message.unwrap();
            }
            assert!(Instant::now() < deadline, "no heartbeat came between the messages that were dropped");
            assert!(feed.send(Arc::clone(&dropped)).is_ok(), "the stream ended");
            tokio::task::yield_now().await;
        };
        assert_eq!(message, encode(Update::Heartbeat(Heartbeat {})));
        drop(feed);
        assert!(matches!(following.await.unwrap(), Ok(false)));
    }
}

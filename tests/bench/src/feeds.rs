//! `--feeds N`: so many open feeds of tasks, a tenth of them never read, and the memory that they hold. By hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::{WatchOpenTasksRequest, WatchOpenTasksResponse};
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::clients::channel;
use crate::cluster::Cluster;
use crate::mesh::Mesh;
use crate::parties::CAPABILITY;
use crate::report::{Feeds, Report, commit, now};
use crate::slices::{self, Trading};
use crate::{Failure, Plan};

/// One stream of so many is stalled.
const STALLED_OF: usize = 10;
/// Streams of one connection: what the gateway allows is a little more.
const STREAMS_PER_CONNECTION: usize = 200;
/// Arrivals by the second while the feeds are open: each makes two events on every feed.
const ASKED: f64 = 20.0;
/// How long tasks come and go.
const SPAN: Duration = Duration::from_secs(20);
/// What the servers need to carry so many streams; the memory of a stream is what it is.
const SETTINGS: [&str; 3] = [
    "gateway:POA__CONNECTIONS_PER_SERVICE=4",
    "task:POA__SERVER__LIMITS__IN_FLIGHT=20000",
    "gateway:POA__SERVER__LIMITS__IN_FLIGHT=20000",
];

/// Opens the feeds, lets tasks come and go, and looks at the servers' memory.
pub(crate) async fn run(plan: &Plan, feeds: usize) -> Result<(), Failure> {
    let folder = slices::workplace()?;
    let cluster = Cluster::start(folder.path()).await?;
    let settings: Vec<String> =
        SETTINGS.iter().map(|setting| (*setting).to_owned()).chain(plan.set.clone()).collect();
    let mesh = Mesh::separate(&cluster, folder.path(), &settings).await?;
    let trading = Trading::open(mesh, plan.parties).await?;
    // What a server allocates for its first calls is not the feeds'.
    trading.steady(ASKED, Duration::from_secs(5)).await?;
    let before = resident(&trading);
    let stalled = open(&trading, feeds / STALLED_OF).await?;
    let live = open(&trading, feeds - feeds / STALLED_OF).await?;
    println!("{} feeds are open, {} of them stalled", live.len() + stalled.len(), stalled.len());
    let events = Arc::new(AtomicU64::new(0));
    let (opened, stalled_count) = (live.len() + stalled.len(), stalled.len());
    let mut readers = JoinSet::new();
    for mut feed in live {
        let events = Arc::clone(&events);
        readers.spawn(async move {
            while let Ok(Some(_)) = feed.message().await {
                events.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let steady = trading.steady(ASKED, SPAN).await?;
    let after = resident(&trading);
    println!("create+hold meanwhile: {:?}", steady.create);
    println!("resident before {before:?}, after {after:?}");
    let measured = Feeds {
        of: format!("{} at {}", now()?, commit()),
        open: u64::try_from(opened)?,
        stalled: u64::try_from(stalled_count)?,
        events: events.load(Ordering::Relaxed),
        before,
        after,
    };
    let path = Report::write_by_hand(&plan.results(), "feeds", &measured)?;
    println!("written to {}", path.display());
    readers.abort_all();
    drop(stalled);
    trading.mesh.stop().await;
    cluster.stop().await
}

/// Opens streams, on connections that hold no others: a stalled stream holds back what shares its connection.
async fn open(trading: &Trading, count: usize) -> Result<Vec<Streaming<WatchOpenTasksResponse>>, Failure> {
    let mut feeds = Vec::with_capacity(count);
    let mut client: Option<TaskServiceClient<Channel>> = None;
    for number in 0..count {
        if number % STREAMS_PER_CONNECTION == 0 {
            client = Some(TaskServiceClient::new(channel(&trading.mesh.endpoint())?));
        }
        let party = &trading.parties.requesters[number % trading.parties.requesters.len()];
        let message = WatchOpenTasksRequest {
            capabilities: vec![CAPABILITY.to_owned()],
            ..WatchOpenTasksRequest::default()
        };
        let request = party.signed(message).await;
        let opened = client.as_mut().ok_or("a connection")?.watch_open_tasks(request).await?;
        feeds.push(opened.into_inner());
    }
    Ok(feeds)
}

fn resident(trading: &Trading) -> BTreeMap<String, u64> {
    let servers = trading.mesh.resident_bytes().into_iter();
    servers.map(|(server, bytes)| (server.to_owned(), bytes)).collect()
}

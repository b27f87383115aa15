//! Tasks, from the task service.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use poa_chassis::client::PeerChannel;
use poa_common::{AccountId, AgentId, Msat};
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::task_internal_service_client::TaskInternalServiceClient;
use poa_proto::task::v1::watch_task_events_response::Update;
use poa_proto::task::v1::{Claim, TaskEvent, WatchTaskEventsRequest, WatchTaskEventsResponse};
use prost::Message as _;
use tonic::Status;

use super::{context, is_text, time};
use crate::domain::{Change, Source, Task, is_capability};
use crate::worker::follower::{Feed, News, Told};

/// The task service's stream.
#[derive(Debug)]
pub(crate) struct TaskFeed {
    client: TaskInternalServiceClient<PeerChannel>,
}

// === impl TaskFeed ===

impl TaskFeed {
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self { client: TaskInternalServiceClient::new(channel) }
    }
}

#[tonic::async_trait]
impl Feed for TaskFeed {
    const SOURCE: Source = Source::Task;

    async fn open(&mut self, cursor: String) -> Result<BoxStream<'static, Result<Told, Status>>, Status> {
        let request = WatchTaskEventsRequest { cursor };
        let stream = context("task-events").scope(self.client.watch_task_events(request)).await?;
        Ok(stream.into_inner().map(|message| message.map(told)).boxed())
    }
}

fn told(message: WatchTaskEventsResponse) -> Told {
    let news = match &message.update {
        Some(Update::Event(event)) => read(event).unwrap_or_else(News::Malformed),
        Some(Update::Heartbeat(_)) | None => News::Heartbeat,
    };
    Told { cursor: message.cursor, news }
}

fn read(event: &TaskEvent) -> Result<News, &'static str> {
    let task = event.task.as_ref().ok_or("no task")?;
    let happened = time(event.event_time.as_ref()).ok_or("no time")?;
    let state = State::try_from(task.state).map_err(|_| "an unknown state")?;
    if state == State::Unspecified {
        return Err("an unknown state");
    }
    if !is_text(&task.title) {
        return Err("a text with a NUL");
    }
    if !is_capability(&task.capability) {
        return Err("a malformed capability");
    }
    let read = Task {
        id: task.task_id.parse().map_err(|_| "a malformed task_id")?,
        version: event.version,
        state: i16::try_from(task.state).map_err(|_| "an unknown state")?,
        market: state == State::Open && task.direct_agent_id.is_empty(),
        completed: state == State::Completed,
        requester: task.requester_id.parse().map_err(|_| "a malformed requester_id")?,
        worker: task.claim.as_ref().map(worker).transpose()?,
        title: task.title.clone(),
        capability: task.capability.clone(),
        price: Msat::new(task.price_msat),
        payee: Msat::new(task.payee_msat),
        updated: time(task.update_time.as_ref()).ok_or("no update_time")?,
        message: task.encode_to_vec(),
    };
    Ok(News::Change(Change::Task(Box::new(read)), happened))
}

fn worker(claim: &Claim) -> Result<(AgentId, AccountId), &'static str> {
    let agent = claim.agent_id.parse().map_err(|_| "a malformed agent_id")?;
    let account = claim.account_id.parse().map_err(|_| "a malformed account_id")?;
    Ok((agent, account))
}

//! The feed of open tasks.

use futures_util::Stream;
use futures_util::future::BoxFuture;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::watch_open_tasks_response::Update;
use poa_proto::task::v1::{OpenTask, WatchOpenTasksRequest, WatchOpenTasksResponse};
use tonic::Streaming;

use crate::client::Session;
use crate::error::Error;
use crate::stream::{Patience, Source, Step, resume};

/// Which open tasks to hear of.
#[derive(Clone, Debug, Default)]
pub struct FeedFilter {
    /// Only tasks that need one of these capabilities; all where empty.
    pub capabilities: Vec<String>,
    /// Only tasks that pay the agent at least this, in msat.
    pub min_payee_msat: i64,
    /// Also tasks that hire this agent directly.
    pub agent_id: String,
}

/// One message of the feed.
#[derive(Clone, Debug)]
pub enum FeedUpdate {
    /// A part of what is open now. What was known before the first part is void.
    Snapshot {
        /// The tasks of this part, oldest first.
        tasks: Vec<OpenTask>,
        /// Whether this is the first part.
        first: bool,
        /// Whether this is the last part.
        last: bool,
    },
    /// A task opened.
    Opened(Box<OpenTask>),
    /// The task of this id is open no more.
    Closed(String),
}

impl Session {
    /// Follows the feed without end. The stream opens itself again when it breaks; snapshots follow then.
    pub fn feed(
        &self,
        filter: FeedFilter,
        patience: Patience,
    ) -> impl Stream<Item = Result<FeedUpdate, Error>> + Send + use<> {
        let source = FeedSource { session: self.clone(), filter, first: true };
        resume(source, self.client().env().clone(), patience)
    }
}

struct FeedSource {
    session: Session,
    filter: FeedFilter,
    /// Whether the next snapshot is a first part.
    first: bool,
}

impl Source for FeedSource {
    type Message = WatchOpenTasksResponse;
    type Item = FeedUpdate;

    fn open(&mut self) -> BoxFuture<'_, Result<Streaming<WatchOpenTasksResponse>, Error>> {
        self.first = true;
        let request = WatchOpenTasksRequest {
            capabilities: self.filter.capabilities.clone(),
            min_payee_msat: self.filter.min_payee_msat,
            agent_id: self.filter.agent_id.clone(),
        };
        Box::pin(self.session.client().open(
            self.session.credentials(),
            request,
            |channel, request| async move { TaskServiceClient::new(channel).watch_open_tasks(request).await },
        ))
    }

    fn step(&mut self, message: WatchOpenTasksResponse) -> Step<FeedUpdate> {
        match message.update {
            Some(Update::Snapshot(part)) => {
                let first = std::mem::replace(&mut self.first, part.last);
                Step::Next(FeedUpdate::Snapshot { tasks: part.tasks, first, last: part.last })
            }
            Some(Update::Opened(task)) => Step::Next(FeedUpdate::Opened(Box::new(task))),
            Some(Update::Closed(closed)) => Step::Next(FeedUpdate::Closed(closed.task_id)),
            Some(Update::Resync(_)) => {
                self.first = true;
                Step::Skip
            }
            Some(Update::Heartbeat(_)) | None => Step::Skip,
        }
    }
}

//! Tasks, from both sides.

use futures_util::Stream;
use futures_util::future::BoxFuture;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::watch_task_response::Update;
use poa_proto::task::v1::{
    AcceptResultRequest, CancelTaskRequest, ClaimNextTaskRequest, ClaimNextTaskResponse, ClaimTaskRequest,
    CreateTaskRequest, GetTaskRequest, ListTasksRequest, ListTasksResponse, RejectResultRequest,
    ReleaseClaimRequest, RenewClaimRequest, SubmitResultRequest, Task, WatchTaskRequest, WatchTaskResponse,
};
use tonic::Streaming;

use super::{given, unary};
use crate::client::Session;
use crate::error::Error;
use crate::stream::{Patience, Source, Step, resume};

impl Session {
    /// Offers a task and holds its price: from the balance, or by a hold invoice ([`CreateTaskRequest::funding`]), which then
    /// waits in [`Task::funding_invoice`] for a wallet to pay it.
    pub async fn create_task(&self, request: CreateTaskRequest) -> Result<Task, Error> {
        given(unary!(self, mutate, TaskServiceClient, create_task, request)?.task, "task")
    }

    /// Reads a task.
    pub async fn task(&self, task_id: &str) -> Result<Task, Error> {
        let request = GetTaskRequest { task_id: task_id.to_owned() };
        given(unary!(self, read, TaskServiceClient, get_task, request)?.task, "task")
    }

    /// Lists the caller's tasks, newest first, without bodies.
    pub async fn list_tasks(&self, request: ListTasksRequest) -> Result<ListTasksResponse, Error> {
        unary!(self, read, TaskServiceClient, list_tasks, request)
    }

    /// Follows a task until it ends: the task as it is, then after each change. The stream opens itself again when it
    /// breaks, and goes on from where it was.
    pub fn watch_task(
        &self,
        task_id: &str,
        patience: Patience,
    ) -> impl Stream<Item = Result<Task, Error>> + Send + use<> {
        let source = TaskSource {
            session: self.clone(),
            task_id: task_id.to_owned(),
            cursor: String::new(),
            etag: String::new(),
        };
        resume(source, self.client().env().clone(), patience)
    }

    /// Claims an open task with the agent's signed acceptance (see [`crate::AgentKey::accept`]).
    pub async fn claim_task(&self, request: ClaimTaskRequest) -> Result<Task, Error> {
        given(unary!(self, mutate, TaskServiceClient, claim_task, request)?.task, "task")
    }

    /// Sets one matching open task aside for an agent, for 15 seconds. `Ok(None)`: nothing is open for it now.
    pub async fn claim_next_task(
        &self,
        request: ClaimNextTaskRequest,
    ) -> Result<Option<ClaimNextTaskResponse>, Error> {
        match unary!(self, mutate, TaskServiceClient, claim_next_task, request) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.reason() == "NO_OPEN_TASK" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews the lease of a claim.
    pub async fn renew_claim(&self, task_id: &str) -> Result<Task, Error> {
        let request = RenewClaimRequest { request_id: String::new(), task_id: task_id.to_owned() };
        given(unary!(self, mutate, TaskServiceClient, renew_claim, request)?.task, "task")
    }

    /// Gives a claim back, with the reason for people.
    pub async fn release_claim(&self, task_id: &str, reason: &str) -> Result<Task, Error> {
        let request = ReleaseClaimRequest {
            request_id: String::new(),
            task_id: task_id.to_owned(),
            reason: reason.to_owned(),
        };
        self.release(request).await
    }

    /// The same with a request id of the caller's.
    pub(crate) async fn release(&self, request: ReleaseClaimRequest) -> Result<Task, Error> {
        given(unary!(self, mutate, TaskServiceClient, release_claim, request)?.task, "task")
    }

    /// Submits a result with the agent's signed receipt (see [`crate::AgentKey::submit`]).
    pub async fn submit_result(&self, request: SubmitResultRequest) -> Result<Task, Error> {
        given(unary!(self, mutate, TaskServiceClient, submit_result, request)?.task, "task")
    }

    /// Accepts the submitted result: the agent is paid.
    pub async fn accept_result(&self, task_id: &str) -> Result<Task, Error> {
        let request = AcceptResultRequest { request_id: String::new(), task_id: task_id.to_owned() };
        given(unary!(self, mutate, TaskServiceClient, accept_result, request)?.task, "task")
    }

    /// Rejects the submitted result for a criterion of the terms.
    pub async fn reject_result(&self, request: RejectResultRequest) -> Result<Task, Error> {
        given(unary!(self, mutate, TaskServiceClient, reject_result, request)?.task, "task")
    }

    /// Cancels a task that nobody has claimed.
    pub async fn cancel_task(&self, task_id: &str) -> Result<Task, Error> {
        let request = CancelTaskRequest { request_id: String::new(), task_id: task_id.to_owned() };
        given(unary!(self, mutate, TaskServiceClient, cancel_task, request)?.task, "task")
    }
}

struct TaskSource {
    session: Session,
    task_id: String,
    cursor: String,
    etag: String,
}

impl Source for TaskSource {
    type Message = WatchTaskResponse;
    type Item = Task;

    fn open(&mut self) -> BoxFuture<'_, Result<Streaming<WatchTaskResponse>, Error>> {
        let request = WatchTaskRequest { task_id: self.task_id.clone(), cursor: self.cursor.clone() };
        Box::pin(self.session.client().open(
            self.session.credentials(),
            request,
            |channel, request| async move { TaskServiceClient::new(channel).watch_task(request).await },
        ))
    }

    fn step(&mut self, message: WatchTaskResponse) -> Step<Task> {
        self.cursor = message.cursor;
        let task = match message.update {
            Some(Update::Snapshot(task) | Update::Event(task)) => task,
            // After a resync the snapshot follows by itself.
            Some(Update::Heartbeat(_) | Update::Resync(_)) | None => return Step::Skip,
        };
        let seen = !task.etag.is_empty() && task.etag == self.etag;
        self.etag.clone_from(&task.etag);
        match task.state() {
            State::Completed | State::Canceled | State::Expired => Step::Last(task),
            _ if seen => Step::Skip,
            State::Unspecified
            | State::Funding
            | State::AwaitingFunds
            | State::Open
            | State::Claimed
            | State::Submitted
            | State::Rejected
            | State::Releasing
            | State::Refunding => Step::Next(task),
        }
    }
}

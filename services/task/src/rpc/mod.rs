//! The RPCs: one file each, and `convert`, where the contract's messages become domain types.

mod accept_result;
mod cancel_task;
mod claim_next_task;
mod claim_task;
mod convert;
mod create_task;
mod get_task;
mod list_tasks;
mod parse;
mod reject_result;
mod release_claim;
mod renew_claim;
mod shared_feed;
mod submit_result;
mod watch_open_tasks;
mod watch_task;
mod watch_task_events;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use poa_chassis::{Principal, status, user, validate};
use poa_common::{AccountId, TaskId, Timestamp, TypedId as _};
use poa_proto::Check;
use poa_proto::task::v1 as proto;
use poa_proto::task::v1::task_internal_service_server::TaskInternalService;
use poa_proto::task::v1::task_service_server::TaskService;
use poa_storage::Tx;
use poa_storage::idempotency::{self, Keep, Key, Outcome};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

pub(crate) use convert::open_task;
pub(crate) use shared_feed::in_front_of;
pub(crate) use watch_open_tasks::encode;

use crate::domain::{DomainError, Moment, Pen, Saga, State};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::service::{Service, change};
use crate::store::{self, Bodies, Reader, View};

/// The public service and the internal one.
#[derive(Clone)]
pub(crate) struct Tasks {
    service: Arc<Service>,
}

/// What a recorded request is known by, and what it said.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    key: Key,
    fingerprint: [u8; 32],
    now: Timestamp,
}

/// What a caller may see of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Everything: the requester and the claimant.
    Whole,
    /// An open task without its bodies.
    Offer,
}

// === impl Tasks ===

impl Tasks {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl TaskInternalService for Tasks {
    type WatchTaskEventsStream = watch_task_events::Messages;

    async fn watch_task_events(
        &self,
        request: Request<proto::WatchTaskEventsRequest>,
    ) -> Result<Response<Self::WatchTaskEventsStream>, Status> {
        let message = request.into_inner();
        watch_task_events::handle(&self.service, message).await.map(Response::new).map_err(status)
    }
}

/// The feed for whoever calls the generated server directly; over the wire [`in_front_of`] answers.
pub(crate) struct Decoded(ReceiverStream<Result<Bytes, Status>>);

impl Stream for Decoded {
    type Item = Result<proto::WatchOpenTasksResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.0).poll_next(context);
        next.map_ok(|bytes| proto::WatchOpenTasksResponse::decode(bytes).unwrap_or_default())
    }
}

macro_rules! unary {
    ($($method:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl TaskService for Tasks {
            type WatchTaskStream = ReceiverStream<Result<proto::WatchTaskResponse, Status>>;
            type WatchOpenTasksStream = Decoded;

            async fn watch_task(
                &self,
                request: Request<proto::WatchTaskRequest>,
            ) -> Result<Response<Self::WatchTaskStream>, Status> {
                let (principal, message) = admitted(request)?;
                watch_task::handle(&self.service, principal, message).await.map(Response::new).map_err(status)
            }

            async fn watch_open_tasks(
                &self,
                request: Request<proto::WatchOpenTasksRequest>,
            ) -> Result<Response<Self::WatchOpenTasksStream>, Status> {
                let (_principal, message) = admitted(request)?;
                let shared = watch_open_tasks::handle(&self.service, message).map_err(status)?;
                Ok(Response::new(Decoded(shared)))
            }

            async fn create_task(
                &self,
                request: Request<proto::CreateTaskRequest>,
            ) -> Result<Response<proto::CreateTaskResponse>, Status> {
                let token = create_task::bearer(&request).map_err(status)?;
                let (principal, message) = admitted(request)?;
                let answer = create_task::handle(&self.service, principal, token, message);
                answer.await.map(Response::new).map_err(status)
            }

            $(async fn $method(
                &self,
                request: Request<proto::$request>,
            ) -> Result<Response<proto::$response>, Status> {
                let (principal, message) = admitted(request)?;
                $method::handle(&self.service, principal, message).await.map(Response::new).map_err(status)
            })*
        }
    };
}

unary! {
    get_task(GetTaskRequest) -> GetTaskResponse;
    list_tasks(ListTasksRequest) -> ListTasksResponse;
    claim_task(ClaimTaskRequest) -> ClaimTaskResponse;
    claim_next_task(ClaimNextTaskRequest) -> ClaimNextTaskResponse;
    renew_claim(RenewClaimRequest) -> RenewClaimResponse;
    release_claim(ReleaseClaimRequest) -> ReleaseClaimResponse;
    submit_result(SubmitResultRequest) -> SubmitResultResponse;
    accept_result(AcceptResultRequest) -> AcceptResultResponse;
    reject_result(RejectResultRequest) -> RejectResultResponse;
    cancel_task(CancelTaskRequest) -> CancelTaskResponse;
}

/// Who calls, with a message whose fields keep the contract's bounds.
fn admitted<T: Check>(request: Request<T>) -> Result<(Principal, T), Status> {
    let principal = user(&request).map_err(status)?;
    let message = request.into_inner();
    validate(&message).map_err(status)?;
    Ok((principal, message))
}

/// What a request is recorded as.
fn recorded<T: Message>(
    service: &Service,
    principal: &Principal,
    method: &'static str,
    request_id: &str,
    message: &T,
) -> Result<Recorded, Error> {
    let request_id = poa_chassis::request_uuid(request_id)?;
    Ok(Recorded {
        key: Key { principal: principal.account_id.uuid(), method, request_id },
        fingerprint: Sha256::digest(message.encode_to_vec()).into(),
        now: service.env.now(),
    })
}

// === impl Recorded ===

impl Recorded {
    /// Begins the request; answers with what was recorded, where it was carried out before.
    async fn begin(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, Error> {
        match idempotency::begin(tx, self.key, self.fingerprint, self.now).await? {
            Outcome::Fresh => Ok(None),
            Outcome::Replay(response) => Ok(Some(response)),
        }
    }

    /// Begins a request whose answer is this task as it is, and records that; answers with the recorded task where it was
    /// carried out before.
    async fn begin_for_task(&self, tx: &mut Tx, task: TaskId, keep: Keep) -> Result<Option<TaskId>, Error> {
        let answer = task.uuid().into_bytes();
        match idempotency::begin_with(tx, self.key, self.fingerprint, (&answer, keep), self.now).await? {
            Outcome::Fresh => Ok(None),
            Outcome::Replay(response) => {
                let task = Uuid::from_slice(&response).map_err(Error::internal)?;
                Ok(Some(TaskId::from_uuid(task)))
            }
        }
    }
}

/// What a caller may see of a task, if anything.
fn sight(view: &View, principal: &Principal) -> Option<Sight> {
    let claimed = view
        .status
        .claim
        .as_ref()
        .is_some_and(|claim| claim.account == principal.account_id && principal.may_act_as(claim.agent));
    if view.requester == principal.account_id || claimed {
        return Some(Sight::Whole);
    }
    (view.status.state == State::Open).then_some(Sight::Offer)
}

/// A task as its caller may see it; NOT_FOUND where he may not.
async fn seen(
    service: &Service,
    principal: &Principal,
    task: TaskId,
    bodies: Bodies,
) -> Result<(View, Sight), Error> {
    let reader = Reader { account: principal.account_id, agent: principal.agent_id };
    let view = store::view_for(service.db.read(), task, bodies, reader).await?;
    let view = view.ok_or(Error::NotFound { resource: "task" })?;
    let sight = sight(&view, principal).ok_or(Error::NotFound { resource: "task" })?;
    Ok((view, sight))
}

/// A task as its requester or claimant sees it after a verb, without bodies.
async fn after(
    service: &Service,
    task: TaskId,
    bodies: Bodies,
    reader: AccountId,
) -> Result<proto::Task, Error> {
    let view = store::view(service.db.read(), task, bodies).await?;
    let view = view.ok_or(Error::NotFound { resource: "task" })?;
    convert::task(&view, service.now(), true, reader)
}

/// A task as the one sees it who holds, or held, its claim. A repeated request may come when the task is another's: then
/// it is the offer and where the task stands, and nothing of whoever has it now.
async fn after_claim(service: &Service, principal: &Principal, task: TaskId) -> Result<proto::Task, Error> {
    let view = store::view(service.db.read(), task, Bodies::None).await?;
    let view = view.ok_or(Error::NotFound { resource: "task" })?;
    let seen = convert::task(&view, service.now(), true, principal.account_id)?;
    if sight(&view, principal).is_some() {
        return Ok(seen);
    }
    Ok(proto::Task { claim: None, waiting: None, result_summary: None, note: String::new(), ..seen })
}

/// Refuses a claimant's verb: those who never had to do with the task learn nothing of it.
async fn not_claimant(tx: &mut Tx, saga: &Saga, account: AccountId) -> Result<Error, Error> {
    let knows = saga.offer.requester == account
        || saga.status.state == State::Open
        || store::was_claimant(tx.conn(), saga.offer.task, account).await?;
    Ok(if knows {
        Error::ClaimNotHeld { state: saga.status.state }
    } else {
        Error::NotFound { resource: "task" }
    })
}

/// Carries out a verb of the requester's. Others learn nothing of the task. Answers with the task as it was written.
async fn of_requester<V>(
    service: &Arc<Service>,
    principal: &Principal,
    task: TaskId,
    recorded: Recorded,
    at: Moment,
    points: (Failpoint, Failpoint),
    verb: V,
) -> Result<Option<Saga>, Error>
where
    V: Fn(&mut Saga, &Pen) -> Result<bool, DomainError> + Send + Sync + 'static,
{
    let account = principal.account_id;
    let written = service
        .db
        .transact_idempotent((Arc::clone(service), verb), move |(service, verb), tx| {
            Box::pin(async move {
                if recorded.begin_for_task(tx, task, Keep::SevenDays).await?.is_some() {
                    return Ok(None);
                }
                let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
                if saga.offer.requester != account {
                    return Err(Error::NotFound { resource: "task" });
                }
                let saga = change(service, tx, &saga, at, |saga| verb(saga, &service.pen)).await?;
                before_commit(points.0).await?;
                Ok::<_, Error>(Some(saga))
            })
        })
        .await?;
    committed(points.1).await?;
    Ok(written)
}

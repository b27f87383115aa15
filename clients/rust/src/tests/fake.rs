//! A mesh that answers as a test tells it to, over a real socket.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{Stream, StreamExt as _, stream};
use poa_proto::auth::v1::agent_service_server::{AgentService, AgentServiceServer};
use poa_proto::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use poa_proto::auth::v1::*;
use poa_proto::task::v1::task_service_server::{TaskService, TaskServiceServer};
use poa_proto::task::v1::*;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{Client, SessionTokens};

/// A stream of the fake's.
type Served<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A fake mesh and what it has seen.
#[derive(Clone)]
pub(super) struct Fake {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

/// What a test sets and reads.
#[derive(Default)]
pub(super) struct State {
    /// What CreateApiKey, RotateAgentKey and PublishAgentVersion answer, before they answer well.
    pub(super) failures: VecDeque<Status>,
    /// The request ids that CreateApiKey saw.
    pub(super) request_ids: Vec<String>,
    /// The one access token that is accepted; empty accepts none.
    pub(super) accepted: String,
    /// How often a token was traded.
    pub(super) refreshes: u64,
    /// How many answers to a trade get lost.
    pub(super) lost_refreshes: u64,
    /// How often GetAccount was called.
    pub(super) accounts: u64,
    /// What each opening of WatchTask sends.
    pub(super) watches: VecDeque<Vec<Result<WatchTaskResponse, Status>>>,
    /// The cursors with which it was opened.
    pub(super) cursors: Vec<String>,
    /// The agent that GetAgent answers with.
    pub(super) agent: Agent,
    /// What was asked of the agent's keys and versions.
    pub(super) rotations: Vec<RotateAgentKeyRequest>,
    pub(super) revocations: Vec<RevokeAgentKeyRequest>,
    pub(super) publications: Vec<PublishAgentVersionRequest>,
    /// What ClaimNextTask gives out.
    pub(super) open: VecDeque<OpenTask>,
    /// The input of every task.
    pub(super) input: Vec<u8>,
    /// What SubmitResult answers, before it answers well.
    pub(super) submit_failures: VecDeque<Status>,
    /// What was claimed, submitted and released.
    pub(super) claims: Vec<ClaimTaskRequest>,
    pub(super) submissions: Vec<SubmitResultRequest>,
    pub(super) releases: Vec<ReleaseClaimRequest>,
    /// How often a lease was renewed, and whether renewals are refused.
    pub(super) renewals: u64,
    pub(super) claim_lost: bool,
}

/// A status with a reason of the registry.
pub(super) fn refuse(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "proof-of-agent", []);
    Status::with_error_details(code, reason.to_lowercase(), details)
}

/// Tokens that end this many seconds from now.
pub(super) fn tokens(client: &Client, access: &str, seconds: i64) -> SessionTokens {
    SessionTokens::from_answer(Some(wire_tokens(access, client.env().now().unix_timestamp() + seconds)))
        .unwrap()
}

fn wire_tokens(access: &str, end: i64) -> Tokens {
    let time = Some(prost_types::Timestamp { seconds: end, nanos: 0 });
    Tokens {
        access_token: access.to_owned(),
        access_expire_time: time,
        refresh_token: format!("refresh of {access}"),
        refresh_expire_time: time,
        session_id: "sess_1".to_owned(),
    }
}

// === impl Fake ===

impl Fake {
    /// Starts it; it ends with the handle.
    pub(super) async fn start() -> (Self, Client, AbortOnDropHandle<()>) {
        let fake = Self { state: Arc::default(), changed: watch::Sender::new(0) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = tonic::transport::Server::builder()
            .add_service(AuthServiceServer::new(fake.clone()))
            .add_service(AgentServiceServer::new(fake.clone()))
            .add_service(TaskServiceServer::new(fake.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        let handle = tokio::spawn(async move { serving.await.unwrap() });
        (fake, Client::connect(endpoint).unwrap(), AbortOnDropHandle::new(handle))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How often a token was traded, and GetAccount called.
    pub(super) fn tokens_and_accounts(&self) -> (u64, u64) {
        let state = self.state();
        (state.refreshes, state.accounts)
    }

    /// Waits until what was seen fulfils a condition.
    pub(super) async fn until(&self, condition: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        let waited = async {
            while !condition(&self.state()) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waited).await.expect("it happens in time");
    }

    fn note<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let answer = change(&mut self.state());
        self.changed.send_modify(|count| *count += 1);
        answer
    }
}

fn task(task_id: String, state: task::State) -> Task {
    Task { task_id, state: state.into(), ..Task::default() }
}

/// A service of which some methods are faked.
macro_rules! faked {
    ($trait:ident { $($written:tt)* } $($name:ident: $request:ident => $response:ident;)*) => {
        #[tonic::async_trait]
        impl $trait for Fake {
            $($written)*
            $(async fn $name(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not faked"))
            })*
        }
    };
}

faked! {
    AuthService {
        async fn create_api_key(
            &self,
            request: Request<CreateApiKeyRequest>,
        ) -> Result<Response<CreateApiKeyResponse>, Status> {
            self.note(|state| {
                state.request_ids.push(request.into_inner().request_id);
                match state.failures.pop_front() {
                    Some(failure) => Err(failure),
                    None => Ok(Response::new(CreateApiKeyResponse::default())),
                }
            })
        }

        async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<GetAccountResponse>, Status> {
            let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
            self.note(|state| {
                state.accounts += 1;
                if shown != Some(&format!("Bearer {}", state.accepted)) {
                    return Err(refuse(Code::Unauthenticated, "CREDENTIALS_INVALID"));
                }
                Ok(Response::new(GetAccountResponse { account: Some(Account::default()) }))
            })
        }

        async fn refresh_session(
            &self,
            request: Request<RefreshSessionRequest>,
        ) -> Result<Response<RefreshSessionResponse>, Status> {
            if !request.into_inner().refresh_token.starts_with("refresh of ") {
                return Err(refuse(Code::Unauthenticated, "SESSION_REVOKED"));
            }
            let (tokens, lost) = self.note(|state| {
                state.refreshes += 1;
                let tokens = wire_tokens(&format!("access-{}", state.refreshes), 4_000_000_000);
                (tokens, state.refreshes <= state.lost_refreshes)
            });
            if lost {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(RefreshSessionResponse { tokens: Some(tokens) }))
        }
    }
    register: RegisterRequest => RegisterResponse;
    login: LoginRequest => LoginResponse;
    logout: LogoutRequest => LogoutResponse;
    list_api_keys: ListApiKeysRequest => ListApiKeysResponse;
    revoke_api_key: RevokeApiKeyRequest => RevokeApiKeyResponse;
    get_jwks: GetJwksRequest => GetJwksResponse;
    get_server_info: GetServerInfoRequest => GetServerInfoResponse;
}

faked! {
    AgentService {
        async fn get_agent(&self, _: Request<GetAgentRequest>) -> Result<Response<GetAgentResponse>, Status> {
            Ok(Response::new(GetAgentResponse { agent: Some(self.state().agent.clone()) }))
        }

        async fn rotate_agent_key(
            &self,
            request: Request<RotateAgentKeyRequest>,
        ) -> Result<Response<RotateAgentKeyResponse>, Status> {
            self.note(|state| {
                state.rotations.push(request.into_inner());
                match state.failures.pop_front() {
                    Some(failure) => Err(failure),
                    None => Ok(Response::new(RotateAgentKeyResponse::default())),
                }
            })
        }

        async fn revoke_agent_key(
            &self,
            request: Request<RevokeAgentKeyRequest>,
        ) -> Result<Response<RevokeAgentKeyResponse>, Status> {
            self.note(|state| state.revocations.push(request.into_inner()));
            Ok(Response::new(RevokeAgentKeyResponse::default()))
        }

        async fn publish_agent_version(
            &self,
            request: Request<PublishAgentVersionRequest>,
        ) -> Result<Response<PublishAgentVersionResponse>, Status> {
            let request = request.into_inner();
            let version = AgentVersion { envelope: request.envelope.clone(), ..AgentVersion::default() };
            self.note(|state| {
                state.publications.push(request);
                match state.failures.pop_front() {
                    Some(failure) => Err(failure),
                    None => Ok(Response::new(PublishAgentVersionResponse { version: Some(version) })),
                }
            })
        }
    }
    get_key_events: GetKeyEventsRequest => GetKeyEventsResponse;
    list_agent_versions: ListAgentVersionsRequest => ListAgentVersionsResponse;
    register_agent: RegisterAgentRequest => RegisterAgentResponse;
    list_agents: ListAgentsRequest => ListAgentsResponse;
    retire_agent: RetireAgentRequest => RetireAgentResponse;
}

faked! {
    TaskService {
        type WatchTaskStream = Served<WatchTaskResponse>;
        type WatchOpenTasksStream = Served<WatchOpenTasksResponse>;

        async fn watch_task(&self, request: Request<WatchTaskRequest>) -> Result<Response<Self::WatchTaskStream>, Status> {
            let sent = self.note(|state| {
                state.cursors.push(request.into_inner().cursor);
                state.watches.pop_front()
            });
            let sent = sent.ok_or_else(|| refuse(Code::NotFound, "RESOURCE_NOT_FOUND"))?;
            Ok(Response::new(stream::iter(sent).boxed()))
        }

        async fn watch_open_tasks(
            &self,
            _: Request<WatchOpenTasksRequest>,
        ) -> Result<Response<Self::WatchOpenTasksStream>, Status> {
            let tasks = self.state().open.iter().cloned().collect();
            let snapshot = OpenTasksSnapshot { tasks, last: true };
            let update = Some(watch_open_tasks_response::Update::Snapshot(snapshot));
            let first = stream::iter([Ok(WatchOpenTasksResponse { update })]);
            Ok(Response::new(first.chain(stream::pending()).boxed()))
        }

        async fn claim_next_task(
            &self,
            _: Request<ClaimNextTaskRequest>,
        ) -> Result<Response<ClaimNextTaskResponse>, Status> {
            let open = self.note(|state| state.open.pop_front());
            let open = open.ok_or_else(|| refuse(Code::NotFound, "NO_OPEN_TASK"))?;
            Ok(Response::new(ClaimNextTaskResponse { task: Some(open), reserve_expire_time: None }))
        }

        async fn claim_task(&self, request: Request<ClaimTaskRequest>) -> Result<Response<ClaimTaskResponse>, Status> {
            let request = request.into_inner();
            let task_id = request.task_id.clone();
            let input = self.note(|state| {
                state.claims.push(request);
                state.input.clone()
            });
            let body = Some(content::Body::Inline(input));
            let input = Some(Content { media_type: "text/plain".to_owned(), body });
            let task = Some(Task { input, ..task(task_id, task::State::Claimed) });
            Ok(Response::new(ClaimTaskResponse { task }))
        }

        async fn renew_claim(&self, request: Request<RenewClaimRequest>) -> Result<Response<RenewClaimResponse>, Status> {
            let lost = self.note(|state| {
                state.renewals += 1;
                state.claim_lost
            });
            if lost {
                return Err(refuse(Code::FailedPrecondition, "CLAIM_NOT_HELD"));
            }
            let task = Some(task(request.into_inner().task_id, task::State::Claimed));
            Ok(Response::new(RenewClaimResponse { task }))
        }

        async fn submit_result(
            &self,
            request: Request<SubmitResultRequest>,
        ) -> Result<Response<SubmitResultResponse>, Status> {
            let request = request.into_inner();
            let task = Some(task(request.task_id.clone(), task::State::Completed));
            self.note(|state| {
                state.submissions.push(request);
                match state.submit_failures.pop_front() {
                    Some(failure) => Err(failure),
                    None => Ok(Response::new(SubmitResultResponse { task })),
                }
            })
        }

        async fn release_claim(
            &self,
            request: Request<ReleaseClaimRequest>,
        ) -> Result<Response<ReleaseClaimResponse>, Status> {
            let request = request.into_inner();
            let task = Some(task(request.task_id.clone(), task::State::Open));
            self.note(|state| state.releases.push(request));
            Ok(Response::new(ReleaseClaimResponse { task }))
        }
    }
    create_task: CreateTaskRequest => CreateTaskResponse;
    get_task: GetTaskRequest => GetTaskResponse;
    list_tasks: ListTasksRequest => ListTasksResponse;
    accept_result: AcceptResultRequest => AcceptResultResponse;
    reject_result: RejectResultRequest => RejectResultResponse;
    cancel_task: CancelTaskRequest => CancelTaskResponse;
}

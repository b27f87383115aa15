//! An auth, a task and an attestation service that keep their contracts and nothing else: each a list of events, which a
//! test writes, repeats, breaks off and takes back.

use std::sync::{Arc, Mutex};

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use poa_proto::attestation::v1::attestation_internal_service_server::{
    AttestationInternalService, AttestationInternalServiceServer,
};
use poa_proto::attestation::v1::{
    AppendLiabilitiesRequest, AppendLiabilitiesResponse, AppendStatementRequest, AppendStatementResponse,
    AttestationEvent, WatchAttestationEventsRequest, WatchAttestationEventsResponse,
    watch_attestation_events_response,
};
use poa_proto::auth::v1::auth_internal_service_server::{AuthInternalService, AuthInternalServiceServer};
use poa_proto::auth::v1::{
    AgentEvent, ExchangeApiKeyRequest, ExchangeApiKeyResponse, WatchAgentEventsRequest,
    WatchAgentEventsResponse, watch_agent_events_response,
};
use poa_proto::task::v1::task_internal_service_server::{TaskInternalService, TaskInternalServiceServer};
use poa_proto::task::v1::{
    TaskEvent, WatchTaskEventsRequest, WatchTaskEventsResponse, watch_task_events_response,
};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// A service's events, and what becomes of its streams.
#[derive(Clone, Debug)]
pub(crate) struct Feed<E> {
    state: watch::Sender<State<E>>,
    cursors: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Debug)]
struct State<E> {
    events: Vec<E>,
    /// Streams of an earlier number end.
    streams: u64,
    /// How many events before a cursor are told again.
    repeats: usize,
}

/// Events, each with the cursor after it.
type Told<E> = BoxStream<'static, Result<(String, E), Status>>;

/// The three services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) agents: Feed<AgentEvent>,
    pub(crate) tasks: Feed<TaskEvent>,
    pub(crate) statements: Feed<AttestationEvent>,
}

// === impl Feed ===

impl<E> Default for Feed<E> {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(State { events: Vec::new(), streams: 0, repeats: 0 }),
            cursors: Arc::default(),
        }
    }
}

impl<E: Clone + Send + Sync + 'static> Feed<E> {
    pub(crate) fn push(&self, event: E) {
        self.state.send_modify(|state| state.events.push(event));
    }

    /// Breaks every stream off.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.streams += 1);
    }

    /// Tells so many events again whenever a stream is opened.
    pub(crate) fn repeat(&self, events: usize) {
        self.state.send_modify(|state| state.repeats = events);
    }

    /// Goes back to a state with so many events, as from a backup.
    pub(crate) fn restore(&self, events: usize) {
        self.state.send_modify(|state| {
            state.events.truncate(events);
            state.streams += 1;
        });
    }

    /// The cursors with which streams were asked for, in order.
    pub(crate) fn cursors(&self) -> Vec<String> {
        self.cursors.lock().unwrap().clone()
    }

    /// The events after a cursor as they come, each with the cursor after it.
    fn watch(&self, cursor: &str) -> Result<Told<E>, Status> {
        self.cursors.lock().unwrap().push(cursor.to_owned());
        let mut state = self.state.subscribe();
        let (known, streams, repeats) = {
            let now = state.borrow_and_update();
            (now.events.len(), now.streams, now.repeats)
        };
        let next: usize = if cursor.is_empty() { 0 } else { cursor.parse().unwrap() };
        if next > known {
            return Err(Status::invalid_argument("the cursor lies beyond the end"));
        }
        let begin = next.saturating_sub(repeats);
        Ok(unfold(Some((state, begin)), move |place| async move {
            let (mut state, next) = place?;
            let event = {
                let now = state.wait_for(|now| now.streams != streams || now.events.len() > next).await;
                now.ok().filter(|now| now.streams == streams).map(|now| now.events[next].clone())
            };
            let Some(event) = event else {
                return Some((Err(Status::unavailable("cut off")), None));
            };
            Some((Ok(((next + 1).to_string(), event)), Some((state, next + 1))))
        })
        .boxed())
    }
}

// === impl Neighbours ===

impl Neighbours {
    /// The services by their names.
    pub(crate) fn routes(&self) -> [(&'static str, Routes); 3] {
        [
            ("auth", Routes::new(AuthInternalServiceServer::new(self.clone()))),
            ("task", Routes::new(TaskInternalServiceServer::new(self.clone()))),
            ("attestation", Routes::new(AttestationInternalServiceServer::new(self.clone()))),
        ]
    }
}

#[tonic::async_trait]
impl AuthInternalService for Neighbours {
    type WatchAgentEventsStream = BoxStream<'static, Result<WatchAgentEventsResponse, Status>>;

    async fn exchange_api_key(
        &self,
        _: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        Err(Status::unimplemented("search asks for events alone"))
    }

    async fn watch_agent_events(
        &self,
        request: Request<WatchAgentEventsRequest>,
    ) -> Result<Response<Self::WatchAgentEventsStream>, Status> {
        let told = self.agents.watch(&request.into_inner().cursor)?.map(|told| {
            let (cursor, event) = told?;
            let update = Some(watch_agent_events_response::Update::Event(event));
            Ok(WatchAgentEventsResponse { cursor, update })
        });
        Ok(Response::new(told.boxed()))
    }
}

#[tonic::async_trait]
impl TaskInternalService for Neighbours {
    type WatchTaskEventsStream = BoxStream<'static, Result<WatchTaskEventsResponse, Status>>;

    async fn watch_task_events(
        &self,
        request: Request<WatchTaskEventsRequest>,
    ) -> Result<Response<Self::WatchTaskEventsStream>, Status> {
        let told = self.tasks.watch(&request.into_inner().cursor)?.map(|told| {
            let (cursor, event) = told?;
            let update = Some(watch_task_events_response::Update::Event(event));
            Ok(WatchTaskEventsResponse { cursor, update })
        });
        Ok(Response::new(told.boxed()))
    }
}

#[tonic::async_trait]
impl AttestationInternalService for Neighbours {
    type WatchAttestationEventsStream = BoxStream<'static, Result<WatchAttestationEventsResponse, Status>>;

    async fn append_statement(
        &self,
        _: Request<AppendStatementRequest>,
    ) -> Result<Response<AppendStatementResponse>, Status> {
        Err(Status::unimplemented("search appends nothing"))
    }

    async fn append_liabilities(
        &self,
        _: Request<AppendLiabilitiesRequest>,
    ) -> Result<Response<AppendLiabilitiesResponse>, Status> {
        Err(Status::unimplemented("search appends nothing"))
    }

    async fn watch_attestation_events(
        &self,
        request: Request<WatchAttestationEventsRequest>,
    ) -> Result<Response<Self::WatchAttestationEventsStream>, Status> {
        let told = self.statements.watch(&request.into_inner().cursor)?.map(|told| {
            let (cursor, event) = told?;
            let update = Some(watch_attestation_events_response::Update::Event(event));
            Ok(WatchAttestationEventsResponse { cursor, update })
        });
        Ok(Response::new(told.boxed()))
    }
}

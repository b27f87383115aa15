//! A small auth: the stream of agent events, which a test can cut and hold back.

use std::sync::{Arc, Mutex};

use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use poa_common::{AccountId, AgentId, Env};
use poa_proto::auth::v1::auth_internal_service_server::{AuthInternalService, AuthInternalServiceServer};
use poa_proto::auth::v1::watch_agent_events_response::Update;
use poa_proto::auth::v1::{
    Agent, AgentEvent, ExchangeApiKeyRequest, ExchangeApiKeyResponse, KeyEvent, WatchAgentEventsRequest,
    WatchAgentEventsResponse, agent, agent_event, key_event,
};
use proof_of_agent::DidKey;
use proof_of_agent::notice::registration_text;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// What the streams look at.
#[derive(Clone, Debug, Default)]
struct State {
    events: Vec<AgentEvent>,
    is_down: bool,
    /// Streams of an earlier generation end.
    generation: u64,
    /// Cursors of an earlier history are refused.
    history: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeAuth {
    env: Env,
    state: watch::Sender<State>,
    cursors: Arc<Mutex<Vec<String>>>,
}

impl FakeAuth {
    pub(crate) fn new(env: Env) -> Self {
        Self { env, state: watch::Sender::new(State::default()), cursors: Arc::default() }
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(AuthInternalServiceServer::new(self.clone()))
    }

    pub(crate) fn register(&self, agent_id: AgentId, account_id: AccountId, key: &SigningKey) {
        let did = DidKey::of(key);
        let proof = key.sign(registration_text(&account_id, &did).as_bytes());
        let event = KeyEvent {
            agent_id: agent_id.to_string(),
            account_id: account_id.to_string(),
            sequence: 1,
            kind: key_event::Kind::Registered.into(),
            public_key: did.as_bytes().to_vec(),
            key_proof: proof.to_bytes().to_vec(),
            ..KeyEvent::default()
        };
        self.key_event(agent_event::Kind::Registered, event, &did);
    }

    /// Something became of an agent's key; `active` is the key after it.
    pub(crate) fn key_event(&self, kind: agent_event::Kind, event: KeyEvent, active: &DidKey) {
        let now = Some(self.now());
        let agent = agent(
            event.agent_id.parse().unwrap(),
            event.account_id.parse().unwrap(),
            *active,
            agent::State::Active,
        );
        let event = KeyEvent { event_time: now, ..event };
        self.tell(AgentEvent {
            kind: kind.into(),
            agent: Some(agent),
            event_time: now,
            key_event: Some(event),
            ..AgentEvent::default()
        });
    }

    /// A version of an agent.
    pub(crate) fn publish(&self, agent_id: AgentId, account_id: AccountId, key: DidKey, envelope: Vec<u8>) {
        self.tell(AgentEvent {
            kind: agent_event::Kind::VersionPublished.into(),
            agent: Some(agent(agent_id, account_id, key, agent::State::Active)),
            event_time: Some(self.now()),
            version_envelope: envelope,
            ..AgentEvent::default()
        });
    }

    pub(crate) fn retire(&self, agent_id: AgentId, account_id: AccountId, key: DidKey) {
        self.push(agent_event::Kind::Retired, agent(agent_id, account_id, key, agent::State::Retired));
    }

    /// The same at another time than now, in seconds since 1970.
    pub(crate) fn retire_at(&self, agent_id: AgentId, account_id: AccountId, key: DidKey, seconds: i64) {
        let agent = agent(agent_id, account_id, key, agent::State::Retired);
        self.push_at(agent_event::Kind::Retired, agent, prost_types::Timestamp { seconds, nanos: 0 });
    }

    /// Agents that registered one after another before anybody looked.
    pub(crate) fn push(&self, kind: agent_event::Kind, agent: Agent) {
        self.push_at(kind, agent, self.now());
    }

    fn now(&self) -> prost_types::Timestamp {
        let now = self.env.now();
        prost_types::Timestamp {
            seconds: now.unix_timestamp(),
            nanos: i32::try_from(now.nanosecond()).unwrap(),
        }
    }

    fn push_at(&self, kind: agent_event::Kind, agent: Agent, time: prost_types::Timestamp) {
        self.tell(AgentEvent {
            kind: kind.into(),
            agent: Some(agent),
            event_time: Some(time),
            ..AgentEvent::default()
        });
    }

    fn tell(&self, event: AgentEvent) {
        self.state.send_modify(|state| state.events.push(event));
    }

    /// Ends all streams and refuses new ones.
    pub(crate) fn go_down(&self) {
        self.state.send_modify(|state| {
            state.is_down = true;
            state.generation += 1;
        });
    }

    /// Goes back to a state with so many events, as from a backup, and tells of others from there on: streams end, and
    /// earlier cursors are nobody's.
    pub(crate) fn restore(&self, events: usize) {
        self.state.send_modify(|state| {
            state.events.truncate(events);
            state.history += 1;
            state.generation += 1;
        });
    }

    /// Takes streams again.
    pub(crate) fn come_up(&self) {
        self.state.send_modify(|state| state.is_down = false);
    }

    /// The cursors with which streams were asked for, in order.
    pub(crate) fn cursors(&self) -> Vec<String> {
        self.cursors.lock().unwrap().clone()
    }
}

fn agent(agent_id: AgentId, account_id: AccountId, key: DidKey, state: agent::State) -> Agent {
    Agent {
        agent_id: agent_id.to_string(),
        account_id: account_id.to_string(),
        name: "tester".to_owned(),
        public_key: key.as_bytes().to_vec(),
        state: state.into(),
        ..Agent::default()
    }
}

#[tonic::async_trait]
impl AuthInternalService for FakeAuth {
    type WatchAgentEventsStream = BoxStream<'static, Result<WatchAgentEventsResponse, Status>>;

    async fn exchange_api_key(
        &self,
        _request: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn watch_agent_events(
        &self,
        request: Request<WatchAgentEventsRequest>,
    ) -> Result<Response<Self::WatchAgentEventsStream>, Status> {
        let cursor = request.into_inner().cursor;
        self.cursors.lock().unwrap().push(cursor.clone());
        let receiver = self.state.subscribe();
        if receiver.borrow().is_down {
            return Err(Status::unavailable("down"));
        }
        let (generation, history) = {
            let now = receiver.borrow();
            (now.generation, now.history)
        };
        let next: usize = match cursor.split_once('.') {
            None => 0,
            Some((next, of)) if of == history.to_string() => next.parse().unwrap(),
            Some(_) => return Err(Status::invalid_argument("the cursor is not one of this stream")),
        };
        let events = stream::unfold((receiver, next), move |(mut receiver, next)| async move {
            let event = {
                let state = receiver
                    .wait_for(|state| state.generation != generation || state.events.len() > next)
                    .await
                    .ok()?;
                (state.generation == generation).then(|| state.events[next].clone())
            };
            let cursor = format!("{}.{history}", next + 1);
            let update = Some(Update::Event(event?));
            Some((Ok(WatchAgentEventsResponse { cursor, update }), (receiver, next + 1)))
        });
        Ok(Response::new(events.boxed()))
    }
}

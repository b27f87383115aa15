//! Agents, from auth.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use poa_chassis::client::PeerChannel;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use poa_proto::auth::v1::watch_agent_events_response::Update;
use poa_proto::auth::v1::{AgentEvent, WatchAgentEventsRequest, WatchAgentEventsResponse, agent};
use prost::Message as _;
use tonic::Status;

use super::{context, is_text, time};
use crate::domain::{Agent, Change, Source, is_capability};
use crate::worker::follower::{Feed, News, Told};

/// Auth's stream.
#[derive(Debug)]
pub(crate) struct AgentFeed {
    client: AuthInternalServiceClient<PeerChannel>,
}

// === impl AgentFeed ===

impl AgentFeed {
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self { client: AuthInternalServiceClient::new(channel) }
    }
}

#[tonic::async_trait]
impl Feed for AgentFeed {
    const SOURCE: Source = Source::Auth;

    async fn open(&mut self, cursor: String) -> Result<BoxStream<'static, Result<Told, Status>>, Status> {
        let request = WatchAgentEventsRequest { cursor };
        let stream = context("agent-events").scope(self.client.watch_agent_events(request)).await?;
        Ok(stream.into_inner().map(|message| message.map(told)).boxed())
    }
}

fn told(message: WatchAgentEventsResponse) -> Told {
    let news = match &message.update {
        Some(Update::Event(event)) => read(event).unwrap_or_else(News::Malformed),
        Some(Update::Heartbeat(_)) | None => News::Heartbeat,
    };
    Told { cursor: message.cursor, news }
}

fn read(event: &AgentEvent) -> Result<News, &'static str> {
    let agent = event.agent.as_ref().ok_or("no agent")?;
    let changed = time(event.event_time.as_ref()).ok_or("no time")?;
    let active = match agent.state() {
        agent::State::Active => true,
        agent::State::Retired => false,
        agent::State::Unspecified => return Err("an unknown state"),
    };
    if !is_text(&agent.name) || !is_text(&agent.description) {
        return Err("a text with a NUL");
    }
    if !agent.capabilities.iter().all(|capability| is_capability(capability)) {
        return Err("a malformed capability");
    }
    let read = Agent {
        id: agent.agent_id.parse().map_err(|_| "a malformed agent_id")?,
        changed,
        active,
        name: agent.name.clone(),
        description: agent.description.clone(),
        capabilities: agent.capabilities.clone(),
        message: agent.encode_to_vec(),
    };
    Ok(News::Change(Change::Agent(Box::new(read)), changed))
}

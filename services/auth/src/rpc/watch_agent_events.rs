//! `AuthInternalService.WatchAgentEvents`, and the events that it streams.
//!
//! A cursor is the place after an event. A reader pulls: nothing is kept for one that is slow.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use poa_common::{EventId, Timestamp, TypedId as _};
use poa_proto::auth::v1::watch_agent_events_response::Update;
use poa_proto::auth::v1::{
    AgentEvent, AgentHeartbeat, WatchAgentEventsRequest, WatchAgentEventsResponse, agent_event,
};
use poa_storage::events::{Event, NewEvent, Place, Tail};
use proof_of_agent::KeyEvent;
use prost::Message as _;
use tonic::{Request, Status};

use super::convert;
use super::mutation::recorded;
use crate::domain::Agent;
use crate::error::{Error, field_invalid};
use crate::state::State;

/// The topic of all events about agents.
const TOPIC: &str = "agents";

/// A reader's place in the stream.
struct Reader {
    tail: Tail,
    /// The place after the last event that was told; a heartbeat repeats it.
    place: Place,
    /// Read from the database and not sent yet.
    waiting: VecDeque<Event>,
    heartbeat: Duration,
}

/// What an event tells beside the agent.
pub(super) enum Happened<'a> {
    /// Nothing.
    Change,
    /// What became of its key.
    Key(&'a KeyEvent),
    /// The statement of a version.
    Version(&'a [u8]),
}

/// An event about an agent, for the transaction of its change.
pub(super) fn new_event(
    kind: agent_event::Kind,
    agent: &Agent,
    happened: Happened<'_>,
    id: EventId,
    time: Timestamp,
) -> NewEvent {
    let (key_event, version_envelope) = match happened {
        Happened::Change => (None, Vec::new()),
        Happened::Key(event) => (Some(convert::key_event(event)), Vec::new()),
        Happened::Version(envelope) => (None, envelope.to_vec()),
    };
    let event = AgentEvent {
        kind: kind.into(),
        agent: Some(convert::agent(agent)),
        event_time: Some(convert::timestamp(time)),
        key_event,
        version_envelope,
    };
    NewEvent {
        id,
        topic: TOPIC,
        subject: agent.id.uuid(),
        kind: match kind {
            agent_event::Kind::Unspecified => "unspecified",
            agent_event::Kind::Registered => "registered",
            agent_event::Kind::Retired => "retired",
            agent_event::Kind::KeyRotated => "key_rotated",
            agent_event::Kind::KeyRevoked => "key_revoked",
            agent_event::Kind::VersionPublished => "version_published",
        },
        payload: event.encode_to_vec(),
        time,
    }
}

pub(super) async fn handle(
    state: &State,
    request: Request<WatchAgentEventsRequest>,
) -> Result<BoxStream<'static, Result<WatchAgentEventsResponse, Status>>, Error> {
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let unknown = || field_invalid("cursor", "is not one of this stream");
    let place = Place::parse(&message.cursor).ok_or_else(unknown)?;
    // After a restored backup, for one: whoever has seen more than there is would miss what comes in its place.
    if !place.is_in(&state.db).await? {
        return Err(unknown());
    }
    let reader = Reader {
        tail: state.events.tail(Some(TOPIC), place.position()),
        place,
        waiting: VecDeque::new(),
        heartbeat: state.heartbeat,
    };
    let messages = unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        match reader.next().await {
            Ok(message) => Some((Ok(message), Some(reader))),
            Err(error) => Some((Err(poa_chassis::status(error)), None)),
        }
    });
    Ok(messages.boxed())
}

// === impl Reader ===

impl Reader {
    async fn next(&mut self) -> Result<WatchAgentEventsResponse, Error> {
        if self.waiting.is_empty() {
            // A dropped `next` of the tail loses nothing.
            match tokio::time::timeout(self.heartbeat, self.tail.next()).await {
                Ok(batch) => self.waiting.extend(batch?.events),
                Err(_silence) => return Ok(self.message(Update::Heartbeat(AgentHeartbeat {}))),
            }
        }
        let Some(event) = self.waiting.pop_front() else {
            return Ok(self.message(Update::Heartbeat(AgentHeartbeat {})));
        };
        let told = recorded(&event.payload)?;
        self.place = Place::of(&event);
        Ok(self.message(Update::Event(told)))
    }

    fn message(&self, update: Update) -> WatchAgentEventsResponse {
        WatchAgentEventsResponse { cursor: self.place.to_string(), update: Some(update) }
    }
}

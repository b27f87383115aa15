//! `AuthInternalService.WatchAgentEvents`, and the events that it streams.
//!
//! A cursor is the decimal position of an event. A reader pulls: nothing is kept for one that is slow.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use poa_common::{EventId, Timestamp, TypedId as _};
use poa_proto::auth::v1::watch_agent_events_response::Update;
use poa_proto::auth::v1::{
    AgentEvent, AgentHeartbeat, WatchAgentEventsRequest, WatchAgentEventsResponse, agent_event,
};
use poa_storage::events::{Event, NewEvent, Tail, head};
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
    /// Read from the database and not sent yet.
    waiting: VecDeque<Event>,
    heartbeat: Duration,
}

/// An event about an agent, for the transaction of its change.
pub(super) fn new_event(kind: agent_event::Kind, agent: &Agent, id: EventId, time: Timestamp) -> NewEvent {
    let event = AgentEvent {
        kind: kind.into(),
        agent: Some(convert::agent(agent)),
        event_time: Some(convert::timestamp(time)),
    };
    NewEvent {
        id,
        topic: TOPIC,
        subject: agent.id.uuid(),
        kind: match kind {
            agent_event::Kind::Unspecified => "unspecified",
            agent_event::Kind::Registered => "registered",
            agent_event::Kind::Retired => "retired",
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
    let position =
        position(&message.cursor).ok_or_else(|| field_invalid("cursor", "is not one of this stream"))?;
    // Beyond the end a reader would wait in silence and miss what comes: after a restored backup, for one.
    if position > head(&state.db).await? {
        return Err(field_invalid("cursor", "lies beyond the end of this stream"));
    }
    let reader = Reader {
        tail: state.events.tail(Some(TOPIC), position),
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

/// The position of a cursor; the empty one is the beginning.
fn position(cursor: &str) -> Option<i64> {
    if cursor.is_empty() {
        return Some(0);
    }
    // One spelling of each position: no sign, no leading zero.
    cursor.parse::<i64>().ok().filter(|position| *position >= 0 && position.to_string() == cursor)
}

// === impl Reader ===

impl Reader {
    async fn next(&mut self) -> Result<WatchAgentEventsResponse, Error> {
        if self.waiting.is_empty() {
            // A dropped `next` of the tail loses nothing.
            match tokio::time::timeout(self.heartbeat, self.tail.next()).await {
                Ok(batch) => self.waiting.extend(batch?.events),
                Err(_silence) => {
                    return Ok(message(self.tail.position(), Update::Heartbeat(AgentHeartbeat {})));
                }
            }
        }
        match self.waiting.pop_front() {
            Some(event) => Ok(message(event.position, Update::Event(recorded(&event.payload)?))),
            None => Ok(message(self.tail.position(), Update::Heartbeat(AgentHeartbeat {}))),
        }
    }
}

fn message(position: i64, update: Update) -> WatchAgentEventsResponse {
    WatchAgentEventsResponse { cursor: position.to_string(), update: Some(update) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_position_in_its_one_spelling() {
        assert_eq!(position(""), Some(0));
        assert_eq!(position("0"), Some(0));
        assert_eq!(position("9223372036854775807"), Some(i64::MAX));
        for cursor in ["-1", "+1", "01", " 1", "1 ", "x", "9223372036854775808"] {
            assert_eq!(position(cursor), None, "{cursor}");
        }
    }
}

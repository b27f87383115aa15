//! `TaskInternalService.WatchTaskEvents`: every task that changed, as it is now.
//!
//! A cursor is the decimal position of an event. Of several events of one task in a batch the last one is told. A reader
//! pulls: nothing is kept for one that is slow.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::{status, validate};
use poa_common::{FieldViolation, TypedId as _};
use poa_proto::task::v1::watch_task_events_response::Update;
use poa_proto::task::v1::{TaskEvent, TaskHeartbeat, WatchTaskEventsRequest, WatchTaskEventsResponse};
use poa_storage::events::{self, Event, Tail};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use super::convert;
use crate::error::Error;
use crate::service::Service;
use crate::store::{self, View};

/// A quiet stream says that it lives this often; contracts allow 20 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Tasks that one query reads.
const PAGE: usize = 200;
/// Messages that wait for the reader; then the reading of events waits for it too.
const BACKLOG: usize = 16;

type Sender = mpsc::Sender<Result<WatchTaskEventsResponse, Status>>;
/// The stream of one reader.
pub(super) type Messages = ReceiverStream<Result<WatchTaskEventsResponse, Status>>;

pub(super) async fn handle(
    service: &Arc<Service>,
    message: WatchTaskEventsRequest,
) -> Result<Messages, Error> {
    validate(&message)?;
    let Some(position) = position(&message.cursor) else {
        return Err(refused("is not one of this stream"));
    };
    // Beyond the end a reader would wait in silence and miss what comes: after a restored backup, for one.
    if position > events::head(&service.db).await? {
        return Err(refused("lies beyond the end of this stream"));
    }
    let tail = service.events.tail(Some(store::TOPIC), position);
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let ended = tokio::select! {
            () = sender.closed() => return,
            ended = run(&service, tail, &sender) => ended,
        };
        if let Err(error) = ended {
            // Nobody may be there to hear it.
            let _heard = sender.send(Err(status(error))).await;
        }
    });
    Ok(ReceiverStream::new(receiver))
}

fn refused(description: &str) -> Error {
    Error::fields(vec![FieldViolation { field: "cursor".to_owned(), description: description.to_owned() }])
}

/// The position of a cursor; the empty one is the beginning.
fn position(cursor: &str) -> Option<i64> {
    if cursor.is_empty() {
        return Some(0);
    }
    // One spelling of each position: no sign, no leading zero.
    cursor.parse::<i64>().ok().filter(|position| *position >= 0 && position.to_string() == cursor)
}

/// Tells what changed for as long as somebody listens.
async fn run(service: &Service, mut tail: Tail, sender: &Sender) -> Result<(), Error> {
    loop {
        // A dropped `next` of the tail loses nothing.
        let Ok(batch) = timeout(HEARTBEAT, tail.next()).await else {
            let beat = message(tail.position(), Update::Heartbeat(TaskHeartbeat {}));
            if sender.send(Ok(beat)).await.is_err() {
                return Ok(());
            }
            continue;
        };
        for stretch in last_of_each(&batch?.events).chunks(PAGE) {
            let ids: Vec<Uuid> = stretch.iter().map(|event| event.subject).collect();
            let views = store::outlines(&service.db, &ids).await?;
            let views: HashMap<Uuid, View> = views.into_iter().map(|view| (view.task.uuid(), view)).collect();
            for event in stretch {
                let Some(view) = views.get(&event.subject) else { continue };
                let told = TaskEvent {
                    task: Some(convert::outline(view, service.now())),
                    event_time: Some(convert::timestamp(event.time)),
                    version: view.status.version,
                };
                if sender.send(Ok(message(event.position, Update::Event(told)))).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// The last event of each task, in the order of positions. A reader that goes on after one of them still hears of every
/// task whose last event comes later.
fn last_of_each(events: &[Event]) -> Vec<&Event> {
    let mut seen = HashSet::new();
    let mut last: Vec<&Event> = events.iter().rev().filter(|event| seen.insert(event.subject)).collect();
    last.reverse();
    last
}

fn message(position: i64, update: Update) -> WatchTaskEventsResponse {
    WatchTaskEventsResponse { cursor: position.to_string(), update: Some(update) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::{EventId, Timestamp};

    #[test]
    fn a_cursor_is_a_position_in_its_one_spelling() {
        assert_eq!(position(""), Some(0));
        assert_eq!(position("0"), Some(0));
        assert_eq!(position("9223372036854775807"), Some(i64::MAX));
        for cursor in ["-1", "+1", "01", " 1", "1 ", "x", "9223372036854775808"] {
            assert_eq!(position(cursor), None, "{cursor}");
        }
    }

    #[test]
    fn of_several_events_of_a_task_the_last_one_is_told_in_its_place() {
        let event = |position, subject| Event {
            position,
            id: EventId::from_uuid(Uuid::from_u128(1)),
            topic: store::TOPIC.to_owned(),
            subject: Uuid::from_u128(subject),
            kind: "open".to_owned(),
            payload: Vec::new(),
            time: Timestamp::UNIX_EPOCH,
        };
        let events = [event(1, 7), event(2, 8), event(3, 7), event(4, 9)];
        let told: Vec<i64> = last_of_each(&events).into_iter().map(|event| event.position).collect();
        assert_eq!(told, [2, 3, 4]);
    }
}

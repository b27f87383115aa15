//! `TaskInternalService.WatchTaskEvents`: every task that changed, as it is now.
//!
//! A cursor is the place after an event. Of several events of one task in a batch the last one is told. A reader
//! pulls: nothing is kept for one that is slow.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::{status, validate};
use poa_common::{FieldViolation, TypedId as _};
use poa_proto::task::v1::watch_task_events_response::Update;
use poa_proto::task::v1::{TaskEvent, TaskHeartbeat, WatchTaskEventsRequest, WatchTaskEventsResponse};
use poa_storage::events::{Event, Place, Tail};
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
    let place = Place::parse(&message.cursor).ok_or_else(unknown)?;
    // After a restored backup, for one: whoever has seen more than there is would miss what comes in its place.
    if !place.is_in(&service.db).await? {
        return Err(unknown());
    }
    let tail = service.events.tail(Some(store::TOPIC), place.position());
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let ended = tokio::select! {
            () = sender.closed() => return,
            ended = run(&service, tail, place, &sender) => ended,
        };
        if let Err(error) = ended {
            // Nobody may be there to hear it.
            let _heard = sender.send(Err(status(error))).await;
        }
    });
    Ok(ReceiverStream::new(receiver))
}

fn unknown() -> Error {
    let description = "is not one of this stream".to_owned();
    Error::fields(vec![FieldViolation { field: "cursor".to_owned(), description }])
}

/// Tells what changed for as long as somebody listens. `place` is that after the last event that was told.
async fn run(service: &Service, mut tail: Tail, mut place: Place, sender: &Sender) -> Result<(), Error> {
    loop {
        // A dropped `next` of the tail loses nothing.
        let Ok(batch) = timeout(HEARTBEAT, tail.next()).await else {
            let beat = message(place, Update::Heartbeat(TaskHeartbeat {}));
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
                place = Place::of(event);
                if sender.send(Ok(message(place, Update::Event(told)))).await.is_err() {
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

fn message(place: Place, update: Update) -> WatchTaskEventsResponse {
    WatchTaskEventsResponse { cursor: place.to_string(), update: Some(update) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::{EventId, Timestamp};

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

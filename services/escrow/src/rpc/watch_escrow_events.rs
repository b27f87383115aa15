//! WatchEscrowEvents: every escrow that a hold invoice funds and that changed, as it is now.
//!
//! A cursor is the place after an event. Of several events of one escrow in a batch the last one is told. A reader pulls:
//! nothing is kept for one that is slow.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use poa_chassis::{status, validate};
use poa_common::TypedId as _;
use poa_proto::escrow::v1::watch_escrow_events_response::Update;
use poa_proto::escrow::v1::{
    EscrowEvent, EscrowHeartbeat, WatchEscrowEventsRequest, WatchEscrowEventsResponse,
};
use poa_storage::events::{Event, Place, Tail};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};
use uuid::Uuid;

use super::convert;
use crate::domain::escrow::Escrow;
use crate::error::Error;
use crate::service::Service;
use crate::store::{TOPIC, escrows};

/// A quiet stream says that it lives this often; contracts allow 20 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Escrows that one query reads.
const PAGE: usize = 200;
/// Messages that wait for the reader; then the reading of events waits for it too.
const BACKLOG: usize = 16;

type Message = Result<WatchEscrowEventsResponse, Status>;

pub(super) async fn handle(
    service: &Arc<Service>,
    request: Request<WatchEscrowEventsRequest>,
) -> Result<BoxStream<'static, Message>, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let place = Place::parse(&message.cursor).ok_or_else(unknown)?;
    // After a restored backup, for one: whoever has seen more than there is would miss what comes in its place.
    if !place.is_in(&service.db).await? {
        return Err(unknown());
    }
    let tail = service.events.tail(Some(TOPIC), place.position());
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
    Ok(ReceiverStream::new(receiver).boxed())
}

fn unknown() -> Error {
    Error::field("cursor", "is not one of this stream")
}

/// Tells what changed for as long as somebody listens. `place` is that after the last event that was told.
async fn run(
    service: &Service,
    mut tail: Tail,
    mut place: Place,
    sender: &mpsc::Sender<Message>,
) -> Result<(), Error> {
    loop {
        // A dropped `next` of the tail loses nothing.
        let Ok(batch) = timeout(HEARTBEAT, tail.next()).await else {
            let beat = told(place, Update::Heartbeat(EscrowHeartbeat {}));
            if sender.send(Ok(beat)).await.is_err() {
                return Ok(());
            }
            continue;
        };
        for stretch in last_of_each(&batch?.events).chunks(PAGE) {
            let ids: Vec<Uuid> = stretch.iter().map(|event| event.subject).collect();
            let found = escrows::find_all(&service.db, &ids).await?;
            let found: HashMap<Uuid, Escrow> =
                found.into_iter().map(|escrow| (escrow.id.uuid(), escrow)).collect();
            for event in stretch {
                let Some(escrow) = found.get(&event.subject) else { continue };
                let guard_reached =
                    escrow.hold_invoice.as_ref().is_some_and(|held| held.guard_time.is_some());
                let update = EscrowEvent { escrow: Some(convert::escrow(escrow)), guard_reached };
                place = Place::of(event);
                if sender.send(Ok(told(place, Update::Event(update)))).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// The last event of each escrow, in the order of positions. A reader that goes on after one of them still hears of every
/// escrow whose last event comes later.
fn last_of_each(events: &[Event]) -> Vec<&Event> {
    let mut seen = HashSet::new();
    let mut last: Vec<&Event> = events.iter().rev().filter(|event| seen.insert(event.subject)).collect();
    last.reverse();
    last
}

fn told(place: Place, update: Update) -> WatchEscrowEventsResponse {
    WatchEscrowEventsResponse { cursor: place.to_string(), update: Some(update) }
}

//! `AttestationInternalService.WatchAttestationEvents`: the log itself, followed.
//!
//! The log is a list with dense places, so it needs no event table: a cursor is the place after a statement. Only what the
//! published tree reaches is told, and of that what belongs to a task. A reader pulls: nothing is kept for one that is slow.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use poa_common::TypedId as _;
use poa_proto::attestation::v1::watch_attestation_events_response::Update;
use poa_proto::attestation::v1::{
    AttestationEvent, AttestationHeartbeat, WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use poa_storage::Database;
use poa_storage::events::Place;
use proof_of_agent::{Body, Envelope};
use tokio::time::Instant;
use tonic::Status;

use super::Service;
use super::convert::{self, Reached};
use crate::error::Error;
use crate::store;
use crate::store::statements::Stored;

/// How often the newest checkpoint is looked at: what follows the log may be that far behind.
const POLL: Duration = Duration::from_millis(250);
/// A quiet stream says that it lives this often; contracts allow 20 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Statements that one query reads.
const PAGE: usize = 200;

/// A reader's place in the log.
struct Reader {
    db: Database,
    origin: String,
    /// The place after the last statement that was told; a heartbeat repeats it.
    place: Place,
    /// The index of the next statement to tell.
    next: u64,
    /// Read from the database and not sent yet.
    waiting: VecDeque<Stored>,
}

pub(super) async fn handle(
    service: &Service,
    message: WatchAttestationEventsRequest,
) -> Result<BoxStream<'static, Result<WatchAttestationEventsResponse, Status>>, Error> {
    poa_chassis::validate(&message)?;
    let unknown = || Error::field("cursor", "is not one of this stream");
    let place = Place::parse(&message.cursor).ok_or_else(unknown)?;
    let next = u64::try_from(place.position()).map_err(Error::bug)?;
    // After a restored backup, for one: whoever has seen more than there is would miss what comes in its place.
    if next > service.newest_checkpoint().await?.size || !is_in_log(&service.db, &place, next).await? {
        return Err(unknown());
    }
    let reader = Reader {
        db: service.db.clone(),
        origin: service.keys.origin().to_owned(),
        place,
        next,
        waiting: VecDeque::new(),
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

/// Whether the statement that a place comes after is in this log.
async fn is_in_log(db: &Database, place: &Place, next: u64) -> Result<bool, Error> {
    let (Some(id), Some(index)) = (place.id(), next.checked_sub(1)) else { return Ok(true) };
    let there = store::statements::in_log(db.read(), index, next, 1).await?;
    Ok(there.first().is_some_and(|stored| stored.id.uuid() == id))
}

/// What a statement looks like from outside. The log holds what was verified when it came in.
fn event(stored: Stored) -> Result<AttestationEvent, Error> {
    let envelope = Envelope::from_json(&stored.envelope).map_err(Error::bug)?;
    let statement = proof_of_agent::Statement::parse(envelope.payload()).map_err(Error::bug)?;
    let agent = match statement.body() {
        Body::TermsAccepted(accepted) => accepted.agent.to_string(),
        Body::WorkSubmitted(submitted) => submitted.agent.to_string(),
        Body::TermsOffered(_) | Body::WorkReceived(_) | Body::Decision(_) | Body::Settlement(_) => {
            String::new()
        }
    };
    // Only what the published tree reaches is told.
    let reached = Reached { tree: stored.log_index.saturating_add(1), witnessed: 0 };
    let mut attestation = convert::attestation(stored, reached)?;
    attestation.envelope.clear();
    Ok(AttestationEvent {
        event_time: attestation.create_time,
        attestation: Some(attestation),
        agent_id: agent,
    })
}

// === impl Reader ===

impl Reader {
    async fn next(&mut self) -> Result<WatchAttestationEventsResponse, Error> {
        let silence = Instant::now() + HEARTBEAT;
        loop {
            if let Some(stored) = self.waiting.pop_front() {
                self.next = stored.log_index.saturating_add(1);
                self.place = Place::after(i64::try_from(self.next).map_err(Error::bug)?, stored.id.uuid());
                return Ok(self.message(Update::Event(event(stored)?)));
            }
            let published = store::checkpoints::newest(self.db.read(), &self.origin, &[], 0)
                .await?
                .map_or(0, |newest| newest.size);
            if published > self.next {
                let rows = store::statements::in_log(self.db.read(), self.next, published, PAGE).await?;
                if rows.is_empty() {
                    // Entries that are no task's: passed over, and not read again.
                    self.next = published;
                }
                self.waiting = rows.into();
            }
            if self.waiting.is_empty() {
                if Instant::now() >= silence {
                    return Ok(self.message(Update::Heartbeat(AttestationHeartbeat {})));
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }

    fn message(&self, update: Update) -> WatchAttestationEventsResponse {
        WatchAttestationEventsResponse { cursor: self.place.to_string(), update: Some(update) }
    }
}

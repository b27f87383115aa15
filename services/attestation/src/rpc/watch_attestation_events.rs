//! `AttestationInternalService.WatchAttestationEvents`: the log itself, followed.
//!
//! The log is a list with dense places, so it needs no event table: a cursor is the decimal count of the statements that
//! were read. Only what the published tree reaches is told. A reader pulls: nothing is kept for one that is slow.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use poa_proto::attestation::v1::watch_attestation_events_response::Update;
use poa_proto::attestation::v1::{
    AttestationEvent, AttestationHeartbeat, WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use poa_storage::Database;
use proof_of_agent::{Body, Envelope};
use tokio::time::Instant;
use tonic::Status;

use super::{Service, convert};
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
    /// The place of the next statement to tell.
    next: u64,
    /// Read from the database and not sent yet.
    waiting: VecDeque<Stored>,
}

pub(super) async fn handle(
    service: &Service,
    message: WatchAttestationEventsRequest,
) -> Result<BoxStream<'static, Result<WatchAttestationEventsResponse, Status>>, Error> {
    poa_chassis::validate(&message)?;
    let next = place(&message.cursor).ok_or_else(|| Error::field("cursor", "is not one of this stream"))?;
    // Beyond the end a reader would wait in silence and miss what comes: after a restored backup, for one.
    if next > service.newest_checkpoint().await?.size {
        return Err(Error::field("cursor", "lies beyond the end of this stream"));
    }
    let reader = Reader { db: service.db.clone(), next, waiting: VecDeque::new() };
    let messages = unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        match reader.next().await {
            Ok(message) => Some((Ok(message), Some(reader))),
            Err(error) => Some((Err(poa_chassis::status(error)), None)),
        }
    });
    Ok(messages.boxed())
}

/// The place that a cursor names; the empty one is the beginning.
fn place(cursor: &str) -> Option<u64> {
    if cursor.is_empty() {
        return Some(0);
    }
    // One spelling of each place, and none beyond what a database can hold.
    let place = cursor.parse::<i64>().ok().filter(|place| place.to_string() == cursor)?;
    u64::try_from(place).ok()
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
    let tree_size = stored.log_index.saturating_add(1);
    let mut attestation = convert::attestation(stored, tree_size)?;
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
                return Ok(self.message(Update::Event(event(stored)?)));
            }
            let published = store::checkpoints::newest(self.db.read()).await?.map_or(0, |newest| newest.size);
            let page = PAGE.min(usize::try_from(published.saturating_sub(self.next)).unwrap_or(PAGE));
            if page > 0 {
                self.waiting = store::statements::from_index(self.db.read(), self.next, page).await?.into();
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
        WatchAttestationEventsResponse { cursor: self.next.to_string(), update: Some(update) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_place_in_its_one_spelling() {
        assert_eq!(place(""), Some(0));
        assert_eq!(place("0"), Some(0));
        assert_eq!(place("9223372036854775807"), Some(9_223_372_036_854_775_807));
        for cursor in ["-1", "+1", "01", " 1", "1 ", "x", "9223372036854775808"] {
            assert_eq!(place(cursor), None, "{cursor}");
        }
    }
}

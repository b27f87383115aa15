//! A service's events: appended in the transaction of the change, given dense positions by a relay, read
//! in the order of positions.
//!
//! The insertion order of a sequence is not the order of commits: a reader that pages by it skips what
//! commits late. So the relay moves committed rows, under the lock of one head row, to positions without
//! gaps; two events of one subject keep their order where the subject's row is locked before appending.

mod place;
mod relay;
mod tail;

pub use place::Place;
pub use relay::{EventsOptions, POLL};
pub use tail::{Batch, Tail};

use poa_common::{EventId, Timestamp, TypedId};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Database, Error, Tx};

/// The most events of one page or batch.
pub const MAX_PAGE: u32 = 1_000;
/// The largest payload, in bytes: an event is a notice, readers fetch bodies elsewhere.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its id, by which a consumer can tell a repetition.
    pub id: EventId,
    /// The stream within the service, such as `task`; a small fixed set.
    pub topic: &'static str,
    /// What it is about: the task, the account.
    pub subject: Uuid,
    /// What happened, such as `claimed`; a small fixed set.
    pub kind: &'static str,
    /// The service's own encoding, at most [`MAX_PAYLOAD_BYTES`].
    pub payload: Vec<u8>,
    /// When it happened, by the service's clock.
    pub time: Timestamp,
}

/// A published event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the service's stream: from 1, without gaps.
    pub position: i64,
    /// Its id.
    pub id: EventId,
    /// The stream within the service.
    pub topic: String,
    /// What it is about.
    pub subject: Uuid,
    /// What happened.
    pub kind: String,
    /// The service's own encoding.
    pub payload: Vec<u8>,
    /// When it happened.
    pub time: Timestamp,
}

/// The running event stream of one database: cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    db: Database,
    head: watch::Receiver<i64>,
}

/// Appends an event to the transaction. The relay is woken after its COMMIT.
///
/// # Errors
/// As [`append_all`].
pub async fn append(tx: &mut Tx, event: NewEvent) -> Result<(), Error> {
    append_all(tx, &[event]).await
}

/// Appends events in their order, with one statement.
///
/// # Errors
/// `Corrupt` for a payload above [`MAX_PAYLOAD_BYTES`], else those of the database.
pub async fn append_all(tx: &mut Tx, events: &[NewEvent]) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    if let Some(event) = events.iter().find(|event| event.payload.len() > MAX_PAYLOAD_BYTES) {
        return Err(Error::Corrupt(format!(
            "the payload of {}.{} has {} bytes",
            event.topic,
            event.kind,
            event.payload.len()
        )));
    }
    sqlx::query(
        "INSERT INTO events_pending (id, topic, subject, kind, payload, occurred_at)
         SELECT id, topic, subject, kind, payload, occurred_at
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[])
              WITH ORDINALITY AS given (id, topic, subject, kind, payload, occurred_at, place)
         ORDER BY place",
    )
    .bind(events.iter().map(|event| event.id.uuid()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.topic).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.subject).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.kind).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.payload.as_slice()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.time).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    tx.note_appended();
    Ok(())
}

/// The published events after `position` (0: from the first), of one topic or of all, oldest first, at
/// most `limit` (and at most [`MAX_PAGE`]).
///
/// # Errors
/// Those of the database.
pub async fn after(
    db: &Database,
    topic: Option<&str>,
    position: i64,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    between(db, topic, position, i64::MAX, limit).await
}

/// The last position given out, as the database has it.
///
/// # Errors
/// Those of the database.
pub async fn head(db: &Database) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT position FROM events_head").fetch_one(db.read()).await?)
}

async fn between(
    db: &Database,
    topic: Option<&str>,
    after: i64,
    up_to: i64,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    let limit = i64::from(limit.min(MAX_PAGE));
    // Two statements, because `topic = $1 OR $1 IS NULL` would use neither index well.
    let rows = match topic {
        Some(topic) => {
            sqlx::query(
                "SELECT position, id, topic, subject, kind, payload, occurred_at FROM events_published
                 WHERE topic = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4",
            )
            .bind(topic)
            .bind(after)
            .bind(up_to)
            .bind(limit)
            .fetch_all(db.read())
            .await?
        }
        None => {
            sqlx::query(
                "SELECT position, id, topic, subject, kind, payload, occurred_at FROM events_published
                 WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3",
            )
            .bind(after)
            .bind(up_to)
            .bind(limit)
            .fetch_all(db.read())
            .await?
        }
    };
    rows.iter().map(event).collect()
}

fn event(row: &PgRow) -> Result<Event, Error> {
    Ok(Event {
        position: row.try_get("position")?,
        id: EventId::from_uuid(row.try_get("id")?),
        topic: row.try_get("topic")?,
        subject: row.try_get("subject")?,
        kind: row.try_get("kind")?,
        payload: row.try_get("payload")?,
        time: row.try_get("occurred_at")?,
    })
}

// === impl Events ===

impl Events {
    /// Starts the relay of this database: one per process, any number of processes. It ends with `shutdown`;
    /// what is pending then is published at the next start.
    pub fn spawn(
        db: &Database,
        options: EventsOptions,
        shutdown: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (sender, head) = watch::channel(0);
        let worker = tokio::spawn(relay::run(db.clone(), options, sender, shutdown));
        (Self { db: db.clone(), head }, worker)
    }

    /// Follows the stream from after `position`: first what is stored, then what comes.
    pub fn tail(&self, topic: Option<&'static str>, position: i64) -> Tail {
        Tail::new(self.db.clone(), self.head.clone(), topic, position)
    }

    /// The last position this process has heard of; 0 until the relay has looked once.
    pub fn head(&self) -> i64 {
        *self.head.borrow()
    }
}

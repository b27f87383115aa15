//! Moves pending events to their positions, and tells this process how far the stream reaches.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::MAX_PAGE;
use crate::{Database, Error, metrics};

/// The longest time an event stays unseen when every wake-up is lost.
pub const POLL: Duration = Duration::from_millis(250);
/// Between two tries of a database that does not answer.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);
/// What replicas wake each other with.
const CHANNEL: &str = "poa_events";

/// How the relay hears of other processes' events.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsOptions {
    /// Listens for the wake-ups of other replicas, at the cost of one connection of the pool. Without it
    /// their events are seen within the poll interval of 250 ms. Default false.
    pub listen: bool,
}

pub(super) async fn run(
    db: Database,
    options: EventsOptions,
    head: watch::Sender<i64>,
    shutdown: CancellationToken,
) {
    let mut listener = None;
    loop {
        if options.listen && listener.is_none() {
            listener = listen(&db).await;
        }
        let pause = match pass(&db, &head).await {
            Ok(()) => POLL,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "event relay failed, it will try again");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = db.appended() => {}
            lost = heard(&mut listener) => if lost { listener = None },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Publishes all that is pending, then shows the head. The first look is one plain statement: an idle relay
/// opens no transaction.
async fn pass(db: &Database, head: &watch::Sender<i64>) -> Result<(), Error> {
    let (position, pending): (i64, bool) =
        sqlx::query_as("SELECT position, EXISTS (SELECT FROM events_pending) FROM events_head")
            .fetch_one(db.read())
            .await?;
    show(head, position);
    let mut more = pending;
    while more {
        let (position, moved) = publish(db).await?;
        show(head, position);
        metrics::events_published(moved);
        more = moved == u64::from(MAX_PAGE);
    }
    Ok(())
}

/// Moves one batch; answers the new head and the number of events moved.
async fn publish(db: &Database) -> Result<(i64, u64), Error> {
    db.transact(|tx| {
        Box::pin(async move {
            // Held until COMMIT: positions become visible in their order, whoever relays.
            let head: i64 = sqlx::query_scalar("SELECT position FROM events_head FOR UPDATE")
                .fetch_one(tx.conn())
                .await?;
            let moved = sqlx::query(
                "WITH moved AS (
                     DELETE FROM events_pending WHERE sequence IN (
                         SELECT sequence FROM events_pending ORDER BY sequence LIMIT $2)
                     RETURNING sequence, id, topic, subject, kind, payload, occurred_at)
                 INSERT INTO events_published (position, id, topic, subject, kind, payload, occurred_at)
                 SELECT $1 + row_number() OVER (ORDER BY sequence),
                        id, topic, subject, kind, payload, occurred_at
                 FROM moved",
            )
            .bind(head)
            .bind(i64::from(MAX_PAGE))
            .execute(tx.conn())
            .await?
            .rows_affected();
            if moved == 0 {
                return Ok::<_, Error>((head, 0));
            }
            let count = i64::try_from(moved).map_err(Error::other)?;
            let head: i64 =
                sqlx::query_scalar("UPDATE events_head SET position = position + $1 RETURNING position")
                    .bind(count)
                    .fetch_one(tx.conn())
                    .await?;
            // Here and nowhere else: a notification takes a global lock at COMMIT.
            sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(tx.conn()).await?;
            Ok((head, moved))
        })
    })
    .await
}

fn show(head: &watch::Sender<i64>, position: i64) {
    head.send_if_modified(|shown| {
        let grew = position > *shown;
        *shown = position.max(*shown);
        grew
    });
}

async fn listen(db: &Database) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(db.read().pool()).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}

/// Waits for a wake-up; for ever without a listener. Answers whether the listener is lost.
async fn heard(listener: &mut Option<PgListener>) -> bool {
    match listener {
        Some(listener) => listener.recv().await.is_err(),
        None => std::future::pending().await,
    }
}

/// The error and its causes, for the one place that logs it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

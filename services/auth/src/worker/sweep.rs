//! Removes what nothing asks for any more: old request records, sessions past their end, API keys long dead.

use std::time::Duration;

use poa_common::{Env, Timestamp};
use poa_storage::{Database, idempotency};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::metrics;
use crate::store::{api_keys, sessions};

/// Between two sweeps.
const EVERY: Duration = Duration::from_secs(3_600);
/// Rows of one transaction: small, so that no sign-in waits for it.
const BATCH: u32 = 500;
/// How long a session stays after its end. A session lives longer than request records are kept, so a replayed
/// sign-in always finds the one that it was answered with.
const SESSIONS_STAY: Duration = Duration::from_secs(24 * 3_600);
/// How long an API key stays in its owner's list after its end.
const API_KEYS_STAY: Duration = Duration::from_secs(90 * 24 * 3_600);

/// Sweeps every hour until the service stops.
pub(crate) async fn run(db: Database, env: Env, stopping: CancellationToken) {
    loop {
        let swept = tokio::select! {
            () = stopping.cancelled() => return,
            swept = sweep(&db, env.now()) => swept,
        };
        if let Err(error) = swept {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the sweep failed, the next one will go on");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Removes all that may go, batch by batch.
pub(crate) async fn sweep(db: &Database, now: Timestamp) -> Result<(), Error> {
    let batch = i64::from(BATCH);
    while more("idempotency_records", idempotency::sweep(db, now, BATCH).await?) {}
    while more("sessions", sessions::sweep(db, now - SESSIONS_STAY, batch).await?) {}
    while more("api_keys", api_keys::sweep(db, now - API_KEYS_STAY, batch).await?) {}
    Ok(())
}

/// Counts a batch; a full one may have left something.
fn more(table: &'static str, rows: u64) -> bool {
    metrics::swept(table, rows);
    rows >= u64::from(BATCH)
}

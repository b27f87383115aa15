//! Finds tasks that are due and drives them, a bounded number at once. A task in trouble stops itself alone.

use std::sync::Arc;
use std::time::Duration;

use poa_common::Env;
use poa_storage::{Database, idempotency};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use crate::store;

/// Between two tries of a database that does not answer.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(500);
/// How often old idempotency records are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Idempotency records of one sweep.
const SWEEP_LIMIT: u32 = 1_000;

/// Drives what is due until it is told to stop; what it is at then is finished.
pub(crate) async fn run(
    driver: Arc<Driver>,
    wake: Arc<Notify>,
    poll: Duration,
    concurrency: usize,
    stopping: CancellationToken,
) {
    let mut drives = JoinSet::new();
    while !stopping.is_cancelled() {
        while drives.try_join_next().is_some() {}
        let free = concurrency.max(1).saturating_sub(drives.len());
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let taken = if free == 0 {
            Ok(Vec::new())
        } else {
            let taking = store::take_due(&driver.db, driver.clock.now(), limit);
            // What was taken by one that did not end is due again when its lease ends.
            let taken = tokio::time::timeout(driver.limit, taking).await;
            taken.unwrap_or_else(|_stalled| Err(poa_storage::Error::Busy))
        };
        let pause = match taken {
            Ok(tasks) => {
                // One whose caller is still at it is looked at again when its lease ends.
                for task in tasks.into_iter().filter(|task| !driver.is_driving(*task)) {
                    let driver = Arc::clone(&driver);
                    // What fails is logged by the driver, and due again.
                    drives.spawn(async move { driver.drive(task, None).await.is_ok() });
                }
                poll
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for tasks that are due");
                PAUSE_AFTER_ERROR
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = wake.notified() => {}
            // With every slot taken the next one that is free is worth a look at once.
            _ended = drives.join_next(), if drives.len() >= concurrency => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while drives.join_next().await.is_some() {}
}

/// Deletes idempotency records that are old enough.
pub(crate) async fn sweep(db: Database, env: Env, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        loop {
            match idempotency::sweep(&db, env.now(), SWEEP_LIMIT).await {
                Ok(swept) if swept == u64::from(SWEEP_LIMIT) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "the sweep of idempotency records failed, it will be tried again");
                    break;
                }
            }
        }
    }
}

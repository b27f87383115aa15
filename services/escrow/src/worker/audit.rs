//! Audits the ledger by itself, so that what breaks an invariant is found by us and not by a payee.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audit;
use crate::metrics;
use crate::service::Service;

/// The pause after an audit is at least so many times what it took: it reads everything, and a large ledger has more to do.
const REST: u32 = 9;
/// The pause after an audit that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How long one may take, with the wait for its turn. Its transaction has a limit of its own.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs until the process stops. The first audit begins at once.
pub(super) async fn run(service: Arc<Service>, stopping: CancellationToken) {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let (every, stale_after) =
        (seconds(service.config.audit.every_seconds), seconds(service.config.audit.stale_seconds));
    let mut audited = Instant::now();
    loop {
        let began = Instant::now();
        let taken = tokio::select! {
            () = stopping.cancelled() => return,
            taken = tokio::time::timeout(LIMIT, audit::take(&service)) => taken,
        };
        let trouble = match taken {
            Ok(Ok(_found)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_elapsed) => Some("it did not end in time".to_owned()),
        };
        let pause = match trouble {
            None => {
                audited = Instant::now();
                every.max(began.elapsed().saturating_mul(REST))
            }
            Some(trouble) => {
                tracing::warn!(trouble, "the ledger could not be audited");
                if audited.elapsed() > stale_after {
                    metrics::alarm("audit_stale");
                    tracing::error!(
                        seconds = audited.elapsed().as_secs(),
                        "the ledger has not been audited for long"
                    );
                }
                every.min(FAILED_PAUSE)
            }
        };
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

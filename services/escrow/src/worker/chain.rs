//! The simulated network's chain. It grows by itself, as a real one does: what is locked until a height goes back in its
//! time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::service::Service;

/// Lets the chain grow, block by block. On any other network there is nothing to do.
pub(super) async fn grow(service: Arc<Service>, stopping: CancellationToken) {
    let every = Duration::from_millis(service.config.lightning.block_ms);
    let Some(node) = service.faucet.as_ref().filter(|_| !every.is_zero()) else { return };
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = node.mine(1).await {
            metrics::node_failed("mine");
            tracing::warn!(%error, "the simulated chain does not grow");
        }
    }
}

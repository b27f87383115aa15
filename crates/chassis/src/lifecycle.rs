//! Start and stop: two tokens and the tasks that heed them.
//!
//! A stop has two steps. **Drain**: readiness falls, listeners close, open streams end with UNAVAILABLE so that
//! clients go elsewhere, unary calls finish. **Stop**: workers end. What is spawned here is waited for.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The life of one process, or of one service inside of `poa-mesh`.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    drain: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

// === impl Lifecycle ===

impl Lifecycle {
    /// Cancelled when no new work should be taken.
    pub fn draining(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Cancelled when workers should end, after the last call was answered.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Begins the drain.
    pub fn begin_drain(&self) {
        self.drain.cancel();
    }

    /// Runs a worker until it ends by itself, which it should soon after [`Self::stopping`].
    pub fn spawn<F>(&self, name: &'static str, worker: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let drain = self.drain.clone();
        self.tasks.spawn(async move {
            worker.await;
            // After the last call a worker that serves calls may well be done.
            if !drain.is_cancelled() {
                tracing::error!(worker = name, "worker ended before it was told to");
            }
        });
    }

    /// Stops the workers and waits for them, at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.drain.cancel();
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "workers did not end in time");
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn signalled() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(%error, "cannot listen for SIGTERM");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Ends the process at the next signal, for a person who does not want to wait for the drain.
pub fn exit_on_next_signal() {
    tokio::spawn(async {
        signalled().await;
        tracing::warn!("told twice: ending at once");
        std::process::exit(130);
    });
}

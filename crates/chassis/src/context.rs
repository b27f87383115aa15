//! What travels with a request through every service that it reaches: its id and its deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The header that carries a request's id.
pub(crate) const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
    static CURRENT: Context;
}

/// A request's id and deadline. Set by the layers of a server, read by its clients and its logs.
#[derive(Clone, Debug)]
pub struct Context {
    /// The id under which this request stands in every log.
    pub request_id: Arc<str>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

// === impl Context ===

impl Context {
    /// The context of the request that this task serves, where it serves one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future with this context. A spawned task starts without one: hand it over with this.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// How long the caller still waits.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

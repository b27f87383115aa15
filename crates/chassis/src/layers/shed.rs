//! Load shedding: a request beyond the server's limit is refused at once, before it costs anything.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;

use crate::error::{Error, status};
use crate::metrics;

/// How many requests may be served at once.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Semaphore>);

// === impl Slots ===

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }
}

pub(super) async fn layer(State(slots): State<Slots>, request: Request, next: Next) -> Response {
    // Held until the response headers: an open stream costs memory, not work.
    let Ok(_slot) = slots.0.try_acquire() else {
        ::metrics::counter!(metrics::SHED).increment(1);
        return status(Error::Overloaded).into_http();
    };
    next.run(request).await
}

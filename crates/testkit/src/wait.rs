//! Waiting on predicates.

use std::time::Duration;

use tokio::time::Instant;

/// How often a predicate is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until the predicate holds.
///
/// # Panics
/// With `what` when it does not hold within `deadline`.
pub async fn eventually(deadline: Duration, what: &str, mut predicate: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !predicate().await {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

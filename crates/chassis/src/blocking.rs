//! Work that takes a processor for a while, away from the threads of the runtime.

use crate::Error;

/// Runs `work` on a thread where it may take its time. Bounding how much of it runs at once is the caller's.
///
/// # Errors
/// `Overloaded` where the server went away before `work` was begun: nothing was done, and another may do it.
/// `Internal` where `work` panicked.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|ended| {
        if ended.is_cancelled() { Error::Overloaded } else { Error::Internal(Box::new(ended)) }
    })
}

//! Calls whose outcome must be known: a claim, a result, a release.

use std::future::Future;
use std::time::Duration;

use poa_common::Env;
use tokio::time::Instant;
use tonic::Code;

use crate::error::Error;
use crate::retry::backoff;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Makes the same call, with the same request id, until the server says something definite or the time is up.
pub(super) async fn insist<T, F, Fut>(env: &Env, limit: Duration, call: F) -> Result<T, Error>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + limit;
    let mut failed = 0_u32;
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !is_unknown(&error) || Instant::now() >= deadline {
            return Err(error);
        }
        failed = failed.saturating_add(1);
        tracing::debug!(%error, failed, "the outcome is not known, asking again");
        tokio::time::sleep(backoff(failed, LONGEST_WAIT, env)).await;
    }
}

/// Whether the error leaves open what happened.
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error.code(), Some(Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown))
}

//! The renewal of a session: quick attempts, all of them within the server's window for retries.
//!
//! A refresh token buys its successor once. For ten seconds the server gives the same successor again, because an
//! answer may get lost; after that a spent token means that it was copied, and the server ends the session. A client
//! that waits long for a lost answer and asks again too late would end its own.

use std::future::Future;
use std::time::Duration;

use poa_common::Env;
use poa_proto::auth::v1::RefreshSessionRequest;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use crate::client::Client;
use crate::credentials::SessionTokens;
use crate::error::Error;
use crate::retry::backoff;

/// The longest wait of our own choosing between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How much time a refresh has.
struct Pace {
    /// From the first attempt to the end of the last.
    window: Duration,
    /// One attempt, connecting included.
    attempt: Duration,
}

/// Below the server's ten seconds by what a call may be under way; a refresh takes the server milliseconds, and three
/// lost answers fit in.
const PACE: Pace = Pace { window: Duration::from_secs(8), attempt: Duration::from_millis(2_500) };

impl Client {
    /// Trades a refresh token for the next pair.
    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<SessionTokens, Error> {
        self.check_secrets()?;
        let attempt = async |time: Duration| {
            let mut request = Request::new(RefreshSessionRequest { refresh_token: refresh_token.to_owned() });
            request.set_timeout(time);
            let answer = AuthServiceClient::new(self.channel()).refresh_session(request).await?;
            SessionTokens::from_answer(answer.into_inner().tokens)
        };
        PACE.keep(self.env(), attempt).await
    }
}

// === impl Pace ===

impl Pace {
    /// Makes attempts, each with the time that it has, until one succeeds, is refused, or the window closes.
    async fn keep<T, F, Fut>(&self, env: &Env, attempt: F) -> Result<T, Error>
    where
        F: Fn(Duration) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let end = Instant::now() + self.window;
        let mut failed = 0;
        loop {
            let time = self.attempt.min(end - Instant::now());
            // The channel's own limit does not count the time that connecting takes.
            let error = match tokio::time::timeout(time, attempt(time)).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => Error::from(Status::deadline_exceeded("the server did not answer in time")),
            };
            failed += 1;
            let wait = backoff(failed, LONGEST_WAIT, env).max(error.retry_after().unwrap_or_default());
            if !may_pass(&error) || Instant::now() + wait >= end {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// Whether the same attempt may succeed in a moment. A lost connection counts as UNAVAILABLE.
fn may_pass(error: &Error) -> bool {
    matches!(error.code(), Some(Code::Unavailable | Code::DeadlineExceeded))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Mutex;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;
    use crate::env::system_env;

    #[test]
    fn the_last_attempt_ends_before_the_server_takes_a_spent_token_for_a_stolen_one() {
        assert!(PACE.window + Duration::from_secs(2) <= Duration::from_secs(10));
        assert!(3 * PACE.attempt <= PACE.window);
    }

    #[tokio::test]
    async fn where_every_answer_is_lost_several_attempts_are_made_and_none_after_the_window() {
        // The same as in use, and shorter.
        let pace = Pace { window: Duration::from_secs(1), attempt: Duration::from_millis(250) };
        let begun = Instant::now();
        let times = Mutex::new(Vec::new());
        let lost = |time: Duration| {
            times.lock().unwrap().push(time);
            pending::<Result<(), Error>>()
        };
        let error = pace.keep(&system_env(), lost).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::DeadlineExceeded));
        // Slack for a machine that does other work.
        assert!(begun.elapsed() < pace.window + Duration::from_millis(500), "{:?}", begun.elapsed());
        let times = times.into_inner().unwrap();
        assert!(times.len() >= 2 && times.iter().all(|time| *time <= pace.attempt), "{times:?}");
    }

    #[tokio::test]
    async fn a_server_that_asks_for_a_wait_beyond_the_window_is_not_asked_again() {
        let asked = Mutex::new(0);
        let busy = |_| {
            *asked.lock().unwrap() += 1;
            let mut details = ErrorDetails::new();
            details.set_retry_info(Some(Duration::from_secs(9)));
            let status = Status::with_error_details(Code::Unavailable, "later", details);
            ready(Err::<(), _>(Error::from(status)))
        };
        let error = PACE.keep(&system_env(), busy).await.unwrap_err();
        assert_eq!((error.code(), *asked.lock().unwrap()), (Some(Code::Unavailable), 1));
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_a_server_that_comes_back_is_found() {
        let asked = Mutex::new(0);
        let revoked = |_| {
            *asked.lock().unwrap() += 1;
            ready(Err::<(), _>(Error::from(Status::unauthenticated("revoked"))))
        };
        assert!(PACE.keep(&system_env(), revoked).await.is_err());
        assert_eq!(*asked.lock().unwrap(), 1);
        let back = |_| {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            ready(if *asked < 4 { Err(Error::from(Status::unavailable("no"))) } else { Ok(()) })
        };
        PACE.keep(&system_env(), back).await.unwrap();
    }
}

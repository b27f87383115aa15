//! Streams that open themselves again when they break.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use poa_common::Env;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::error::Error;
use crate::retry::backoff;

/// Servers send a heartbeat every 20 seconds at least: three missed ones mean that nobody is there.
const LONGEST_SILENCE: Duration = Duration::from_secs(65);
/// The longest wait between two attempts to open a stream again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a stream tries to come back before it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it succeeds: for daemons.
    Endless,
    /// This long without any message, then the last error is the stream's.
    Within(Duration),
}

/// What one message means to the reader of a stream.
pub(crate) enum Step<T> {
    /// Nothing.
    Skip,
    /// An item.
    Next(T),
    /// The last item.
    Last(T),
}

/// A stream of the contract that can be opened again.
pub(crate) trait Source: Send + 'static {
    /// What comes over the wire.
    type Message: Send + 'static;
    /// What the reader gets.
    type Item: Send + 'static;

    /// Opens the stream where it was left.
    fn open(&mut self) -> BoxFuture<'_, Result<Streaming<Self::Message>, Error>>;

    /// Takes one message.
    fn step(&mut self, message: Self::Message) -> Step<Self::Item>;
}

struct Resuming<S: Source> {
    source: S,
    env: Env,
    patience: Patience,
    open: Option<Streaming<S::Message>>,
    ready: VecDeque<Result<S::Item, Error>>,
    /// Failures since the last message.
    failed: u32,
    alive: Instant,
    ended: bool,
}

/// The items of a source, over as many streams as it takes.
pub(crate) fn resume<S: Source>(
    source: S,
    env: Env,
    patience: Patience,
) -> impl Stream<Item = Result<S::Item, Error>> + Send {
    let state = Resuming {
        source,
        env,
        patience,
        open: None,
        ready: VecDeque::new(),
        failed: 0,
        alive: Instant::now(),
        ended: false,
    };
    Box::pin(unfold(state, |mut state| async move {
        loop {
            if let Some(item) = state.ready.pop_front() {
                return Some((item, state));
            }
            if state.ended {
                return None;
            }
            if let Err(error) = state.advance().await {
                state.fail(error).await;
            }
        }
    }))
}

// === impl Resuming ===

impl<S: Source> Resuming<S> {
    /// Opens the stream if it is not open, and takes its next message.
    async fn advance(&mut self) -> Result<(), Error> {
        let stream = match &mut self.open {
            Some(stream) => stream,
            none @ None => none.insert(self.source.open().await?),
        };
        let message = match tokio::time::timeout(LONGEST_SILENCE, stream.message()).await {
            Ok(message) => message?,
            Err(_) => return Err(Error::from(Status::unavailable("the stream fell silent"))),
        };
        let Some(message) = message else {
            // The server ended it, as it does when a token expires or it drains.
            return Err(Error::from(Status::unavailable("the stream ended")));
        };
        self.failed = 0;
        self.alive = Instant::now();
        match self.source.step(message) {
            Step::Skip => {}
            Step::Next(item) => self.ready.push_back(Ok(item)),
            Step::Last(item) => {
                self.ready.push_back(Ok(item));
                self.ended = true;
            }
        }
        Ok(())
    }

    /// Waits before the next attempt, or ends the stream with the error.
    async fn fail(&mut self, error: Error) {
        self.open = None;
        self.failed = self.failed.saturating_add(1);
        // A token that ended inside of the stream is renewed by opening it; one that is refused at opening is not.
        let again = error.ends_a_stream_only() || (error.is_stale_token() && self.failed == 1);
        let patient = match self.patience {
            Patience::Endless => true,
            Patience::Within(limit) => self.alive.elapsed() < limit,
        };
        if again && patient {
            tracing::debug!(%error, failed = self.failed, "stream broke, opening it again");
            let wait = backoff(self.failed, LONGEST_WAIT, &self.env);
            tokio::time::sleep(wait.max(error.retry_after().unwrap_or_default().min(LONGEST_WAIT))).await;
        } else {
            self.ready.push_back(Err(error));
            self.ended = true;
        }
    }
}

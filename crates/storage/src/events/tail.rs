//! A reader that follows the stream.

use futures_util::Stream;
use tokio::sync::watch;

use super::{Event, MAX_PAGE, between};
use crate::{Database, Error};

/// Some events, and where to go on after them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Oldest first, never empty.
    pub events: Vec<Event>,
    /// The cursor after this batch: give it to [`super::Events::tail`] to go on.
    pub position: i64,
}

/// Follows one topic, or all, from a position. Thousands may exist: they wait on one value in memory and
/// ask the database only when the stream has grown.
#[derive(Debug)]
pub struct Tail {
    db: Database,
    head: watch::Receiver<i64>,
    topic: Option<&'static str>,
    position: i64,
}

// === impl Tail ===

impl Tail {
    pub(super) fn new(
        db: Database,
        head: watch::Receiver<i64>,
        topic: Option<&'static str>,
        position: i64,
    ) -> Self {
        Self { db, head, topic, position }
    }

    /// The cursor: everything up to here was returned, or was of another topic.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Waits for the next events. Dropping the future loses nothing; after an error it may be called again
    /// and goes on from the same place.
    ///
    /// # Errors
    /// `ShuttingDown` once the relay has ended and all it published was returned, else those of the
    /// database.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            let after = self.position;
            let head = *self
                .head
                .wait_for(|head| *head > after)
                .await
                .map_err(|_relay_has_ended| Error::ShuttingDown)?;
            let events = between(&self.db, self.topic, after, head, MAX_PAGE).await?;
            let full = u32::try_from(events.len()).is_ok_and(|count| count >= MAX_PAGE);
            // A page that is not full saw all of its topic up to the head.
            self.position = match events.last() {
                Some(last) if full => last.position,
                Some(_) | None => head,
            };
            if !events.is_empty() {
                return Ok(Batch { events, position: self.position });
            }
        }
    }

    /// The batches as a stream, which ends after its first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Batch, Error>> + Send {
        futures_util::stream::unfold(Some(self), |tail| async {
            let mut tail = tail?;
            match tail.next().await {
                Ok(batch) => Some((Ok(batch), Some(tail))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

//! phoenixd's payments in the order in which they were begun, although it has no such list.
//!
//! It lists the rows of a span of time, invoices newest first and payments in no order that it promises, by offset; rows of
//! another kind are dropped from a page after it was cut, so that a short page is not the last one. So a span is found that
//! has few enough rows, read to an empty page, and sorted here. A row's place is the millisecond of its creation and its rank
//! among those of the same millisecond, by hash or id: nothing in it changes once the millisecond is over.
//!
//! A row takes a moment from its creation to the list. Where the newest rows of a span are young, it is read once more after
//! a pause, up to them: what is in the list by then and was created before them is all there will be. The node's clock must
//! not go back: rows from before a place that was given out are passed over.

use std::collections::HashSet;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Inner;
use super::answers::{Incoming, Misunderstood, Outgoing};
use crate::Place;

/// Places of one millisecond. phoenixd does not make so many rows in a second.
pub(super) const RANKS: u64 = 1_024;
/// Rows that are asked for at once, with the invoice of each about 1 MiB.
const ROWS: usize = 1_000;
/// Pages that are read of one span. More are not a span of a phoenixd.
const MAX_PAGES: usize = 100;
/// After every row, in milliseconds: the year 2200.
const HORIZON: u64 = 7_258_118_400_000;
/// Halvings and steps that a search for a span takes at most: several times the bits of [`HORIZON`].
const MAX_STEPS: usize = 400;
/// Rows so much older than now have long been in the list.
const SETTLED_AGE: Duration = Duration::from_secs(600);

/// A kind of row.
pub(super) trait Row: DeserializeOwned + Send {
    /// Where they are listed.
    const PATH: &'static str;
    /// What tells two of them apart.
    type Key: Ord + std::hash::Hash + Send;
    /// It.
    fn key(&self) -> Self::Key;
    /// When it was begun, in milliseconds.
    fn created_at(&self) -> u64;
}

/// Whether the end of the list must be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It must: a row that is left out now would never be seen.
    Complete,
    /// The youngest rows may be missing.
    Loose,
}

// === impl Inner ===

impl Inner {
    /// The rows after a place, in order, at most `limit` of them, each with its place. None is the end.
    pub(super) async fn list<R: Row>(
        &self,
        after: Place,
        limit: u32,
        end: End,
    ) -> Result<Vec<(Place, R)>, Misunderstood> {
        let limit = usize::try_from(limit).unwrap_or(ROWS).clamp(1, ROWS);
        let (first, rank) = (after.get() / RANKS, after.get() % RANKS);
        // Those of the first millisecond that have been listed are read once more, for the ranks of the others.
        let mut known = if after == Place::START { 0 } else { usize::try_from(rank + 1).unwrap_or(0) };
        let (mut from, mut to, mut crowded) = (first, HORIZON, HORIZON);
        let now = u64::try_from(self.now()).unwrap_or(0);
        for _ in 0..MAX_STEPS {
            if to > from && self.holds_more_than::<R>(from, to, limit + known).await? {
                crowded = to;
                // Rows from after now are few, or none: the first cut is there.
                to = if to == HORIZON && now > from { now.min(HORIZON - 1) } else { from + (to - from) / 2 };
                continue;
            }
            let span = self.complete_span::<R>(from, to, end).await?;
            let mut placed = placed(span)?;
            placed.retain(|(place, _)| *place > after);
            placed.truncate(limit);
            if !placed.is_empty() || to >= HORIZON {
                return Ok(placed);
            }
            (from, to, known) = (to + 1, crowded.max(to + 1), 0);
            crowded = HORIZON;
        }
        Err(Misunderstood::Contradiction("a list without an end"))
    }

    /// Whether a span has more rows than so many. A row of a kind that is dropped answers no: then more are read at once.
    async fn holds_more_than<R: Row>(&self, from: u64, to: u64, rows: usize) -> Result<bool, Misunderstood> {
        let path = format!("{}?all=true&from={from}&to={to}&limit=1&offset={rows}", R::PATH);
        Ok(!self.rows::<R>(&path).await?.is_empty())
    }

    /// The rows of a span, and where it must be, with the certainty that they are all.
    async fn complete_span<R: Row>(&self, from: u64, to: u64, end: End) -> Result<Vec<R>, Misunderstood> {
        let rows = self.span::<R>(from, to).await?;
        let Some(newest) = rows.iter().map(R::created_at).max() else { return Ok(rows) };
        if end == End::Loose || self.age(newest) >= SETTLED_AGE.as_millis() {
            return Ok(rows);
        }
        tokio::time::sleep(self.listing_lag).await;
        self.span(from, newest).await
    }

    /// How old a row is by our clock, in milliseconds. One from the future is new.
    fn age(&self, created_at: u64) -> u128 {
        u128::try_from(self.now() - i128::from(created_at)).unwrap_or(0)
    }

    /// The time by our clock, in milliseconds. It only makes reading quicker: no row is left out for it.
    fn now(&self) -> i128 {
        self.env.now().unix_timestamp_nanos() / 1_000_000
    }

    /// All rows of a span, in no order, each once.
    async fn span<R: Row>(&self, from: u64, to: u64) -> Result<Vec<R>, Misunderstood> {
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        for page in 0..MAX_PAGES {
            let offset = page * ROWS;
            let path = format!("{}?all=true&from={from}&to={to}&limit={ROWS}&offset={offset}", R::PATH);
            let found = self.rows::<R>(&path).await?;
            if found.is_empty() {
                return Ok(rows);
            }
            for row in found {
                if !(from..=to).contains(&row.created_at()) {
                    return Err(Misunderstood::Contradiction("a row of another time"));
                }
                // A new row moves the others to later offsets.
                if seen.insert(row.key()) {
                    rows.push(row);
                }
            }
        }
        Err(Misunderstood::Contradiction("more rows in a span than there can be"))
    }
}

/// The rows in their order, each with its place. All of a millisecond must be among them.
fn placed<R: Row>(mut rows: Vec<R>) -> Result<Vec<(Place, R)>, Misunderstood> {
    rows.sort_by_cached_key(|row| (row.created_at(), row.key()));
    let (mut millisecond, mut rank) = (None, 0);
    let mut placed = Vec::with_capacity(rows.len());
    for row in rows {
        rank = if millisecond == Some(row.created_at()) { rank + 1 } else { 0 };
        millisecond = Some(row.created_at());
        if rank >= RANKS {
            return Err(Misunderstood::Contradiction("more rows in a millisecond than there can be"));
        }
        placed.push((Place::new(row.created_at().saturating_mul(RANKS).saturating_add(rank)), row));
    }
    Ok(placed)
}

// === impl Row ===

impl Row for Incoming {
    const PATH: &'static str = "payments/incoming";
    type Key = crate::PaymentHash;

    fn key(&self) -> Self::Key {
        self.payment_hash
    }

    fn created_at(&self) -> u64 {
        self.created_at
    }
}

impl Row for Outgoing {
    const PATH: &'static str = "payments/outgoing";
    type Key = String;

    fn key(&self) -> Self::Key {
        self.payment_id.clone()
    }

    fn created_at(&self) -> u64 {
        self.created_at
    }
}

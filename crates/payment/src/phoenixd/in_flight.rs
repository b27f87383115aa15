//! What the node's payments in flight hold: phoenixd's balance leaves it out and says no word of it.

use std::sync::{Mutex, PoisonError};

use poa_common::Msat;

use super::Inner;
use super::answers::{Misunderstood, Outgoing};
use super::listing::{End, Row as _};
use super::{states, texts};
use crate::Place;

/// Rows that are read at a time.
const ROWS: u32 = 500;
/// Ended rows so much older than the newest are not read again, in milliseconds. One that was begun before them and is still
/// to be listed would be missed: see `listing`.
const OVERLAP: u64 = 60_000;
/// Batches of rows that one question reads at most.
const MAX_BATCHES: usize = 2_000;

/// Up to where every payment has ended, in milliseconds. Only saves reading: an ended payment never goes on, another attempt
/// is another row.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    ended_before: Mutex<u64>,
}

// === impl Inner ===

impl Inner {
    /// The amounts of all payments under way, with the fees that are set aside for them.
    pub(super) async fn set_aside(&self) -> Result<Msat, Misunderstood> {
        let mut after = self.in_flight.start();
        let (mut sum, mut oldest, mut newest) = (Msat::ZERO, None, 0);
        for _ in 0..MAX_BATCHES {
            let rows = self.list::<Outgoing>(after, ROWS, End::Loose).await?;
            let Some((last, _)) = rows.last() else { return Ok(sum) };
            after = *last;
            for (_, row) in &rows {
                newest = newest.max(row.created_at());
                if let Some(held) = held(row)? {
                    oldest = oldest.or(Some(row.created_at()));
                    sum = sum
                        .checked_add(held)
                        .map_err(|_| Misunderstood::Contradiction("more in flight than there can be"))?;
                }
            }
            // At each batch: a caller that does not wait for the first long look finds it done in part.
            self.in_flight.ended_before(oldest.unwrap_or(u64::MAX).min(newest.saturating_sub(OVERLAP)));
        }
        Err(Misunderstood::Contradiction("a list without an end"))
    }
}

/// What a row holds: nothing where it has ended, or is not a Lightning payment.
fn held(row: &Outgoing) -> Result<Option<Msat>, Misunderstood> {
    if !texts::is_lightning(&row.sub_type) || row.is_paid || row.completed_at.is_some() {
        return Ok(None);
    }
    let amount = states::amount(row)?;
    let fee = states::fee(amount).and_then(|fee| fee.checked_add(amount).ok());
    fee.map(Some).ok_or(Misunderstood::Contradiction("more in flight than there can be"))
}

// === impl InFlight ===

impl InFlight {
    fn start(&self) -> Place {
        let ended_before = *self.ended_before.lock().unwrap_or_else(PoisonError::into_inner);
        Place::new(ended_before.saturating_sub(1).saturating_mul(super::listing::RANKS))
    }

    fn ended_before(&self, millis: u64) {
        let mut ended_before = self.ended_before.lock().unwrap_or_else(PoisonError::into_inner);
        *ended_before = (*ended_before).max(millis);
    }
}

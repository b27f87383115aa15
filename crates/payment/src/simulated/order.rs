//! The order in which rows were made: each has a number that it keeps for ever, and a list goes on after one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::Illegal;
use crate::{PaymentHash, Place};

/// A row without a number: of a file that was written before rows had one.
const UNNUMBERED: u64 = 0;

/// The numbers that were given, and whose they are. The file holds the last one alone: the others are in the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    last: u64,
    #[serde(skip)]
    rows: BTreeMap<u64, PaymentHash>,
}

// === impl Order ===

impl Order {
    /// The number of the next row.
    pub(super) fn next(&self) -> u64 {
        self.last.saturating_add(1)
    }

    /// Takes a new row at the end, and gives it its number if it has none.
    pub(super) fn add(&mut self, hash: PaymentHash, number: &mut u64) -> Result<(), Illegal> {
        if *number == UNNUMBERED {
            *number = self.next();
        }
        if *number != self.next() {
            return Err(Illegal::Edge);
        }
        self.last = *number;
        self.rows.insert(*number, hash);
        Ok(())
    }

    /// Takes the rows of a snapshot. Those without a number get theirs in the order in which they come here.
    pub(super) fn restore<'a>(
        &mut self,
        rows: impl IntoIterator<Item = (PaymentHash, &'a mut u64)>,
    ) -> Result<(), Illegal> {
        for (hash, number) in rows {
            if *number == UNNUMBERED {
                self.add(hash, number)?;
            } else if *number > self.last || self.rows.insert(*number, hash).is_some() {
                return Err(Illegal::Duplicate);
            }
        }
        Ok(())
    }

    /// Forgets the rows whose hash is no longer kept. Their numbers are not given again.
    pub(super) fn retain(&mut self, kept: impl Fn(&PaymentHash) -> bool) {
        self.rows.retain(|_, hash| kept(hash));
    }

    /// The rows after a place, at most `limit` of them.
    pub(super) fn after(&self, place: Place, limit: usize) -> Vec<(Place, PaymentHash)> {
        let first = place.get().saturating_add(1);
        self.rows.range(first..).take(limit).map(|(number, hash)| (Place::new(*number), *hash)).collect()
    }
}

//! The fees of accounts, as they are asked for at every hold: kept for a moment, so that the busiest path asks the database
//! no further question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use poa_common::{AccountId, Timestamp};
use poa_storage::{Database, Error};

use crate::domain::fee::BasisPoints;
use crate::domain::fee_schedule::{Fees, GRACE, TERMS_LIFE};
use crate::store::fees;

/// How long fees are kept. A fee that has ended meanwhile is still accepted in this time: far within the grace that terms
/// have anyway.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// Accounts that are kept, at some hundred bytes each. Beyond this all are forgotten.
const MOST_KEPT: usize = 10_000;
const _: () = assert!(KEPT_FOR.as_secs() < GRACE.as_secs(), "a kept fee ends within the grace");

/// The fees of accounts.
#[derive(Debug)]
pub(crate) struct FeeBook {
    configured: BasisPoints,
    kept: Mutex<HashMap<AccountId, (Instant, Arc<Fees>)>>,
}

// === impl FeeBook ===

impl FeeBook {
    /// With the fee that holds where none is set.
    pub(crate) fn new(configured: BasisPoints) -> Self {
        Self { configured, kept: Mutex::default() }
    }

    /// The fee that holds where none is set.
    pub(crate) fn configured(&self) -> BasisPoints {
        self.configured
    }

    /// An account's fees as they were a moment ago, if they were read then.
    pub(crate) fn kept(&self, account: AccountId) -> Option<Arc<Fees>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&account).filter(|(at, _)| at.elapsed() < KEPT_FOR);
        found.map(|(_, fees)| Arc::clone(fees))
    }

    /// An account's fees as they are, from as long before now as terms may be old.
    pub(crate) async fn read(
        &self,
        db: &Database,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Arc<Fees>, Error> {
        let at = Instant::now();
        let schedules = fees::of_account(db, account, now - TERMS_LIFE - GRACE).await?;
        let fees = Arc::new(Fees::new(self.configured, schedules));
        // What is to begin can still be replaced: then it must not be taken for one that began.
        if fees.next_change(now).is_some_and(|change| change.time <= now + KEPT_FOR) {
            return Ok(fees);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(account, (at, Arc::clone(&fees)));
        Ok(fees)
    }
}

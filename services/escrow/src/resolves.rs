//! Room for the questions to the hosts of Lightning addresses: so many at a time, and a quarter of them for one account, whose
//! host may be its own and hang.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use poa_common::AccountId;

/// At a time: each is two requests of four seconds at most.
const MOST: usize = 32;
/// Of one account.
const MOST_OF_ONE: usize = 8;

/// Who asks at the moment, and how often.
#[derive(Debug, Default)]
pub(crate) struct Resolves {
    asking: Mutex<HashMap<AccountId, usize>>,
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    of: &'a Resolves,
    account: AccountId,
}

// === impl Resolves ===

impl Resolves {
    /// A place for an account; none where it has as many as it may, or all are taken.
    pub(crate) fn take(&self, account: AccountId) -> Option<Place<'_>> {
        let mut asking = self.asking();
        let own = asking.get(&account).copied().unwrap_or(0);
        if own >= MOST_OF_ONE || asking.values().sum::<usize>() >= MOST {
            return None;
        }
        asking.insert(account, own.saturating_add(1));
        Some(Place { of: self, account })
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut asking = self.of.asking();
        if let Some(own) = asking.get_mut(&self.account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                asking.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::TypedId as _;
    use uuid::Uuid;

    fn account(number: u128) -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn an_account_has_few_places_and_keeps_nobody_else_out() {
        let resolves = Resolves::default();
        let held: Vec<_> = (0..MOST_OF_ONE).map(|_| resolves.take(account(1)).unwrap()).collect();
        assert!(resolves.take(account(1)).is_none());
        assert!(resolves.take(account(2)).is_some());
        drop(held);
        assert!(resolves.take(account(1)).is_some());
        assert!(resolves.asking().is_empty(), "what was given back is forgotten");
    }

    #[test]
    fn all_together_have_so_many_places() {
        let resolves = Resolves::default();
        let held: Vec<_> = (0..MOST)
            .map(|number| resolves.take(account(u128::try_from(number).unwrap())).unwrap())
            .collect();
        assert!(resolves.take(account(1_000)).is_none());
        drop(held);
        assert!(resolves.take(account(1_000)).is_some());
    }
}

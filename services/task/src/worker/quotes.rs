//! Fees as escrow quoted them, for as long as it said: most offers need not ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use poa_common::AccountId;

/// Accounts whose fee is remembered. An offer of any other asks.
const MAX_QUOTES: usize = 10_000;
/// However long escrow says that a quote may be used, it is asked again after this.
const LONGEST: Duration = Duration::from_secs(300);

/// Fees by account.
#[derive(Debug, Default)]
pub(crate) struct Quotes {
    known: Mutex<HashMap<AccountId, Quote>>,
}

#[derive(Clone, Copy, Debug)]
struct Quote {
    basis_points: u32,
    until: Instant,
}

// === impl Quotes ===

impl Quotes {
    /// An account's fee in basis points (1/10,000), if it may still be used.
    pub(crate) fn of(&self, account: AccountId, now: Instant) -> Option<u32> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&account).filter(|quote| quote.until > now).map(|quote| quote.basis_points)
    }

    /// Remembers what was quoted, from the moment at which it was asked for.
    pub(crate) fn remember(&self, account: AccountId, basis_points: u32, valid: Duration, asked: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_QUOTES && !known.contains_key(&account) {
            known.retain(|_, quote| quote.until > asked);
        }
        if known.len() < MAX_QUOTES || known.contains_key(&account) {
            let until = asked.checked_add(valid.min(LONGEST)).unwrap_or(asked);
            known.insert(account, Quote { basis_points, until });
        }
    }

    /// Escrow refused terms with this account's fee.
    pub(crate) fn forget(&self, account: AccountId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::TypedId as _;
    use uuid::Uuid;

    fn account(number: usize) -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(u128::try_from(number).unwrap()))
    }

    #[test]
    fn a_quote_is_used_for_as_long_as_it_is_valid_and_until_it_is_refused() {
        let (quotes, start) = (Quotes::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(quotes.of(account(1), start), None);
        quotes.remember(account(1), 250, second, start);
        assert_eq!(quotes.of(account(1), start + second / 2), Some(250));
        assert_eq!(quotes.of(account(2), start), None);
        assert_eq!(quotes.of(account(1), start + second), None);
        quotes.remember(account(1), 300, Duration::MAX, start);
        assert_eq!(quotes.of(account(1), start + LONGEST - second), Some(300));
        assert_eq!(quotes.of(account(1), start + LONGEST), None);
        quotes.forget(account(1));
        assert_eq!(quotes.of(account(1), start), None);
    }

    #[test]
    fn no_more_quotes_are_kept_than_there_is_room_for() {
        let (quotes, start) = (Quotes::default(), Instant::now());
        let second = Duration::from_secs(1);
        for number in 0..MAX_QUOTES {
            quotes.remember(account(number), 500, second, start);
        }
        quotes.remember(account(MAX_QUOTES), 500, second, start);
        assert_eq!(quotes.of(account(MAX_QUOTES), start), None);
        // One that is known is renewed; those that ran out make room.
        quotes.remember(account(7), 400, second * 3, start);
        quotes.remember(account(MAX_QUOTES), 500, second, start + second * 2);
        assert_eq!(quotes.of(account(MAX_QUOTES), start + second * 2), Some(500));
        assert_eq!(quotes.of(account(7), start + second * 2), Some(400));
        assert_eq!(quotes.known.lock().unwrap().len(), 2);
    }
}

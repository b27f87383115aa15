//! Sats are held for a task: still the payer's, no longer available.

use poa_common::{AccountId, Msat, MsatError};

use super::Posting;
use crate::domain::account::Owner;

/// `amount` is the price of the task, the fee in it.
pub(crate) fn postings(payer: AccountId, amount: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![Posting { owner: Owner::User(payer), available: amount.checked_neg()?, held: amount }])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn a_hold_moves_from_available_to_held() {
        check(&postings(alice(), Msat::new(900)).unwrap(), &[(Owner::User(alice()), -900, 900)]);
    }
}

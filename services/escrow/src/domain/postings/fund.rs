//! A hold invoice is settled for good: from the world to the payer, of which the price is held at once.

use poa_common::{AccountId, Msat, MsatError};

use super::{Posting, available};
use crate::domain::account::Owner;

/// `paid` is what arrived at the node, `amount` the price of the task. What is more than the price is the payer's to spend.
pub(crate) fn postings(payer: AccountId, amount: Msat, paid: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![
        available(Owner::Lightning, paid.checked_neg()?),
        Posting { owner: Owner::User(payer), available: paid.checked_sub(amount)?, held: amount },
    ])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn what_a_hold_invoice_brings_in_is_held_and_the_surplus_is_the_payers() {
        let exact = postings(alice(), Msat::new(900), Msat::new(900)).unwrap();
        check(&exact, &[(Owner::Lightning, -900, 0), (Owner::User(alice()), 0, 900)]);
        let more = postings(alice(), Msat::new(900), Msat::new(1_000)).unwrap();
        check(&more, &[(Owner::Lightning, -1_000, 0), (Owner::User(alice()), 100, 900)]);
    }
}

//! Held sats come back to the payer, whole: a refund costs nothing.

use poa_common::{AccountId, Msat, MsatError};

use super::Posting;
use crate::domain::account::Owner;

/// `amount` is all that was held.
pub(crate) fn postings(payer: AccountId, amount: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![Posting { owner: Owner::User(payer), available: amount, held: amount.checked_neg()? }])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn a_refund_undoes_the_hold() {
        check(&postings(alice(), Msat::new(900)).unwrap(), &[(Owner::User(alice()), 900, -900)]);
    }
}

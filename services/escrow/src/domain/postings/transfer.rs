//! A withdrawal is paid within the ledger: from what the payer has reserved to the account of the deposit.

use poa_common::{AccountId, Msat, MsatError};

use super::{Posting, available, held};
use crate::domain::account::Owner;

/// `amount` is the invoice's. Payer and payee may be one account: then it moves from what is held to what is available.
pub(crate) fn postings(payer: AccountId, payee: AccountId, amount: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![held(Owner::User(payer), amount.checked_neg()?), available(Owner::User(payee), amount)])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, bob, check};
    use super::*;

    #[test]
    fn a_transfer_moves_from_one_user_to_another_and_touches_nobody_else() {
        let moved = postings(alice(), bob(), Msat::new(1_000)).unwrap();
        check(&moved, &[(Owner::User(alice()), 0, -1_000), (Owner::User(bob()), 1_000, 0)]);
    }

    #[test]
    fn a_transfer_to_oneself_frees_what_was_held() {
        let moved = postings(alice(), alice(), Msat::new(1_000)).unwrap();
        check(&moved, &[(Owner::User(alice()), 0, -1_000), (Owner::User(alice()), 1_000, 0)]);
    }
}

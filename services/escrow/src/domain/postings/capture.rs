//! Held sats are released: out of the payer's held, over the clearing account, to the payee.
//!
//! The payer's side and the payee's side meet in the clearing account alone, so that the two may one day live on two
//! shards. What is left there after this movement is the fee; [`fee`](super::fee) takes it in the same commit.

use poa_common::{AccountId, Msat, MsatError};

use super::{Posting, available, held};
use crate::domain::account::Owner;
use crate::domain::fee::Split;

/// `amount` is all that was held, `split` its parts.
pub(crate) fn postings(
    payer: AccountId,
    payee: AccountId,
    amount: Msat,
    split: Split,
) -> Result<Vec<Posting>, MsatError> {
    let mut postings =
        vec![held(Owner::User(payer), amount.checked_neg()?), available(Owner::Clearing, amount)];
    // With a fee of the whole price there is nothing to pay, and a posting of nothing is none.
    if split.payee > Msat::ZERO {
        postings.push(available(Owner::Clearing, split.payee.checked_neg()?));
        postings.push(available(Owner::User(payee), split.payee));
    }
    // The clearing account keeps the fee, so that this alone sums to zero.
    Ok(postings)
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, bob, check};
    use super::*;

    const SPLIT: Split = Split { fee: Msat::new(45), payee: Msat::new(855) };

    #[test]
    fn a_capture_pays_the_payee_and_leaves_the_fee_in_clearing() {
        check(
            &postings(alice(), bob(), Msat::new(900), SPLIT).unwrap(),
            &[
                (Owner::User(alice()), 0, -900),
                (Owner::Clearing, 900, 0),
                (Owner::Clearing, -855, 0),
                (Owner::User(bob()), 855, 0),
            ],
        );
    }

    #[test]
    fn who_hires_their_own_agent_pays_the_fee_alone() {
        check(
            &postings(alice(), alice(), Msat::new(900), SPLIT).unwrap(),
            &[
                (Owner::User(alice()), 0, -900),
                (Owner::Clearing, 900, 0),
                (Owner::Clearing, -855, 0),
                (Owner::User(alice()), 855, 0),
            ],
        );
    }
}

//! A withdrawal was paid: what the node sent leaves the ledger, out of the reserve.

use poa_common::{AccountId, Msat, MsatError};

use super::{Posting, available, held};
use crate::domain::account::Owner;

/// `sent` is the amount and the fee that the route took, `reserve` what was reserved. A node that breaks its fee limit has
/// sent the sats all the same: what goes beyond the reserve is the platform's loss, never the user's.
pub(crate) fn postings(user: AccountId, sent: Msat, reserve: Msat) -> Result<Vec<Posting>, MsatError> {
    let from_user = sent.min(reserve);
    let loss = sent.checked_sub(from_user)?;
    let mut postings =
        vec![held(Owner::User(user), from_user.checked_neg()?), available(Owner::Lightning, sent)];
    if loss > Msat::ZERO {
        postings.push(available(Owner::Fees, loss.checked_neg()?));
    }
    Ok(postings)
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn a_withdrawal_goes_to_the_world() {
        let postings = postings(alice(), Msat::new(1_001), Msat::new(1_010)).unwrap();
        check(&postings, &[(Owner::User(alice()), 0, -1_001), (Owner::Lightning, 1_001, 0)]);
    }

    #[test]
    fn a_route_above_the_limit_is_the_platforms_loss() {
        let postings = postings(alice(), Msat::new(1_012), Msat::new(1_010)).unwrap();
        check(
            &postings,
            &[(Owner::User(alice()), 0, -1_010), (Owner::Lightning, 1_012, 0), (Owner::Fees, -2, 0)],
        );
    }
}

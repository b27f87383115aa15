//! A deposit arrives: from the world to the user.

use poa_common::{AccountId, Msat, MsatError};

use super::{Posting, available};
use crate::domain::account::Owner;

/// `paid` is what arrived at the node.
pub(crate) fn postings(user: AccountId, paid: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![available(Owner::Lightning, paid.checked_neg()?), available(Owner::User(user), paid)])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn a_deposit_comes_from_the_world() {
        let postings = postings(alice(), Msat::new(7_000)).unwrap();
        check(&postings, &[(Owner::Lightning, -7_000, 0), (Owner::User(alice()), 7_000, 0)]);
    }
}

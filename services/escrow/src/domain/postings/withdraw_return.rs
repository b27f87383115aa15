//! What a withdrawal did not need comes back: the surplus of the fee limit, or all of it.

use poa_common::{AccountId, Msat, MsatError};

use super::Posting;
use crate::domain::account::Owner;

/// `surplus` is what is left of the reserve, more than zero.
pub(crate) fn postings(user: AccountId, surplus: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![Posting { owner: Owner::User(user), available: surplus, held: surplus.checked_neg()? }])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn a_return_moves_from_held_to_available() {
        check(&postings(alice(), Msat::new(9)).unwrap(), &[(Owner::User(alice()), 9, -9)]);
    }
}

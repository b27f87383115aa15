//! Sats are reserved for a withdrawal: its amount and the largest fee that the route may take.

use poa_common::{AccountId, Msat, MsatError};

use super::Posting;
use crate::domain::account::Owner;

/// `reserve` is amount and fee limit together.
pub(crate) fn postings(user: AccountId, reserve: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![Posting { owner: Owner::User(user), available: reserve.checked_neg()?, held: reserve }])
}

#[cfg(test)]
mod tests {
    use super::super::table::{alice, check};
    use super::*;

    #[test]
    fn a_reservation_moves_from_available_to_held() {
        check(&postings(alice(), Msat::new(1_010)).unwrap(), &[(Owner::User(alice()), -1_010, 1_010)]);
    }
}

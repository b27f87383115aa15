//! The platform takes its fee, out of the clearing account, in the commit of the capture.

use poa_common::{Msat, MsatError};

use super::{Posting, available};
use crate::domain::account::Owner;

/// `fee` is what the capture left in clearing, more than zero.
pub(crate) fn postings(fee: Msat) -> Result<Vec<Posting>, MsatError> {
    Ok(vec![available(Owner::Clearing, fee.checked_neg()?), available(Owner::Fees, fee)])
}

#[cfg(test)]
mod tests {
    use super::super::table::check;
    use super::*;

    #[test]
    fn a_fee_empties_clearing() {
        check(&postings(Msat::new(45)).unwrap(), &[(Owner::Clearing, -45, 0), (Owner::Fees, 45, 0)]);
    }
}

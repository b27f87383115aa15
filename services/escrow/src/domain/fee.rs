//! The platform's fee: one function, one rounding.

use poa_common::{Msat, MsatError};
use serde::{Deserialize, Serialize};

/// The whole: 10,000 basis points.
const WHOLE: u32 = 10_000;

/// A share in basis points (1/10,000), 0 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct BasisPoints(u32);

/// An amount, parted between the platform and the payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The platform's part.
    pub(crate) fee: Msat,
    /// The payee's part: the rest.
    pub(crate) payee: Msat,
}

/// Parts an amount. The fee is rounded **down** to the msat, in the payee's favour; fee and payee's part are the amount,
/// always.
pub(crate) fn split(amount: Msat, fee: BasisPoints) -> Result<Split, MsatError> {
    let fee = amount.share_floor(fee.0)?;
    Ok(Split { fee, payee: amount.checked_sub(fee)? })
}

// === impl BasisPoints ===

impl BasisPoints {
    /// 5 %.
    pub const DEFAULT: Self = Self(500);

    /// The number of basis points.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for BasisPoints {
    type Error = String;

    fn try_from(points: u32) -> Result<Self, String> {
        if points <= WHOLE {
            Ok(Self(points))
        } else {
            Err(format!("{points} basis points are more than all"))
        }
    }
}

impl From<BasisPoints> for u32 {
    fn from(points: BasisPoints) -> Self {
        points.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fee_is_rounded_down_and_the_payee_gets_the_rest() {
        // amount, basis points, fee, payee
        for (amount, points, fee, payee) in [
            (100_000, 500, 5_000, 95_000),
            (100_999, 500, 5_049, 95_950),
            (19, 500, 0, 19),
            (20, 500, 1, 19),
            (1, 10_000, 1, 0),
            (7, 0, 0, 7),
            (Msat::SUPPLY.get(), 500, 105_000_000_000_000_000, 1_995_000_000_000_000_000),
        ] {
            let parts = split(Msat::new(amount), BasisPoints(points)).unwrap();
            assert_eq!(parts, Split { fee: Msat::new(fee), payee: Msat::new(payee) }, "{amount} {points}");
        }
    }

    proptest! {
        #[test]
        fn fee_and_payee_are_the_amount_always(amount in 0..=Msat::SUPPLY.get(), points in 0..=WHOLE) {
            let parts = split(Msat::new(amount), BasisPoints(points)).unwrap();
            prop_assert_eq!(parts.fee.checked_add(parts.payee), Ok(Msat::new(amount)));
            prop_assert!(!parts.fee.is_negative() && !parts.payee.is_negative());
            // Rounded down, and by less than one msat.
            let exact = i128::from(amount) * i128::from(points);
            let fee = i128::from(parts.fee.get()) * 10_000;
            prop_assert!(fee <= exact && exact - fee < 10_000);
        }
    }
}

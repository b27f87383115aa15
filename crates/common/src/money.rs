//! Millisatoshi amounts with checked arithmetic.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of millisatoshi (1 sat = 1,000 msat). Signed, because a posting may be negative; a price or
/// a balance is checked to be non-negative where it enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Msat(i64);

/// Why an amount could not be computed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsatError {
    /// The result does not fit 64 bits.
    Overflow,
    /// The text is not a whole decimal number.
    Malformed,
}

// === impl Msat ===

impl Msat {
    /// No sats.
    pub const ZERO: Self = Self(0);
    /// All the bitcoin there will ever be: no amount in this system is larger.
    pub const SUPPLY: Self = Self(21_000_000 * 100_000_000 * 1_000);

    /// An amount in millisatoshi.
    pub const fn new(msat: i64) -> Self {
        Self(msat)
    }

    /// An amount in whole satoshi.
    pub const fn from_sat(sat: i64) -> Option<Self> {
        match sat.checked_mul(1_000) {
            Some(msat) => Some(Self(msat)),
            None => None,
        }
    }

    /// The millisatoshi.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The whole satoshi, rounded towards zero.
    pub const fn whole_sat(self) -> i64 {
        self.0 / 1_000
    }

    /// Whether the amount is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// `self + other`.
    pub fn checked_add(self, other: Self) -> Result<Self, MsatError> {
        self.0.checked_add(other.0).map(Self).ok_or(MsatError::Overflow)
    }

    /// `self - other`.
    pub fn checked_sub(self, other: Self) -> Result<Self, MsatError> {
        self.0.checked_sub(other.0).map(Self).ok_or(MsatError::Overflow)
    }

    /// `-self`.
    pub fn checked_neg(self) -> Result<Self, MsatError> {
        self.0.checked_neg().map(Self).ok_or(MsatError::Overflow)
    }

    /// The sum of many amounts.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MsatError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// The share of `basis_points` (1/10,000) of this amount, rounded down to the msat. Computed in 128
    /// bits, so that no amount overflows.
    pub fn share_floor(self, basis_points: u32) -> Result<Self, MsatError> {
        let share = (i128::from(self.0) * i128::from(basis_points)).div_euclid(10_000);
        i64::try_from(share).map(Self).map_err(|_| MsatError::Overflow)
    }
}

impl fmt::Display for Msat {
    /// The bare number of millisatoshi: the form of receipts and scripts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Msat {
    type Err = MsatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| MsatError::Malformed)
    }
}

impl fmt::Display for MsatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => "the amount does not fit 64 bits of millisatoshi",
            Self::Malformed => "an amount is a whole decimal number of millisatoshi",
        })
    }
}

impl std::error::Error for MsatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_that_overflows_is_an_error() {
        assert_eq!(Msat::new(i64::MAX).checked_add(Msat::new(1)), Err(MsatError::Overflow));
        assert_eq!(Msat::new(i64::MIN).checked_neg(), Err(MsatError::Overflow));
        assert_eq!(Msat::from_sat(i64::MAX), None);
    }

    #[test]
    fn a_share_rounds_down_and_survives_the_whole_supply() {
        assert_eq!(Msat::new(999).share_floor(500), Ok(Msat::new(49)));
        assert_eq!(Msat::SUPPLY.share_floor(10_000), Ok(Msat::SUPPLY));
        assert_eq!(Msat::new(i64::MAX).share_floor(10_001), Err(MsatError::Overflow));
    }
}

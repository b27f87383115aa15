//! Amounts as phoenixd has them: msat inside, sats outside, rounded down.

/// Millisatoshi of a satoshi.
pub(super) const SAT: u64 = 1_000;
/// What it takes for a payment: 4 sat and 0.4 %.
pub(super) fn trampoline_fee(amount_msat: u64) -> u64 {
    4 * SAT + amount_msat * 4_000 / 1_000_000
}

/// Whole sats, rounded towards zero.
pub(super) fn sat(msat: i64) -> i64 {
    msat / 1_000
}

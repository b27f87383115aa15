//! Where an account is paid out to, and what is paid out by itself.
//!
//! A thief who has somebody's token must not turn the payouts to himself unseen: the first address ever counts at once, every
//! other one waits, also after a removal.

use std::time::Duration;

use poa_common::{AccountId, Msat, Timestamp, TypedId as _};
use poa_payment::FeeModel;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::address::LightningAddress;
use super::invoice::fee_limit;

/// Keeps these digests apart from any other use of SHA-256.
const DOMAIN: &[u8] = b"proof-of-agent automatic payout v1\0";
/// The longest wait between two attempts: six hours.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3_600);
/// After so many doublings the pause is the longest one.
const MOST_DOUBLINGS: u32 = 9;

/// Where an account is paid out to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) account: AccountId,
    /// The address in force.
    pub(crate) address: Option<String>,
    /// From this available balance on all of it is paid out; nothing: never.
    pub(crate) threshold: Msat,
    /// An address that will take its place, and when.
    pub(crate) pending: Option<(String, Timestamp)>,
    /// Whether there ever was one.
    pub(crate) had_one: bool,
    /// Counts the changes.
    pub(crate) version: i64,
    /// The number of the payout that comes next.
    pub(crate) next_number: i64,
    /// Attempts in a row that came to nothing.
    pub(crate) failures: i32,
    pub(crate) next_attempt_time: Timestamp,
    /// What was wrong with the last attempt that came to nothing, and when; empty where there was none.
    pub(crate) problem: String,
}

// === impl Destination ===

impl Destination {
    /// None yet.
    pub(crate) fn none(account: AccountId, now: Timestamp) -> Self {
        Self {
            account,
            address: None,
            threshold: Msat::ZERO,
            pending: None,
            had_one: false,
            version: 0,
            next_number: 1,
            failures: 0,
            next_attempt_time: now,
            problem: String::new(),
        }
    }

    /// As it is now: an address whose time has come is in force.
    pub(crate) fn at(self, now: Timestamp) -> Self {
        match self.pending {
            Some((address, effective)) if effective <= now => Self {
                address: Some(address),
                pending: None,
                version: self.version.saturating_add(1),
                failures: 0,
                next_attempt_time: now,
                problem: String::new(),
                ..self
            },
            pending => Self { pending, ..self },
        }
    }

    /// With another address, or with none.
    pub(crate) fn set(
        self,
        address: Option<&LightningAddress>,
        threshold: Msat,
        delay: Duration,
        now: Timestamp,
    ) -> Self {
        let known = self.at(now);
        let version = known.version.saturating_add(1);
        let fresh =
            Self { version, threshold, failures: 0, next_attempt_time: now, problem: String::new(), ..known };
        let Some(address) = address.map(ToString::to_string) else {
            return Self { address: None, pending: None, threshold: Msat::ZERO, ..fresh };
        };
        if fresh.address.as_ref() == Some(&address) {
            return Self { pending: None, ..fresh };
        }
        if !fresh.had_one {
            return Self { address: Some(address), had_one: true, ..fresh };
        }
        // The same again does not begin the wait anew.
        let waits = fresh.pending.clone().filter(|(waiting, _)| *waiting == address);
        Self { pending: Some(waits.unwrap_or((address, now + delay))), ..fresh }.matured(now, version)
    }

    /// Where there is no wait, a change counts as it is made, as one change.
    fn matured(self, now: Timestamp, version: i64) -> Self {
        Self { version, ..self.at(now) }
    }

    /// After an attempt that came to nothing. The first one is followed by another after `pause`, which doubles with each.
    pub(crate) fn after_failure(self, why: &str, pause: Duration, now: Timestamp) -> Self {
        let failures = self.failures.saturating_add(1);
        let doublings = u32::try_from(failures).unwrap_or(u32::MAX).saturating_sub(1).min(MOST_DOUBLINGS);
        let pause = pause.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        Self { failures, next_attempt_time: now + pause, problem: why.to_owned(), ..self }
    }

    /// After a payout has come to its end, the next one has the next number.
    pub(crate) fn after_payout(self) -> Self {
        Self { next_number: self.next_number.saturating_add(1), ..self }
    }

    /// The request id of the payout that comes next, and the digest of what it asks for: the same whoever makes them, and
    /// whatever the address then answers, so that each payout is made once.
    pub(crate) fn next_request(&self) -> (Uuid, [u8; 32]) {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(self.account.uuid().as_bytes())
            .chain_update(self.next_number.to_be_bytes())
            .finalize()
            .into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        (uuid::Builder::from_custom_bytes(id).into_uuid(), digest)
    }
}

/// The most that can be paid out of what is available together with its fee limit, in whole sats; none where there is too
/// little. `largest` bounds it.
pub(crate) fn payout(available: Msat, largest: Msat, fees: FeeModel) -> Option<Msat> {
    let fits = |sat: i64| {
        let amount = Msat::from_sat(sat)?;
        let reserve = amount.checked_add(fee_limit(amount, None, fees).ok()?).ok()?;
        (reserve <= available.min(largest)).then_some(amount)
    };
    // A larger amount never needs a smaller reserve, so the bound is found by halving.
    let (mut fit, mut over) = (0_i64, available.whole_sat().checked_add(1)?);
    while over.checked_sub(fit)? > 1 {
        let middle = fit.midpoint(over);
        if fits(middle).is_some() { fit = middle } else { over = middle }
    }
    fits(fit).filter(|amount| *amount > Msat::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const DELAY: Duration = Duration::from_secs(86_400);

    fn account() -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(10))
    }

    fn address(text: &str) -> LightningAddress {
        LightningAddress::parse(text).unwrap()
    }

    fn set(known: Destination, text: &str, now: Timestamp) -> Destination {
        known.set(Some(&address(text)), Msat::new(5), DELAY, now)
    }

    fn first() -> Destination {
        set(Destination::none(account(), NOW), "a@a.example", NOW)
    }

    #[test]
    fn the_first_address_counts_at_once_and_a_change_waits() {
        let known = first();
        assert_eq!((known.address.as_deref(), known.pending.clone()), (Some("a@a.example"), None));
        let changed = set(known, "b@b.example", NOW);
        assert_eq!(changed.address.as_deref(), Some("a@a.example"));
        assert_eq!(changed.pending, Some(("b@b.example".to_owned(), NOW + DELAY)));
        assert_eq!(changed.clone().at(NOW + DELAY / 2), changed);
        let later = changed.clone().at(NOW + DELAY);
        assert_eq!((later.address.as_deref(), later.pending.clone()), (Some("b@b.example"), None));
        assert!(later.version > changed.version);
    }

    #[test]
    fn a_removal_is_at_once_and_no_way_around_the_wait() {
        let removed = first().set(None, Msat::ZERO, DELAY, NOW);
        assert_eq!((removed.address.clone(), removed.threshold), (None, Msat::ZERO));
        let again = set(removed, "thief@b.example", NOW);
        assert_eq!(again.address, None);
        assert_eq!(again.pending, Some(("thief@b.example".to_owned(), NOW + DELAY)));
    }

    #[test]
    fn the_same_change_again_waits_no_longer_and_the_old_address_ends_it() {
        let changed = set(first(), "b@b.example", NOW);
        let later = NOW + Duration::from_secs(3_600);
        assert_eq!(set(changed.clone(), "b@b.example", later).pending, changed.pending);
        let other = set(changed.clone(), "c@c.example", later);
        assert_eq!(other.pending, Some(("c@c.example".to_owned(), later + DELAY)));
        assert_eq!(set(changed, "a@a.example", later).pending, None);
    }

    #[test]
    fn without_a_wait_a_change_counts_at_once() {
        let changed = first().set(Some(&address("b@b.example")), Msat::new(5), Duration::ZERO, NOW);
        assert_eq!((changed.address.as_deref(), changed.pending), (Some("b@b.example"), None));
        assert_eq!(changed.version, 2);
    }

    #[test]
    fn attempts_grow_apart_up_to_six_hours() {
        let mut known = first();
        let mut pauses = Vec::new();
        for _ in 0..11 {
            known = known.after_failure("nobody answers", Duration::from_secs(60), NOW);
            pauses.push((known.next_attempt_time - NOW).whole_minutes());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
        assert_eq!(known.problem, "nobody answers");
    }

    #[test]
    fn each_payout_has_a_request_of_its_own() {
        let known = first();
        assert_eq!(known.next_request(), first().next_request());
        let other = Destination { account: AccountId::from_uuid(Uuid::from_u128(11)), ..first() };
        assert_ne!(known.next_request(), other.next_request());
        assert_ne!(known.next_request(), known.clone().after_payout().next_request());
    }

    #[test]
    fn a_payout_is_what_is_left_beside_its_fee_limit() {
        let whole = |available: i64, fees| payout(Msat::new(available), Msat::SUPPLY, fees).map(Msat::get);
        // 5 sat at least, and else 1 %.
        assert_eq!(whole(10_000, FeeModel::Limited), Some(5_000));
        assert_eq!(whole(101_000_000, FeeModel::Limited), Some(100_000_000));
        assert_eq!(whole(5_999, FeeModel::Limited), None);
        assert_eq!(whole(0, FeeModel::Limited), None);
        // The cap holds amount and fee limit together.
        let capped = payout(Msat::new(101_000_000), Msat::new(12_500), FeeModel::Limited);
        assert_eq!(capped, Some(Msat::new(7_000)));
    }

    proptest! {
        #[test]
        fn a_payout_and_its_reserve_are_never_more_than_there_is(available in 0..=Msat::SUPPLY.get()) {
            for fees in [FeeModel::Limited, FeeModel::Fixed { base: Msat::new(4_000), basis_points: 40 }] {
                let reserve = |amount: Msat| amount.checked_add(fee_limit(amount, None, fees).unwrap()).unwrap();
                if let Some(amount) = payout(Msat::new(available), Msat::SUPPLY, fees) {
                    prop_assert!(reserve(amount) <= Msat::new(available));
                    let more = amount.checked_add(Msat::new(1_000)).unwrap();
                    prop_assert!(reserve(more) > Msat::new(available));
                }
            }
        }
    }
}

//! Which fee is in force for an account at a moment.
//!
//! An account's own fee comes before everybody's, and everybody's before the configured one. A fee holds from its start
//! until the next start of the same kind; an account's own may also end.

use std::time::Duration;

use poa_common::{AccountId, Timestamp};

use super::fee::BasisPoints;

/// How long terms may still name a fee after it has ended: a quote is on its way to its signature meanwhile, and no two
/// clocks agree.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// How old terms may be and still name the fee of when they were offered: the payer's token that authorises the hold lives
/// no longer, so honest terms are never older.
pub(crate) const TERMS_LIFE: Duration = Duration::from_secs(600);
/// How long a quote may be used at most.
const QUOTE_LIFE: Duration = Duration::from_secs(10);
/// How long a quote may be used at least: one that ends at once would be asked for again without end. Far below [`GRACE`].
const QUOTE_LEAST: Duration = Duration::from_millis(100);

/// A fee from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// None: everybody who has none of his own.
    pub(crate) account: Option<AccountId>,
    /// None ends an account's own fee.
    pub(crate) fee: Option<BasisPoints>,
    /// From when on.
    pub(crate) start: Timestamp,
}

/// All that may decide an account's fee, from a little before now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fees {
    /// What holds before the first schedule.
    configured: BasisPoints,
    /// Everybody's, by start.
    everybody: Vec<Schedule>,
    /// The account's own, by start.
    own: Vec<Schedule>,
}

/// The next change of an account's fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) time: Timestamp,
    /// From then on.
    pub(crate) fee: BasisPoints,
}

// === impl Fees ===

impl Fees {
    /// From everybody's schedules and those of one account.
    pub(crate) fn new(configured: BasisPoints, mut schedules: Vec<Schedule>) -> Self {
        schedules.sort_by_key(|schedule| schedule.start);
        let (own, everybody) = schedules.into_iter().partition(|schedule| schedule.account.is_some());
        Self { configured, everybody, own }
    }

    /// The fee in force at a moment.
    pub(crate) fn at(&self, moment: Timestamp) -> BasisPoints {
        let last =
            |of: &[Schedule]| of.iter().rev().find(|schedule| schedule.start <= moment).and_then(|it| it.fee);
        last(&self.own).or_else(|| last(&self.everybody)).unwrap_or(self.configured)
    }

    /// The first moment after one at which another fee begins.
    pub(crate) fn next_change(&self, after: Timestamp) -> Option<Change> {
        let now = self.at(after);
        self.starts()
            .filter(|start| *start > after)
            .map(|time| Change { time, fee: self.at(time) })
            .filter(|change| change.fee != now)
            .min_by_key(|change| change.time)
    }

    /// Whether terms that were offered then may name this fee now: it was in force a little before, or since.
    pub(crate) fn allows(&self, fee: BasisPoints, offered: Timestamp, now: Timestamp) -> bool {
        let from = (offered - GRACE).max(now - TERMS_LIFE).min(now);
        self.at(from) == fee
            || self.starts().any(|start| start > from && start <= now && self.at(start) == fee)
    }

    /// How long a quote of now may be used: not beyond the next change, as far as it is known.
    pub(crate) fn quote_life(&self, now: Timestamp) -> Duration {
        let change = self.next_change(now).map_or(QUOTE_LIFE, |change| (change.time - now).unsigned_abs());
        change.clamp(QUOTE_LEAST, QUOTE_LIFE)
    }

    fn starts(&self) -> impl Iterator<Item = Timestamp> {
        self.everybody.iter().chain(&self.own).map(|schedule| schedule.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::TypedId as _;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_timestamp(1_700_000_000 + second).unwrap()
    }

    fn points(points: u32) -> BasisPoints {
        BasisPoints::try_from(points).unwrap()
    }

    /// Schedules as rows: whether it is the account's own, the start in seconds, the fee.
    fn fees(rows: &[(bool, i64, Option<u32>)]) -> Fees {
        let account = AccountId::from_uuid(Uuid::from_u128(9));
        let schedules = rows.iter().map(|(own, start, fee)| Schedule {
            account: own.then_some(account),
            fee: fee.map(points),
            start: at(*start),
        });
        Fees::new(points(500), schedules.collect())
    }

    #[test]
    fn the_accounts_own_fee_comes_first_then_everybodys_then_the_configured_one() {
        let fees =
            fees(&[(false, 10, Some(400)), (true, 20, Some(100)), (true, 30, None), (false, 40, Some(300))]);
        for (second, fee) in
            [(0, 500), (9, 500), (10, 400), (19, 400), (20, 100), (30, 400), (39, 400), (40, 300)]
        {
            assert_eq!(fees.at(at(second)), points(fee), "{second}");
        }
    }

    #[test]
    fn the_next_change_is_the_next_moment_at_which_the_fee_is_another() {
        let fees =
            fees(&[(false, 10, Some(500)), (false, 20, Some(400)), (true, 15, Some(500)), (true, 30, None)]);
        // At 10 and 15 it stays 500, at 20 everybody's changes under the account's own.
        assert_eq!(fees.next_change(at(0)), Some(Change { time: at(30), fee: points(400) }));
        assert_eq!(fees.next_change(at(30)), None);
        assert_eq!(self::fees(&[]).next_change(at(0)), None);
    }

    #[test]
    fn terms_may_name_what_was_in_force_from_a_minute_before_their_offer_until_now() {
        // offered, now, fee, allowed; 500 until 100, 400 until 200, then 300.
        let fees = fees(&[(false, 100, Some(400)), (false, 200, Some(300))]);
        for (offered, now, fee, allowed) in [
            (0, 0, 500, true),
            (0, 0, 400, false),
            (159, 160, 500, true),
            (160, 160, 500, false),
            (160, 160, 400, true),
            // Offered before, held after: either fee of the time between.
            (90, 250, 500, true),
            (90, 250, 400, true),
            (90, 250, 300, true),
            (270, 270, 400, false),
            // Too old: only what was in force within the life of a token.
            (0, 699, 500, true),
            (0, 700, 500, false),
            (0, 799, 400, true),
            (0, 800, 400, false),
            (0, 800, 300, true),
            // From the future: only what is in force now.
            (10_000, 150, 400, true),
            (10_000, 150, 500, false),
            (10_000, 150, 300, false),
        ] {
            let found = fees.allows(points(fee), at(offered), at(now));
            assert_eq!(found, allowed, "offered {offered}, now {now}, fee {fee}");
        }
    }

    #[test]
    fn a_quote_ends_with_the_fee_that_it_names() {
        let fees = fees(&[(false, 100, Some(400))]);
        for (now, millis) in [(0, 10_000), (90, 10_000), (95, 5_000), (99, 1_000), (100, 10_000)] {
            assert_eq!(fees.quote_life(at(now)), Duration::from_millis(millis), "{now}");
        }
        assert_eq!(fees.quote_life(at(100) - Duration::from_millis(1)), QUOTE_LEAST);
    }

    proptest! {
        #[test]
        fn a_quote_that_is_used_in_its_life_is_always_allowed(
            rows in prop::collection::vec((any::<bool>(), 0_i64..400, prop::option::of(0_u32..4)), 0..8),
            asked in 0_i64..400,
            used in 0_u64..=10_000,
            until_held in 0_u64..590,
        ) {
            let rows: Vec<_> =
                rows.into_iter().map(|(own, start, fee)| (own, start, if own { fee } else { fee.or(Some(9)) })).collect();
            let fees = fees(&rows);
            let quoted = fees.at(at(asked));
            let offered = at(asked) + fees.quote_life(at(asked)).min(Duration::from_millis(used));
            prop_assert!(fees.allows(quoted, offered, offered + Duration::from_secs(until_held)));
        }
    }
}

//! The formula over an agent's records. Whole numbers alone, so that every implementation gets the same.

use std::collections::{BTreeMap, BTreeSet};

use poa_common::AgentId;
use serde::Serialize;

use super::record::{Pseudonym, Record, Verdict};

/// The version of the formula: a reputation is comparable with others of the same version.
pub const FORMULA_VERSION: u32 = 1;
/// Days after which a record counts half.
const HALF_LIFE_DAYS: u32 = 90;
/// What a record of today counts: decay is in steps of 1 / 65,536.
const ONE: u64 = 1 << 16;
/// What the fees of one requester count at most, in msat: who pays an agent more, proves no more.
const PAIR_FEE_CAP_MSAT: u64 = 1 << 20;
/// How many verdicts of one requester count at most.
const PAIR_VERDICT_CAP: u64 = 5 * ONE;
/// A requester counts `(BASE + min(standing, MOST)) / (BASE + MOST)`: one who has paid nobody else counts a sixth.
const STANDING_BASE: u64 = 4;
/// See [`STANDING_BASE`]: 2^19 msat, some 524 sats of fees for the work of others, count in full.
const STANDING_MOST: u64 = 20;
/// Verdicts that every agent begins with: half of them good, so that one good verdict is not yet a good agent.
const PRIOR: u64 = 2 * ONE;
/// The bits of experience from which on more of it does not raise the score.
const EXPERIENCE_MOST: u64 = 25;

/// What the log says of an agent, as of a day.
///
/// The numbers without decay count all records; `quality`, `experienceMsat` and `score` are weighted. Records of tasks whose
/// requester is the agent's own account are left out of all but `selfDealing`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reputation {
    /// Results that were paid in whole: accepted, by deadline, by criteria, or by an arbiter.
    pub completed: u64,
    /// Of those, the ones that the requester itself accepted.
    pub accepted: u64,
    /// Parts of work that were paid while the work went on.
    pub paid_in_part: u64,
    /// Results that were rejected.
    pub rejected: u64,
    /// Claims that nothing came of.
    pub lapsed: u64,
    /// Tasks that an arbiter judged.
    pub disputed: u64,
    /// Of the completed ones, those that came in time.
    pub on_time: u64,
    /// Requesters that paid.
    pub requesters: u64,
    /// Of those, the ones that paid for more than one task.
    pub repeat_requesters: u64,
    /// Records that were left out, because requester and agent have one account.
    pub self_dealing: u64,
    /// The share of good verdicts in basis points, decayed, capped per requester, and with two verdicts to begin with.
    pub quality: u64,
    /// The fees that were paid for the agent's work, in msat, decayed, capped per requester, and weighted by the requester's standing.
    pub experience_msat: u64,
    /// 0 to 1,000: quality times the bits of experience.
    pub score: u64,
}

/// The records of many agents.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<AgentId, Vec<Record>>);

/// What one requester contributes.
#[derive(Default)]
struct Pair {
    good: u64,
    bad: u64,
    fees: u64,
    standing: u8,
    paid: u64,
}

// === impl Ledger ===

impl Ledger {
    /// Adds a record, in the order of the log.
    pub fn add(&mut self, record: Record) {
        self.0.entry(record.facts.agent).or_default().push(record);
    }

    /// Adds records, in the order of the log.
    pub fn extend(&mut self, records: impl IntoIterator<Item = Record>) {
        records.into_iter().for_each(|record| self.add(record));
    }

    /// The agents that have records, in the order of their ids.
    pub fn agents(&self) -> impl Iterator<Item = AgentId> + '_ {
        self.0.keys().copied()
    }

    /// An agent's reputation as of a day; that of an agent without records is the one that everybody begins with.
    pub fn reputation(&self, agent: AgentId, day: u32) -> Reputation {
        Reputation::of(self.0.get(&agent).map(Vec::as_slice).unwrap_or_default(), day)
    }
}

// === impl Reputation ===

impl Reputation {
    /// The reputation that follows from an agent's records, as of a day from 1970-01-01 on.
    pub fn of(records: &[Record], day: u32) -> Self {
        let mut reputation = Self::default();
        let mut pairs: BTreeMap<Pseudonym, Pair> = BTreeMap::new();
        for record in records {
            if record.facts.self_dealing {
                reputation.self_dealing += 1;
                continue;
            }
            reputation.count(record);
            pairs.entry(record.requester).or_default().add(record, day);
        }
        let payers: BTreeSet<_> =
            pairs.iter().filter(|(_, pair)| pair.paid > 0).map(|(name, _)| name).collect();
        reputation.requesters = length(payers.len());
        reputation.repeat_requesters = length(pairs.values().filter(|pair| pair.paid > 1).count());
        let (mut good, mut bad) = (0, 0);
        for pair in pairs.values() {
            let (pair_good, pair_bad) = pair.verdicts();
            good += pair_good;
            bad += pair_bad;
            reputation.experience_msat += pair.experience_msat();
        }
        reputation.quality = 10_000 * (good + PRIOR / 2) / (good + bad + PRIOR);
        let bits = u64::from(u64::BITS - reputation.experience_msat.leading_zeros()).min(EXPERIENCE_MOST);
        reputation.score = reputation.quality * bits / (10 * EXPERIENCE_MOST);
        reputation
    }

    fn count(&mut self, record: &Record) {
        let facts = &record.facts;
        match facts.verdict {
            Verdict::Accepted | Verdict::DeadlinePassed | Verdict::CriteriaMet => {
                self.completed += 1;
                self.accepted += u64::from(facts.verdict == Verdict::Accepted);
                self.on_time += u64::from(facts.on_time);
            }
            Verdict::PaidInPart => self.paid_in_part += 1,
            Verdict::Awarded => {
                self.completed += 1;
                self.disputed += 1;
                self.on_time += u64::from(facts.on_time);
            }
            Verdict::Rejected => self.rejected += 1,
            Verdict::Lapsed => self.lapsed += 1,
            Verdict::Denied => self.disputed += 1,
        }
    }
}

// === impl Pair ===

impl Pair {
    fn add(&mut self, record: &Record, day: u32) {
        let facts = &record.facts;
        let weight = decay(day.saturating_sub(facts.day));
        self.standing = self.standing.max(record.standing);
        match facts.verdict {
            Verdict::Accepted
            | Verdict::DeadlinePassed
            | Verdict::CriteriaMet
            | Verdict::PaidInPart
            | Verdict::Awarded => {
                self.good += weight;
                self.paid += u64::from(facts.verdict != Verdict::PaidInPart);
                self.fees = self.fees.saturating_add(fee_msat(facts.fee_bucket).saturating_mul(weight) / ONE);
            }
            Verdict::Rejected | Verdict::Lapsed | Verdict::Denied => self.bad += weight,
        }
    }

    /// The verdicts, at most [`PAIR_VERDICT_CAP`] together and in their proportion, weighted by standing.
    fn verdicts(&self) -> (u64, u64) {
        let all = self.good + self.bad;
        let capped = |part: u64| if all > PAIR_VERDICT_CAP { part * PAIR_VERDICT_CAP / all } else { part };
        (self.weighted(capped(self.good)), self.weighted(capped(self.bad)))
    }

    fn experience_msat(&self) -> u64 {
        self.weighted(self.fees.min(PAIR_FEE_CAP_MSAT))
    }

    fn weighted(&self, amount: u64) -> u64 {
        amount * (STANDING_BASE + u64::from(self.standing).min(STANDING_MOST))
            / (STANDING_BASE + STANDING_MOST)
    }
}

/// The least amount of a bucket, at most 2^40 msat: more counts no more in any pair.
fn fee_msat(bucket: u8) -> u64 {
    match bucket {
        0 => 0,
        bits => 1 << (bits - 1).min(40),
    }
}

/// What a record of this age counts: half after each half-life, and on a straight line in between.
fn decay(age_days: u32) -> u64 {
    let halves = age_days / HALF_LIFE_DAYS;
    let start = ONE.checked_shr(halves).unwrap_or(0);
    start - start * u64::from(age_days % HALF_LIFE_DAYS) / u64::from(2 * HALF_LIFE_DAYS)
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

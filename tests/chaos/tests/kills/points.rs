//! The failpoints of all services, and which story leads to which.

use crate::stories::Story;

/// Arrivals that are killed at where everything is: later ones are at other statements of a chain, or other verbs.
const ARRIVALS: std::ops::RangeInclusive<u32> = 1..=4;

/// The size of a run in which everything is struck.
const FULL: &str = "full";

/// What a failpoint is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Kill,
    Error,
    Hang,
}

/// One failpoint and what it is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) point: &'static str,
    pub(crate) action: Action,
    pub(crate) arrival: u32,
}

/// The names of all failpoints.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    let task = poa_task::Failpoint::ALL.iter().map(|point| point.name());
    let escrow = poa_escrow::Failpoint::ALL.iter().map(|point| point.name());
    let attestation = poa_attestation::Failpoint::ALL.iter().map(|point| point.name());
    task.chain(escrow).chain(attestation)
}

/// The strikes that come one at a time at these services: a kill at each failpoint; with `POA_CHAOS=full` also at later
/// arrivals, and a failure and a stall of each alone.
pub(crate) fn singly(services: &[&'static str]) -> Vec<Strike> {
    let asked_for = size().unwrap_or_default();
    let chosen: Vec<_> = all().filter(|point| asked_for == FULL || point.starts_with(&asked_for)).collect();
    assert!(!chosen.is_empty(), "POA_CHAOS={asked_for} is not {FULL}, and no failpoint begins so");
    let of_these =
        chosen.into_iter().filter(|point| services.iter().any(|service| process(point) == *service));
    of_these.flat_map(|point| strikes(point, asked_for == FULL)).collect()
}

fn strikes(point: &'static str, full: bool) -> Vec<Strike> {
    let kill = |arrival| Strike { point, action: Action::Kill, arrival };
    if !full {
        return vec![kill(1)];
    }
    let arrivals = if may_come_again(point) { ARRIVALS } else { 1..=1 };
    let others = [Action::Error, Action::Hang].map(|action| Strike { point, action, arrival: 1 });
    arrivals.map(kill).chain(others).collect()
}

/// The process that has a failpoint: the first word of its name.
pub(crate) fn process(point: &str) -> &str {
    point.split('.').next().unwrap_or_default()
}

/// What the caller asks for: everything, or the failpoints whose names begin so.
#[expect(clippy::disallowed_methods, reason = "a test's size is the caller's to say")]
fn size() -> Option<String> {
    std::env::var("POA_CHAOS").ok()
}

/// Whether one story comes to a failpoint several times.
fn may_come_again(point: &str) -> bool {
    point.starts_with("task.append.") || point.starts_with("attestation.append.")
}

/// The shortest story that leads to a failpoint.
pub(crate) fn story_of(point: &str) -> Story {
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| point.starts_with(prefix));
    if is(&["task.accept."]) {
        Story::Accepted
    } else if is(&["task.release."]) {
        Story::Silence
    } else if is(&["task.reject."]) {
        Story::Rejected
    } else if is(&["task.expiry.", "task.due."]) {
        Story::Expired
    } else if is(&["task.cancel.", "task.refund.", "escrow.refund.", "escrow.hold."]) {
        Story::Cancelled
    } else if is(&["task.lapse."]) {
        Story::Lapsed
    } else if is(&["task.release_claim."]) {
        Story::GivenBack
    } else if is(&["escrow.void."]) {
        Story::Unfunded
    } else if is(&["escrow.deposit.expire."]) {
        Story::Unpaid
    } else if is(&["escrow.deposit.", "escrow.credit."]) {
        Story::Deposit
    } else if is(&["task.secure."]) {
        Story::HeldAndSecured
    } else if is(&["escrow.hold_invoice.guard.", "task.give_up.", "task.heard."]) {
        Story::HeldTooLong
    } else if is(&["escrow.hold_invoice.cancel", "escrow.hold_invoice.given_back."]) {
        Story::HeldAndGivenBack
    } else if is(&["escrow.hold_invoice."]) {
        Story::HeldAndPaid
    } else if is(&["escrow.payout.lookup.", "escrow.payout.failure.", "escrow.payout.return."]) {
        Story::FailedWithdrawal
    } else if is(&["escrow.withdrawal.resolve."]) {
        Story::ToAddress
    } else if is(&["escrow.transfer."]) {
        Story::Within
    } else if is(&["escrow.destination.", "escrow.automatic."]) {
        Story::PaidOut
    } else if is(&["escrow.switch."]) {
        Story::Paused
    } else if is(&["escrow.withdrawal.", "escrow.payout."]) {
        Story::Withdrawal
    } else if is(&["escrow.liabilities.", "attestation.liabilities."]) {
        Story::Proved
    } else if is(&["attestation.agent_events."]) {
        Story::Registered
    } else {
        Story::Paid
    }
}

// === impl Action ===

impl Action {
    /// The name in the environment and in reports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Error => "error",
            Self::Hang => "hang",
        }
    }
}

// === impl Strike ===

impl Strike {
    /// As the environment has it.
    pub(crate) fn armed(&self) -> String {
        format!("{}={}@{}", self.point, self.action.as_str(), self.arrival)
    }

    /// The line of the report that says that it struck.
    pub(crate) fn reported(&self) -> String {
        format!("struck {} {}", self.point, self.action.as_str())
    }
}

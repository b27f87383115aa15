//! Where a task stands, and the table of what may follow what.

use std::fmt;

/// Where a task stands. The numbers of the contract's enum are the database's too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The price is being held.
    Funding,
    /// The hold invoice waits for the requester's wallet to pay it.
    AwaitingFunds,
    /// Anyone fit may claim it.
    Open,
    /// An agent works on it, under a lease.
    Claimed,
    /// A result is there; the release policy decides.
    Submitted,
    /// The requester rejected the result; the agent may submit another.
    Rejected,
    /// The agent is being paid; no way back, unless the sats are lost.
    Releasing,
    /// The agent was paid.
    Completed,
    /// The price is being given back.
    Refunding,
    /// It was cancelled, or could not be funded; nothing is held.
    Canceled,
    /// A deadline passed; nothing is held.
    Expired,
}

/// Every legal change of state. The README's diagram is tested against it.
pub(crate) const EDGES: [(State, State); 20] = [
    // The price is held and the terms are logged.
    (State::Funding, State::Open),
    // No sats, a refusal, the payer's token ended, or the requester cancelled.
    (State::Funding, State::Refunding),
    // The invoice is made.
    (State::Funding, State::AwaitingFunds),
    // It is paid and the terms are logged.
    (State::AwaitingFunds, State::Open),
    // It was not paid in time, or the requester cancelled.
    (State::AwaitingFunds, State::Refunding),
    (State::Open, State::Claimed),
    // Cancelled, or nobody wanted it in time.
    (State::Open, State::Refunding),
    // Given back, lapsed, out of working time, or the acceptance was refused.
    (State::Claimed, State::Open),
    (State::Claimed, State::Submitted),
    // The hold invoice's lock is about to end, or ended.
    (State::Claimed, State::Refunding),
    // The receipt was refused: as if nothing had been submitted.
    (State::Submitted, State::Claimed),
    // The requester rejected it, or a second receipt was refused.
    (State::Submitted, State::Rejected),
    // Checked, accepted, or the review passed in silence.
    (State::Submitted, State::Releasing),
    // What the hold invoice had locked went back by itself.
    (State::Submitted, State::Refunding),
    (State::Rejected, State::Submitted),
    (State::Rejected, State::Refunding),
    (State::Releasing, State::Completed),
    // What the hold invoice had locked went back by itself.
    (State::Releasing, State::Refunding),
    (State::Refunding, State::Canceled),
    (State::Refunding, State::Expired),
];

// === impl State ===

impl State {
    /// All states.
    pub(crate) const ALL: [Self; 11] = [
        Self::Funding,
        Self::AwaitingFunds,
        Self::Open,
        Self::Claimed,
        Self::Submitted,
        Self::Rejected,
        Self::Releasing,
        Self::Completed,
        Self::Refunding,
        Self::Canceled,
        Self::Expired,
    ];

    /// The number in the contract and in the database.
    pub(crate) const fn number(self) -> i16 {
        match self {
            Self::Funding => 1,
            Self::Open => 2,
            Self::Claimed => 3,
            Self::Submitted => 4,
            Self::Rejected => 5,
            Self::Releasing => 6,
            Self::Completed => 7,
            Self::Refunding => 8,
            Self::Canceled => 9,
            Self::Expired => 10,
            Self::AwaitingFunds => 11,
        }
    }

    /// The state of a number.
    pub(crate) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The name in the contract, without its prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Funding => "FUNDING",
            Self::AwaitingFunds => "AWAITING_FUNDS",
            Self::Open => "OPEN",
            Self::Claimed => "CLAIMED",
            Self::Submitted => "SUBMITTED",
            Self::Rejected => "REJECTED",
            Self::Releasing => "RELEASING",
            Self::Completed => "COMPLETED",
            Self::Refunding => "REFUNDING",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether nothing follows.
    pub(crate) fn is_end(self) -> bool {
        !EDGES.iter().any(|(from, _)| *from == self)
    }

    /// Whether `next` may follow.
    pub(crate) fn may_become(self, next: Self) -> bool {
        EDGES.contains(&(self, next))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

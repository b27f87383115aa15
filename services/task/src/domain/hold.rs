//! Funding by a hold invoice: the requester's wallet locks the sats in its own channel, up to a block height.
//!
//! What is locked is the requester's until it is taken. At the guard height, which comes well before the lock ends, the
//! platform decides: nobody has delivered, then the task ends; a result is there, then the sats are taken into the ledger
//! and judged there. What goes back by itself before it was taken is lost to the task.

use std::fmt;

use poa_common::{Msat, Timestamp};
use proof_of_agent::{Rail, Settlement, SettlementKind};

use super::error::DomainError;
use super::papers::Pen;
use super::saga::{End, Saga};
use super::state::State;
use super::step::Step;
use super::time::Moment;

/// Why a task ended whose sats went back although they were to be taken.
const LOST: &str =
    "the funding was lost: the sats went back to the requester's channel before they could be taken";
/// Why a task ended at the guard height.
const GUARD: &str = "nobody delivered before the hold invoice's lock was about to end";
/// Why a task ended on which nobody had delivered when the sats went back.
const RETURNED: &str = "the hold invoice's lock ended: the sats are back in the requester's channel";

/// A BOLT11 invoice, which no log shows: whoever has it can pay it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bolt11(pub(crate) String);

/// What is known of an invoice and of what it locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) invoice: Bolt11,
    /// Until when it can be paid.
    pub(crate) expires: Timestamp,
    /// What is locked; nothing until it is paid.
    pub(crate) paid: Msat,
    /// The block height at which the first part goes back by itself; 0 until it is paid.
    pub(crate) expiry_height: u32,
    /// The block height at which the platform decides; 0 until it is paid.
    pub(crate) guard_height: u32,
}

/// What became of what the invoice locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stands in the requester's channel, or nothing was paid yet.
    Locked,
    /// It is in the ledger, held as any other price is.
    Secured,
    /// It went back to the requester, and nobody had tried to take it.
    Returned,
    /// It went back to the requester although the platform meant to take it.
    Lost,
}

/// The hold invoice of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) lock: Lock,
    /// Whether the chain has come to the guard height.
    pub(crate) guard_reached: bool,
    pub(crate) fate: Fate,
}

/// What an event of escrow's says of a hold invoice. It may be old, or come twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) lock: Option<Lock>,
    pub(crate) guard_reached: bool,
    /// Where it has one that lasts.
    pub(crate) fate: Option<Fate>,
}

/// What must be done now because of the lock, before anything else. What is pending goes before an end, because whether it
/// was logged must be known; it does not hold up the taking of what is locked, or nobody would be paid while the log is down.
pub(super) fn forced(saga: &Saga) -> Option<Step> {
    let hold = saga.hold.as_ref()?;
    let (pending, held) = (saga.pending().is_some(), saga.status.held);
    match (saga.status.state, hold.fate) {
        (_, Fate::Secured) => None,
        // Unpaid, escrow is asked how it stands. Paid, nothing but the offer can be pending, and a refund logs that too.
        (State::Funding | State::AwaitingFunds, Fate::Locked) => {
            (held && hold.guard_reached).then_some(Step::GiveUp)
        }
        (State::Funding | State::AwaitingFunds, Fate::Returned | Fate::Lost) => held.then_some(Step::GiveUp),
        (State::Open | State::Claimed, Fate::Locked) => {
            (hold.guard_reached && !pending).then_some(Step::GiveUp)
        }
        (State::Open | State::Claimed, Fate::Returned) => (!pending).then_some(Step::GiveUp),
        (State::Open | State::Claimed, Fate::Lost)
        | (State::Submitted | State::Rejected | State::Releasing, Fate::Returned | Fate::Lost) => {
            (!pending).then_some(Step::EndLost)
        }
        (State::Submitted | State::Rejected, Fate::Locked) => hold.guard_reached.then_some(Step::Secure),
        // The capture takes it too, and waits for the decision to be logged.
        (State::Releasing, Fate::Locked) => (hold.guard_reached && pending).then_some(Step::Secure),
        (State::Completed | State::Refunding | State::Canceled | State::Expired, _) => None,
    }
}

// === impl Saga ===

impl Saga {
    /// Escrow has made the invoice: the requester's wallet is to pay it. From here on escrow needs no token.
    pub(crate) fn awaiting(&mut self, lock: Lock, at: Moment) -> Result<(), DomainError> {
        self.status.token = None;
        self.learn(lock, at);
        self.go(State::AwaitingFunds, at)
    }

    /// Takes over what is known of the lock. What was known before stays known: news may be old.
    pub(super) fn learn(&mut self, lock: Lock, at: Moment) {
        if self.offer.rail != Rail::HoldInvoice {
            return;
        }
        let known = match &mut self.hold {
            Some(hold) => {
                let before = hold.lock.clone();
                hold.lock.paid = hold.lock.paid.max(lock.paid);
                hold.lock.expiry_height = later(hold.lock.expiry_height, lock.expiry_height);
                hold.lock.guard_height = later(hold.lock.guard_height, lock.guard_height);
                hold.lock == before
            }
            None => {
                self.hold = Some(Hold { lock, guard_reached: false, fate: Fate::Locked });
                false
            }
        };
        if !known {
            self.touch(at);
        }
    }

    /// An event of escrow's. It moves nothing by itself: what has to be done about it, the next step does. Answers whether
    /// it says anything new.
    pub(crate) fn hear(&mut self, news: News, at: Moment) -> bool {
        let before = self.hold.clone();
        if self.status.state.is_end() {
            return false;
        }
        if let Some(lock) = news.lock {
            self.learn(lock, at);
        }
        if let Some(hold) = &mut self.hold {
            hold.guard_reached |= news.guard_reached;
            if hold.fate == Fate::Locked {
                hold.fate = news.fate.unwrap_or(Fate::Locked);
            }
        }
        self.hold != before
    }

    /// The sats are in the ledger.
    pub(crate) fn secured(&mut self) {
        self.meet(Fate::Secured);
    }

    /// Escrow says that what was to be taken went back. The task ends once its last statement is known to be logged, or now
    /// where it is ending already.
    pub(crate) fn lost(&mut self, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        self.meet(Fate::Lost);
        if self.status.state == State::Refunding {
            LOST.clone_into(&mut self.status.note);
            self.touch(at);
            return self.state_loss(pen, at);
        }
        Ok(())
    }

    /// Nobody is paid, and there is nothing to give back.
    pub(crate) fn end_lost(&mut self, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        self.state_loss(pen, at)?;
        self.status.end = Some(End::Canceled);
        LOST.clone_into(&mut self.status.note);
        self.go(State::Refunding, at)
    }

    /// Nobody has delivered, and nobody can any more.
    pub(crate) fn give_up(&mut self, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        let returned = self.hold.as_ref().is_some_and(|hold| hold.fate != Fate::Locked);
        let note = if returned { RETURNED } else { GUARD };
        match self.status.state {
            State::Funding | State::AwaitingFunds => self.abandon_funding(note, at),
            State::Open
            | State::Claimed
            | State::Submitted
            | State::Rejected
            | State::Releasing
            | State::Completed
            | State::Refunding
            | State::Canceled
            | State::Expired => self.expire(note, pen, at),
        }
    }

    /// Whether what funds the task is about to go back, or has: nobody may begin to work for it.
    pub(super) fn is_running_out(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| match hold.fate {
            Fate::Locked => hold.guard_reached,
            Fate::Secured => false,
            Fate::Returned | Fate::Lost => true,
        })
    }

    /// Whether the sats went back.
    pub(super) fn has_run_out(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| matches!(hold.fate, Fate::Returned | Fate::Lost))
    }

    fn meet(&mut self, fate: Fate) {
        if let Some(hold) = &mut self.hold
            && hold.fate != Fate::Secured
        {
            hold.fate = fate;
        }
    }

    fn state_loss(&mut self, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        if self.statements.is_empty() {
            return self.settled(at);
        }
        let settlement: Settlement = self.settlement(SettlementKind::FundingLost, None, at);
        let statement = self.last_statement()?.successor(pen.platform(), settlement)?;
        self.state(&statement);
        Ok(())
    }
}

/// Of two heights, one of which may not be known yet.
fn later(known: u32, told: u32) -> u32 {
    if known == 0 { told } else { known }
}

// === impl Bolt11 ===

impl fmt::Debug for Bolt11 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bolt11(…)")
    }
}

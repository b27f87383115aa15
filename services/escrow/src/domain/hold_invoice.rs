//! A hold invoice that funds an escrow: what is remembered of it, and what an observation of the node means.
//!
//! An accepted invoice is a memo and no money: the sats are the payer's until the node has settled, and that is final.

use std::fmt;

use poa_common::hold::{LockTooLong, MAX_CLTV_BLOCKS, guard_height};
use poa_common::{Msat, Timestamp};
use poa_payment::{InvoiceState, NodeId, PaymentHash};

use super::escrow::{Escrow, State};

/// What a payer may pay more than was asked, as a multiple of it. It goes to the payer's balance at the release; more is an
/// error of the payer's wallet, and goes back at once.
const MAX_OVERPAYMENT: i64 = 2;
/// How long after its end an unpaid invoice that the node does not know is given up, in seconds: a day, as of deposits.
const GIVE_UP_SECONDS: i64 = 24 * 3_600;
/// How long after the height at which all that was locked has gone one way or the other somebody is told that the node does
/// not say which: two days, in which what is claimed on the chain is buried.
const LONG_PAST_BLOCKS: u32 = 288;

/// The hold invoice of an escrow. The preimage is not here: it is read, sealed, where the node is told to settle.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HoldInvoice {
    /// Of a random preimage.
    pub(crate) hash: PaymentHash,
    /// The node that was asked to make it: no other one's word counts.
    pub(crate) node: NodeId,
    /// The final CLTV delta, by the durations in the terms.
    pub(crate) cltv_blocks: u16,
    /// How long it can be paid, from when the node makes it.
    pub(crate) expiry_seconds: u32,
    /// The BOLT11 text; none until the node has made it. What is not stored is never handed out, and so never paid.
    pub(crate) bolt11: Option<String>,
    /// Until when it can be paid; none until the node has made it.
    pub(crate) expire_time: Option<Timestamp>,
    /// What is locked; none until it is paid.
    pub(crate) memo: Option<Memo>,
    /// When the chain came to the guard height while nothing was decided.
    pub(crate) guard_time: Option<Timestamp>,
}

/// What the node says is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memo {
    /// The sum of the parts: at least the amount.
    pub(crate) paid: Msat,
    /// The number of HTLCs.
    pub(crate) parts: u32,
    /// The lowest height at which a part goes back to the payer by itself.
    pub(crate) expiry_height: u32,
    /// When we saw it.
    pub(crate) accept_time: Timestamp,
}

/// Why a task cannot be funded by a hold invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The node makes none, or they are switched off.
    #[error("this platform's node makes no hold invoices: fund the task from the balance")]
    Node,
    /// The task takes longer than sats can be locked.
    #[error("{0}: shorten its times, or fund it from the balance")]
    Durations(LockTooLong),
    /// The price is too small.
    #[error("a hold invoice asks for at least {least} msat: fund the task from the balance")]
    Price {
        /// The least price.
        least: Msat,
    },
}

/// How much may be locked at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// HTLCs of all payers.
    pub(crate) max_parts: u32,
    /// HTLCs of one payer.
    pub(crate) max_parts_of_payer: u32,
    /// Sats of one payer.
    pub(crate) max_msat_of_payer: Msat,
}

/// What hold invoices that are not at their end take of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// HTLCs of paid invoices.
    pub(crate) parts: u32,
    /// Invoices that are not paid. They take no place in a channel, so that they count for their payer alone.
    pub(crate) unpaid: u32,
    /// Sats: what is locked, or asked for.
    pub(crate) msat: Msat,
}

/// What stands around a look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// The wall clock. Sats never move by it.
    pub(crate) now: Timestamp,
    /// The height of the node's chain.
    pub(crate) height: u32,
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing; look again.
    Wait,
    /// It is paid: remember what is locked, or refuse it.
    Accept(Memo),
    /// The chain came to the guard height: say so.
    Guard,
    /// Tell the node to take the sats.
    Settle,
    /// Ask the node whether what it has settled is final.
    AskFinality {
        /// What arrived.
        paid: Msat,
    },
    /// Tell the node to give the sats back.
    Cancel,
    /// It was given back, or can never be paid.
    Canceled,
    /// What cannot be: nothing moves until an operator has looked.
    Alarm(&'static str),
}

/// What a lookup of an escrow's hold invoice means. `None` is a node that does not know the hash: absence proves nothing
/// where sats may be locked.
pub(crate) fn next(escrow: &Escrow, seen: Option<&InvoiceState>, around: Circumstances) -> Step {
    let Some(invoice) = &escrow.hold_invoice else { return Step::Wait };
    match (escrow.state, seen) {
        (State::Awaiting | State::Accepted | State::Canceling, Some(InvoiceState::Settled { .. })) => {
            Step::Alarm("a hold invoice is settled that nobody told the node to settle")
        }
        (State::Awaiting, Some(InvoiceState::Accepted { paid, parts, lowest_expiry_height })) => {
            Step::Accept(Memo {
                paid: *paid,
                parts: *parts,
                expiry_height: *lowest_expiry_height,
                accept_time: around.now,
            })
        }
        (State::Accepted, Some(InvoiceState::Accepted { .. })) if invoice.guard_is_due(around.height) => {
            Step::Guard
        }
        // A node that has forgotten it keeps neither its payer nor its worker waiting: nobody was ever shown the preimage.
        (State::Accepted, None) if invoice.is_past(around) => Step::Canceled,
        (State::Accepted, None) if invoice.guard_is_due(around.height) => Step::Guard,
        (State::Settling, None) if invoice.is_long_past(around.height) => {
            Step::Alarm("the node does not know the invoice of what it was told to take")
        }
        (State::Settling, Some(InvoiceState::Accepted { .. })) => Step::Settle,
        (State::Settling, Some(InvoiceState::Settled { paid, .. })) => Step::AskFinality { paid: *paid },
        (State::Canceling, Some(InvoiceState::Open | InvoiceState::Accepted { .. })) => Step::Cancel,
        (
            State::Awaiting | State::Accepted | State::Settling | State::Canceling,
            Some(InvoiceState::Canceled),
        ) => Step::Canceled,
        (State::Awaiting | State::Canceling, None) if invoice.is_past(around) => Step::Canceled,
        // It may have been made since the node was asked.
        (State::Canceling, None) => Step::Cancel,
        // What was accepted is not open: an answer of before.
        (State::Awaiting | State::Accepted | State::Settling, Some(InvoiceState::Open) | None)
        | (State::Accepted, Some(InvoiceState::Accepted { .. }))
        | (
            State::Held
            | State::Released
            | State::Refunded
            | State::Void
            | State::Canceled
            | State::FundingLost,
            _,
        ) => Step::Wait,
    }
}

/// Whether another invoice of this amount may be made, beside what all payers and this one have. The limit that is reached
/// otherwise.
pub(crate) fn admit(amount: Msat, all: Load, payer: Load, limits: &Limits) -> Result<(), i64> {
    within(Load::of_unpaid(amount), all, payer, limits)
}

/// Whether what was paid is taken, beside what others have locked.
pub(crate) fn takes(amount: Msat, memo: &Memo, all: Load, payer: Load, limits: &Limits) -> bool {
    let most = amount.get().saturating_mul(MAX_OVERPAYMENT);
    let fits = memo.paid >= amount && memo.paid.get() <= most && memo.parts > 0;
    fits && within(Load::of_paid(memo), all, payer, limits).is_ok()
}

fn within(more: Load, all: Load, payer: Load, limits: &Limits) -> Result<(), i64> {
    let places = more.parts.saturating_add(more.unpaid);
    if all.parts.saturating_add(places) > limits.max_parts {
        return Err(limits.max_parts.into());
    }
    let of_payer = payer.parts.saturating_add(payer.unpaid);
    if of_payer.saturating_add(places) > limits.max_parts_of_payer {
        return Err(limits.max_parts_of_payer.into());
    }
    match payer.msat.checked_add(more.msat) {
        Ok(sum) if sum <= limits.max_msat_of_payer => Ok(()),
        Ok(_) | Err(_) => Err(limits.max_msat_of_payer.get()),
    }
}

// === impl HoldInvoice ===

impl HoldInvoice {
    /// The height at which the platform decides; none before it is paid.
    pub(crate) fn guard_height(&self) -> Option<u32> {
        self.memo.map(|memo| guard_height(memo.expiry_height))
    }

    fn guard_is_due(&self, height: u32) -> bool {
        self.guard_time.is_none() && self.guard_height().is_some_and(|guard| height >= guard)
    }

    /// Whether a node that does not know it can no longer have sats locked by it.
    fn is_past(&self, around: Circumstances) -> bool {
        match (self.memo, self.expire_time) {
            (Some(memo), _) => around.height >= memo.expiry_height,
            (None, Some(end)) => (around.now - end).whole_seconds() > GIVE_UP_SECONDS,
            // Nobody was ever shown it.
            (None, None) => true,
        }
    }

    /// Whether all that was locked has long come to its end, one way or the other, and the node should have told.
    pub(crate) fn is_long_past(&self, height: u32) -> bool {
        self.memo.is_some_and(|memo| height >= memo.expiry_height.saturating_add(LONG_PAST_BLOCKS))
    }

    /// Whether it is too old to be made now: whoever waited for it has gone.
    pub(crate) fn is_stale(&self, create_time: Timestamp, now: Timestamp) -> bool {
        self.bolt11.is_none() && (now - create_time).whole_seconds() > i64::from(self.expiry_seconds)
    }

    /// What it takes of the limits.
    pub(crate) fn load(&self, amount: Msat) -> Load {
        self.memo.as_ref().map_or_else(|| Load::of_unpaid(amount), Load::of_paid)
    }
}

impl fmt::Debug for HoldInvoice {
    /// Without the text: an invoice belongs in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldInvoice")
            .field("hash", &self.hash)
            .field("made", &self.bolt11.is_some())
            .field("memo", &self.memo)
            .field("guard_time", &self.guard_time)
            .finish_non_exhaustive()
    }
}

// === impl Load ===

impl Load {
    fn of_unpaid(amount: Msat) -> Self {
        Self { parts: 0, unpaid: 1, msat: amount }
    }

    fn of_paid(memo: &Memo) -> Self {
        Self { parts: memo.parts, unpaid: 0, msat: memo.paid }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        let msat = self.msat.get().saturating_add(other.msat.get());
        let (parts, unpaid) =
            (self.parts.saturating_add(other.parts), self.unpaid.saturating_add(other.unpaid));
        Self { parts, unpaid, msat: Msat::new(msat) }
    }

    /// What is left without the other.
    pub(crate) fn minus(self, other: Self) -> Self {
        let msat = self.msat.get().saturating_sub(other.msat.get());
        let (parts, unpaid) =
            (self.parts.saturating_sub(other.parts), self.unpaid.saturating_sub(other.unpaid));
        Self { parts, unpaid, msat: Msat::new(msat) }
    }
}

// === impl Unavailable ===

impl Unavailable {
    /// The name for a program.
    pub(crate) fn problem(&self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Durations(_) => "durations",
            Self::Price { .. } => "price",
        }
    }

    /// The facts for a program.
    pub(crate) fn metadata(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("problem", self.problem().to_owned())];
        match self {
            Self::Node => {}
            Self::Durations(LockTooLong { needed_blocks }) => facts.extend([
                ("needed_blocks", needed_blocks.to_string()),
                ("max_blocks", MAX_CLTV_BLOCKS.to_string()),
            ]),
            Self::Price { least } => facts.push(("least_msat", least.to_string())),
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::{EscrowId, TaskId, TypedId as _};
    use poa_payment::Preimage;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const PAID: Msat = Msat::new(1_000);
    const MEMO: Memo = Memo { paid: PAID, parts: 1, expiry_height: 880, accept_time: NOW };
    /// Before the guard height of the memo.
    const EARLY: u32 = 843;

    fn escrow(state: State, memo: Option<Memo>) -> Escrow {
        Escrow {
            id: EscrowId::from_uuid(Uuid::nil()),
            task: TaskId::from_uuid(Uuid::nil()),
            state,
            payer: None,
            payee: None,
            amount: PAID,
            fee: Msat::ZERO,
            payee_net: PAID,
            fee_basis_points: 0,
            terms: None,
            hold_transfer: None,
            end_transfer: None,
            create_time: NOW,
            end_time: None,
            hold_invoice: Some(HoldInvoice {
                hash: Preimage::new([7; 32]).hash(),
                node: NodeId::new([2; 33]),
                cltv_blocks: 80,
                expiry_seconds: 600,
                bolt11: Some("lnsb".to_owned()),
                expire_time: Some(NOW),
                memo,
                guard_time: None,
            }),
        }
    }

    fn at(height: u32) -> Circumstances {
        Circumstances { now: NOW, height }
    }

    #[test]
    fn what_the_node_says_means_one_thing_in_each_state() {
        let accepted = InvoiceState::Accepted { paid: PAID, parts: 1, lowest_expiry_height: 880 };
        let settled = InvoiceState::Settled { paid: PAID, at: NOW, preimage: None };
        let alarm = Step::Alarm("a hold invoice is settled that nobody told the node to settle");
        let ask = Step::AskFinality { paid: PAID };
        let (open, canceled) = (InvoiceState::Open, InvoiceState::Canceled);
        // By the state: open, accepted, settled, cancelled, not known.
        let table = [
            (State::Awaiting, None, [Step::Wait, Step::Accept(MEMO), alarm, Step::Canceled, Step::Wait]),
            (State::Accepted, Some(MEMO), [Step::Wait, Step::Wait, alarm, Step::Canceled, Step::Wait]),
            (State::Settling, Some(MEMO), [Step::Wait, Step::Settle, ask, Step::Canceled, Step::Wait]),
            (State::Canceling, Some(MEMO), [Step::Cancel, Step::Cancel, alarm, Step::Canceled, Step::Cancel]),
            (State::Held, Some(MEMO), [Step::Wait; 5]),
            (State::Released, Some(MEMO), [Step::Wait; 5]),
            (State::Refunded, Some(MEMO), [Step::Wait; 5]),
            (State::Canceled, Some(MEMO), [Step::Wait; 5]),
            (State::FundingLost, Some(MEMO), [Step::Wait; 5]),
        ];
        let words = [Some(&open), Some(&accepted), Some(&settled), Some(&canceled), None];
        for (state, memo, steps) in table {
            for (word, step) in words.into_iter().zip(steps) {
                assert_eq!(next(&escrow(state, memo), word, at(EARLY)), step, "{state:?} {word:?}");
            }
        }
    }

    #[test]
    fn the_guard_is_due_once_and_while_nothing_is_decided() {
        let accepted = InvoiceState::Accepted { paid: PAID, parts: 1, lowest_expiry_height: 880 };
        let mut locked = escrow(State::Accepted, Some(MEMO));
        assert_eq!(locked.hold_invoice.as_ref().unwrap().guard_height(), Some(844));
        assert_eq!(next(&locked, Some(&accepted), at(843)), Step::Wait);
        assert_eq!(next(&locked, Some(&accepted), at(844)), Step::Guard);
        locked.hold_invoice.as_mut().unwrap().guard_time = Some(NOW);
        assert_eq!(next(&locked, Some(&accepted), at(845)), Step::Wait);
        assert_eq!(next(&escrow(State::Settling, Some(MEMO)), Some(&accepted), at(844)), Step::Settle);
    }

    #[test]
    fn a_node_that_does_not_know_it_ends_only_what_can_hold_no_sats() {
        let day = std::time::Duration::from_secs(24 * 3_600);
        let later = |by| Circumstances { now: NOW + by, height: EARLY };
        // Unpaid: a day after its end. Paid: at the height at which the sats have gone back by themselves, and no time counts.
        for state in [State::Awaiting, State::Canceling] {
            let wait = if state == State::Awaiting { Step::Wait } else { Step::Cancel };
            assert_eq!(next(&escrow(state, None), None, later(day)), wait, "{state:?}");
            let second = std::time::Duration::from_secs(1);
            assert_eq!(next(&escrow(state, None), None, later(day + second)), Step::Canceled, "{state:?}");
        }
        let paid = escrow(State::Canceling, Some(MEMO));
        assert_eq!(next(&paid, None, later(day * 365)), Step::Cancel);
        assert_eq!(next(&paid, None, at(879)), Step::Cancel);
        assert_eq!(next(&paid, None, at(880)), Step::Canceled);
        // What nobody meant to take has gone back by then; before, the guard is told all the same.
        let locked = escrow(State::Accepted, Some(MEMO));
        assert_eq!(next(&locked, None, at(843)), Step::Wait);
        assert_eq!(next(&locked, None, at(844)), Step::Guard);
        assert_eq!(next(&locked, None, at(880)), Step::Canceled);
        // What we meant to take may have been taken: absence says nothing, and in the end somebody must look.
        let meant = escrow(State::Settling, Some(MEMO));
        assert_eq!(next(&meant, None, at(1_167)), Step::Wait);
        assert!(matches!(next(&meant, None, at(1_168)), Step::Alarm(_)));
        // What was never handed out holds nothing.
        let mut unseen = escrow(State::Canceling, None);
        let invoice = unseen.hold_invoice.as_mut().unwrap();
        (invoice.bolt11, invoice.expire_time) = (None, None);
        assert_eq!(next(&unseen, None, at(EARLY)), Step::Canceled);
    }
}

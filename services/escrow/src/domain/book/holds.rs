//! Escrows that hold invoices fund, until their sats are in the ledger.

use poa_common::{Msat, TypedId as _};

use super::escrows::{ensure_sound, is_same, new_escrow, ruled};
use super::{Book, Event};
use crate::domain::command::{HoldByInvoice, Observation, Observe, Secure};
use crate::domain::escrow::{Escrow, State, Verb};
use crate::domain::hold_invoice::{HoldInvoice, Limits, Load, Memo, admit, takes};
use crate::domain::postings::{self, Kind, Transfer};
use crate::domain::refusal::Refusal;

// === impl Book ===

impl Book {
    /// Prepares a hold invoice. Nothing is posted: nothing is ours before it is settled for good.
    pub(super) fn hold_by_invoice(&mut self, order: &HoldByInvoice) -> Result<Escrow, Refusal> {
        let hold = &order.hold;
        let known = self.escrows.get(&hold.escrow);
        let Some(state) = ruled(hold.escrow, known, Verb::Invoice)? else {
            return known.filter(|escrow| is_same(escrow, hold)).cloned().ok_or(Refusal::RequestIdReused);
        };
        ensure_sound(hold)?;
        let payer = self.locked.get(&hold.payer).copied().unwrap_or_default();
        admit(hold.amount, self.all_locked(), payer, &order.limits)
            .map_err(|limit| Refusal::TooMuchLocked { limit })?;
        let mut escrow = new_escrow(hold, state);
        escrow.hold_invoice = Some(order.invoice.clone());
        self.locked.insert(hold.payer, payer.plus(order.invoice.load(hold.amount)));
        self.mandates.push((hold.escrow, hold.mandate.clone()));
        self.preimages.push((hold.escrow, order.sealed.clone()));
        Ok(self.turn(escrow, state, order.event, hold.time))
    }

    /// Means to take what is locked.
    pub(super) fn secure(&mut self, secure: &Secure) -> Result<Escrow, Refusal> {
        let escrow = self.escrows.get(&secure.escrow).cloned();
        if escrow.as_ref().is_some_and(|escrow| escrow.task != secure.task) {
            return Err(Refusal::OtherTask);
        }
        match (ruled(secure.escrow, escrow.as_ref(), Verb::Secure)?, escrow) {
            (Some(state), Some(escrow)) => Ok(self.turn(escrow, state, secure.event, secure.time)),
            (Some(_) | None, escrow) => escrow.ok_or(Refusal::EscrowNotFound),
        }
    }

    /// Notes what the node says. What was said before, or comes too late, changes nothing.
    pub(super) fn observe(&mut self, observe: &Observe) -> Result<Escrow, Refusal> {
        let escrow = self.escrows.get(&observe.escrow).cloned().ok_or(Refusal::EscrowNotFound)?;
        let invoice = escrow.hold_invoice.clone().ok_or(Refusal::EscrowNotFound)?;
        let verb = match &observe.seen {
            Observation::Made { .. } | Observation::Guard => return Ok(self.remark(observe, escrow, invoice)),
            Observation::Accepted { memo, limits } if self.takes(&escrow, &invoice, memo, limits) => {
                Verb::Accept
            }
            Observation::Accepted { .. } => Verb::Reject,
            Observation::Final { .. } => Verb::Fund,
            // Made meanwhile, it may be paid: then it is the node's to say.
            Observation::GivenUp if escrow.state != State::Awaiting || invoice.bolt11.is_some() => {
                return Ok(escrow);
            }
            Observation::Canceled | Observation::GivenUp => Verb::Cancel,
            Observation::Lost => Verb::Lose,
        };
        let Some(state) = ruled(observe.escrow, Some(&escrow), verb)? else { return Ok(escrow) };
        let turned = match &observe.seen {
            Observation::Accepted { memo, .. } => self.remember(escrow, invoice, *memo),
            Observation::Final { paid, transfer } => {
                let fund = Transfer {
                    id: *transfer,
                    kind: Kind::Fund,
                    subject: escrow.id.uuid(),
                    time: observe.time,
                    postings: fund_postings(&escrow, *paid)?,
                };
                self.post(vec![fund])?;
                let memo = invoice.memo.map(|memo| Memo { paid: *paid, ..memo });
                let hold_invoice = Some(HoldInvoice { memo, ..invoice });
                Escrow { hold_transfer: Some(*transfer), hold_invoice, ..escrow }
            }
            Observation::Made { .. }
            | Observation::Guard
            | Observation::Canceled
            | Observation::GivenUp
            | Observation::Lost => escrow,
        };
        Ok(self.turn(turned, state, observe.event, observe.time))
    }

    /// What is remembered in the state as it is.
    fn remark(&mut self, observe: &Observe, escrow: Escrow, invoice: HoldInvoice) -> Escrow {
        let (remarked, kind) = match &observe.seen {
            // Not after a refund: an invoice that nobody has seen cannot be paid.
            Observation::Made { bolt11, expire_time }
                if escrow.state == State::Awaiting && invoice.bolt11.is_none() =>
            {
                let (bolt11, expire_time) = (Some(bolt11.clone()), Some(*expire_time));
                (HoldInvoice { bolt11, expire_time, ..invoice }, "made")
            }
            Observation::Guard if escrow.state == State::Accepted && invoice.guard_time.is_none() => {
                (HoldInvoice { guard_time: Some(observe.time), ..invoice }, "guard")
            }
            Observation::Made { .. }
            | Observation::Guard
            | Observation::Accepted { .. }
            | Observation::Final { .. }
            | Observation::Canceled
            | Observation::GivenUp
            | Observation::Lost => return escrow,
        };
        let escrow = Escrow { hold_invoice: Some(remarked), ..escrow };
        self.escrows.put(escrow.id, escrow.clone());
        self.events.push(Event { id: observe.event, escrow: escrow.id, kind, time: observe.time });
        escrow
    }

    /// Whether what was paid is taken, beside what others have locked.
    fn takes(&self, escrow: &Escrow, invoice: &HoldInvoice, memo: &Memo, limits: &Limits) -> bool {
        // What is locked was read with this invoice in it.
        let own = invoice.load(escrow.amount);
        let payer = escrow.payer.and_then(|payer| self.locked.get(&payer)).copied().unwrap_or_default();
        takes(escrow.amount, memo, self.all_locked().minus(own), payer.minus(own), limits)
    }

    fn remember(&mut self, escrow: Escrow, invoice: HoldInvoice, memo: Memo) -> Escrow {
        let before = invoice.load(escrow.amount);
        let invoice = HoldInvoice { memo: Some(memo), ..invoice };
        if let Some(locked) = escrow.payer.and_then(|payer| self.locked.get_mut(&payer)) {
            *locked = locked.minus(before).plus(invoice.load(escrow.amount));
        }
        Escrow { hold_invoice: Some(invoice), ..escrow }
    }

    fn all_locked(&self) -> Load {
        self.locked.values().copied().fold(Load::default(), Load::plus)
    }
}

fn fund_postings(escrow: &Escrow, paid: Msat) -> Result<Vec<postings::Posting>, Refusal> {
    let payer = escrow.payer.ok_or(Refusal::EscrowNotFound)?;
    if paid < escrow.amount || paid > Msat::SUPPLY {
        return Err(Refusal::OutOfRange);
    }
    Ok(postings::fund::postings(payer, escrow.amount, paid)?)
}

//! Hold, capture, refund.

use poa_common::{EscrowId, EventId, Msat, Timestamp, TypedId as _};

use super::{Book, Event};
use crate::domain::account::Owner;
use crate::domain::command::{Capture, Hold, Refund};
use crate::domain::escrow::{Escrow, State, Verb, Verdict, verdict};
use crate::domain::fee::Split;
use crate::domain::postings::{self, Kind, Transfer};
use crate::domain::refusal::Refusal;

// === impl Book ===

impl Book {
    pub(super) fn hold(&mut self, hold: &Hold) -> Result<Escrow, Refusal> {
        let known = self.escrows.get(&hold.escrow);
        match ruled(hold.escrow, known, Verb::Hold)? {
            Some(state) => self.hold_anew(hold, state),
            None => known.filter(|escrow| is_same(escrow, hold)).cloned().ok_or(Refusal::RequestIdReused),
        }
    }

    fn hold_anew(&mut self, hold: &Hold, state: State) -> Result<Escrow, Refusal> {
        ensure_sound(hold)?;
        self.afford(Owner::User(hold.payer), hold.amount)?;
        self.post(vec![Transfer {
            id: hold.transfer,
            kind: Kind::Hold,
            subject: hold.escrow.uuid(),
            time: hold.time,
            postings: postings::hold::postings(hold.payer, hold.amount)?,
        }])?;
        let escrow = Escrow { hold_transfer: Some(hold.transfer), ..new_escrow(hold, state) };
        self.escrows.put(hold.escrow, escrow.clone());
        self.mandates.push((hold.escrow, hold.mandate.clone()));
        Ok(escrow)
    }

    pub(super) fn capture(&mut self, capture: &Capture) -> Result<Escrow, Refusal> {
        let escrow = self.escrows.get(&capture.escrow).cloned();
        let next = ruled(capture.escrow, escrow.as_ref(), Verb::Capture)?;
        let escrow = escrow.ok_or(Refusal::EscrowNotFound)?;
        match next {
            Some(state @ State::Released) => self.capture_held(capture, escrow, state),
            // Nothing is released yet: the sats must be here first. The same call again releases them.
            Some(state) => Ok(self.turn(escrow, state, capture.event, capture.time)),
            None => Ok(escrow),
        }
    }

    fn capture_held(&mut self, capture: &Capture, held: Escrow, state: State) -> Result<Escrow, Refusal> {
        if Owner::is_system(capture.payee.uuid()) {
            return Err(Refusal::NotAnAccount);
        }
        let payer = held.payer.ok_or(Refusal::EscrowNotFound)?;
        assert_eq!(held.terms, Some(capture.evidence.terms), "the evidence is about the mandate's terms");
        let split = Split { fee: held.fee, payee: held.payee_net };
        let mut transfers = vec![Transfer {
            id: capture.transfer,
            kind: Kind::Capture,
            subject: held.id.uuid(),
            time: capture.time,
            postings: postings::capture::postings(payer, capture.payee, held.amount, split)?,
        }];
        if held.fee > Msat::ZERO {
            transfers.push(Transfer {
                id: capture.fee_transfer,
                kind: Kind::Fee,
                subject: held.id.uuid(),
                time: capture.time,
                postings: postings::fee::postings(held.fee)?,
            });
        }
        self.post(transfers)?;
        self.releases.push((held.id, capture.payee, capture.evidence.clone()));
        let released = Escrow { payee: Some(capture.payee), end_transfer: Some(capture.transfer), ..held };
        Ok(self.turn(released, state, capture.event, capture.time))
    }

    pub(super) fn refund(&mut self, refund: &Refund) -> Result<Escrow, Refusal> {
        let escrow = self.escrows.get(&refund.escrow).cloned();
        if escrow.as_ref().is_some_and(|escrow| escrow.task != refund.task) {
            return Err(Refusal::OtherTask);
        }
        match (ruled(refund.escrow, escrow.as_ref(), Verb::Refund)?, escrow) {
            (Some(state), None) => Ok(self.void(refund, state)),
            (Some(state @ State::Refunded), Some(escrow)) => self.refund_held(refund, escrow, state),
            // Nothing is ours to give: the node lets go of what it has locked.
            (Some(state), Some(escrow)) => Ok(self.turn(escrow, state, refund.event, refund.time)),
            (None, escrow) => escrow.ok_or(Refusal::EscrowNotFound),
        }
    }

    /// The tombstone that a late hold hits.
    fn void(&mut self, refund: &Refund, state: State) -> Escrow {
        let escrow = Escrow {
            id: refund.escrow,
            task: refund.task,
            state,
            payer: None,
            payee: None,
            amount: Msat::ZERO,
            fee: Msat::ZERO,
            payee_net: Msat::ZERO,
            fee_basis_points: 0,
            terms: None,
            hold_transfer: None,
            end_transfer: None,
            create_time: refund.time,
            end_time: Some(refund.time),
            hold_invoice: None,
        };
        self.escrows.put(refund.escrow, escrow.clone());
        escrow
    }

    fn refund_held(&mut self, refund: &Refund, held: Escrow, state: State) -> Result<Escrow, Refusal> {
        let payer = held.payer.ok_or(Refusal::EscrowNotFound)?;
        self.post(vec![Transfer {
            id: refund.transfer,
            kind: Kind::Refund,
            subject: held.id.uuid(),
            time: refund.time,
            postings: postings::refund::postings(payer, held.amount)?,
        }])?;
        let refunded = Escrow { end_transfer: Some(refund.transfer), ..held };
        Ok(self.turn(refunded, state, refund.event, refund.time))
    }

    /// Puts an escrow into another state. What a hold invoice funds is followed by its task, which is told.
    pub(super) fn turn(&mut self, escrow: Escrow, state: State, event: EventId, time: Timestamp) -> Escrow {
        let turned = Escrow { state, end_time: state.is_end().then_some(time), ..escrow };
        self.escrows.put(turned.id, turned.clone());
        if turned.hold_invoice.is_some() {
            self.events.push(Event { id: event, escrow: turned.id, kind: state.as_str(), time });
        }
        turned
    }
}

/// The state to which a verb leads; none where it is the same answer again.
pub(super) fn ruled(id: EscrowId, escrow: Option<&Escrow>, verb: Verb) -> Result<Option<State>, Refusal> {
    match verdict(escrow.map(|escrow| escrow.state), verb) {
        Verdict::Apply(state) => Ok(Some(state)),
        Verdict::Repeat => Ok(None),
        Verdict::AlreadyReleased => Err(Refusal::AlreadyReleased(id)),
        Verdict::AlreadyRefunded => Err(Refusal::AlreadyRefunded(id)),
        Verdict::FundingLost => Err(Refusal::FundingLost(id)),
        Verdict::WrongState => {
            Err(Refusal::EscrowState { state: escrow.map_or("absent", |escrow| escrow.state.as_str()) })
        }
        Verdict::NotFound => Err(Refusal::EscrowNotFound),
    }
}

/// Refuses an order that the handler should not have let through.
pub(super) fn ensure_sound(hold: &Hold) -> Result<(), Refusal> {
    if Owner::is_system(hold.payer.uuid()) {
        return Err(Refusal::NotAnAccount);
    }
    if hold.amount <= Msat::ZERO || hold.split.fee.checked_add(hold.split.payee)? != hold.amount {
        return Err(Refusal::OutOfRange);
    }
    Ok(())
}

/// The escrow of an order, before anything moved.
pub(super) fn new_escrow(hold: &Hold, state: State) -> Escrow {
    Escrow {
        id: hold.escrow,
        task: hold.task,
        state,
        payer: Some(hold.payer),
        payee: None,
        amount: hold.amount,
        fee: hold.split.fee,
        payee_net: hold.split.payee,
        fee_basis_points: hold.fee.get(),
        terms: Some(hold.mandate.digest),
        hold_transfer: None,
        end_transfer: None,
        create_time: hold.time,
        end_time: None,
        hold_invoice: None,
    }
}

/// Whether a hold asks for what an escrow already is.
pub(super) fn is_same(escrow: &Escrow, hold: &Hold) -> bool {
    escrow.task == hold.task
        && escrow.payer == Some(hold.payer)
        && escrow.amount == hold.amount
        && escrow.terms == Some(hold.mandate.digest)
}

//! Hold, capture, refund.

use poa_common::{Msat, TypedId as _};

use super::Book;
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
        match verdict(known.map(|escrow| escrow.state), Verb::Hold) {
            Verdict::Apply(state) => self.hold_anew(hold, state),
            Verdict::Repeat => {
                known.filter(|escrow| is_same(escrow, hold)).cloned().ok_or(Refusal::RequestIdReused)
            }
            Verdict::AlreadyReleased => Err(Refusal::AlreadyReleased(hold.escrow)),
            Verdict::AlreadyRefunded => Err(Refusal::AlreadyRefunded(hold.escrow)),
            Verdict::NotFound => Err(Refusal::EscrowNotFound),
        }
    }

    fn hold_anew(&mut self, hold: &Hold, state: State) -> Result<Escrow, Refusal> {
        if Owner::is_system(hold.payer.uuid()) {
            return Err(Refusal::NotAnAccount);
        }
        if hold.amount <= Msat::ZERO || hold.split.fee.checked_add(hold.split.payee)? != hold.amount {
            return Err(Refusal::OutOfRange);
        }
        self.afford(Owner::User(hold.payer), hold.amount)?;
        self.post(vec![Transfer {
            id: hold.transfer,
            kind: Kind::Hold,
            subject: hold.escrow.uuid(),
            time: hold.time,
            postings: postings::hold::postings(hold.payer, hold.amount)?,
        }])?;
        let escrow = Escrow {
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
            hold_transfer: Some(hold.transfer),
            end_transfer: None,
            create_time: hold.time,
            end_time: None,
        };
        self.escrows.put(hold.escrow, escrow.clone());
        self.mandates.push((hold.escrow, hold.mandate.clone()));
        Ok(escrow)
    }

    pub(super) fn capture(&mut self, capture: &Capture) -> Result<Escrow, Refusal> {
        let escrow = self.escrows.get(&capture.escrow).cloned();
        match (verdict(escrow.as_ref().map(|escrow| escrow.state), Verb::Capture), escrow) {
            (Verdict::Apply(state), Some(escrow)) => self.capture_held(capture, escrow, state),
            (Verdict::Repeat, Some(escrow)) => Ok(escrow),
            (Verdict::AlreadyReleased, _) => Err(Refusal::AlreadyReleased(capture.escrow)),
            (Verdict::AlreadyRefunded, _) => Err(Refusal::AlreadyRefunded(capture.escrow)),
            (Verdict::NotFound | Verdict::Apply(_) | Verdict::Repeat, _) => Err(Refusal::EscrowNotFound),
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
        let released = Escrow {
            state,
            payee: Some(capture.payee),
            end_transfer: Some(capture.transfer),
            end_time: Some(capture.time),
            ..held
        };
        self.escrows.put(released.id, released.clone());
        self.releases.push((released.id, capture.payee, capture.evidence.clone()));
        Ok(released)
    }

    pub(super) fn refund(&mut self, refund: &Refund) -> Result<Escrow, Refusal> {
        let escrow = self.escrows.get(&refund.escrow).cloned();
        if escrow.as_ref().is_some_and(|escrow| escrow.task != refund.task) {
            return Err(Refusal::OtherTask);
        }
        match (verdict(escrow.as_ref().map(|escrow| escrow.state), Verb::Refund), escrow) {
            (Verdict::Apply(state), None) => Ok(self.void(refund, state)),
            (Verdict::Apply(state), Some(escrow)) => self.refund_held(refund, escrow, state),
            (Verdict::Repeat, Some(escrow)) => Ok(escrow),
            (Verdict::AlreadyReleased, _) => Err(Refusal::AlreadyReleased(refund.escrow)),
            (Verdict::AlreadyRefunded, _) => Err(Refusal::AlreadyRefunded(refund.escrow)),
            (Verdict::NotFound | Verdict::Repeat, _) => Err(Refusal::EscrowNotFound),
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
        let refunded =
            Escrow { state, end_transfer: Some(refund.transfer), end_time: Some(refund.time), ..held };
        self.escrows.put(refunded.id, refunded.clone());
        Ok(refunded)
    }
}

/// Whether a hold asks for what an escrow already is.
fn is_same(escrow: &Escrow, hold: &Hold) -> bool {
    escrow.task == hold.task
        && escrow.payer == Some(hold.payer)
        && escrow.amount == hold.amount
        && escrow.terms == Some(hold.mandate.digest)
}

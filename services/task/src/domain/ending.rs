//! How a task ends: paid, cancelled or expired. And what the log answers on the way there.

use poa_common::{Msat, TransferId};
use proof_of_agent::statement::Kind;
use proof_of_agent::{Decision, DecisionKind, Rail, Settlement, SettlementKind, Statement};

use super::error::DomainError;
use super::papers::Pen;
use super::saga::{End, Saga, Standing};
use super::state::State;
use super::time::Moment;

// === impl Saga ===

impl Saga {
    /// A pending statement is in the log; with WorkSubmitted comes the platform's WorkReceived.
    pub(crate) fn appended(
        &mut self,
        seq: u32,
        envelope: Vec<u8>,
        countersignature: Option<(Statement, Vec<u8>)>,
        pen: &Pen,
        at: Moment,
    ) -> Result<(), DomainError> {
        let kind = self.kind_of(seq)?;
        self.mark_appended(seq, envelope)?;
        match kind {
            Kind::TermsOffered if matches!(self.status.state, State::Funding | State::AwaitingFunds) => {
                self.open(at)
            }
            Kind::WorkSubmitted => {
                let (statement, envelope) =
                    countersignature.ok_or(DomainError::Corrupt("a submission without its receipt"))?;
                self.received(&statement, envelope, pen, at)
            }
            Kind::Decision if self.status.state == State::Rejected => {
                self.rejected(at);
                Ok(())
            }
            Kind::Settlement => self.settled(at),
            Kind::TermsOffered | Kind::TermsAccepted | Kind::WorkReceived | Kind::Decision => Ok(()),
        }
    }

    /// A pending statement was refused for good. `Ok(false)`: it is one of ours that must not fail, a bug.
    pub(crate) fn statement_refused(
        &mut self,
        seq: u32,
        note: &str,
        at: Moment,
    ) -> Result<bool, DomainError> {
        let kind = self.kind_of(seq)?;
        match (kind, self.status.state) {
            (Kind::TermsOffered, State::Funding | State::AwaitingFunds) => self.refuse_funding(note, at)?,
            // Refunded already, and the terms that nobody ever saw stay unlogged.
            (Kind::TermsOffered, State::Refunding) => {
                self.statements.clear();
                self.settled(at)?;
            }
            (Kind::TermsAccepted, State::Claimed) => self.undo_claim(at)?,
            (Kind::WorkSubmitted, State::Submitted) => self.undo_submission(at)?,
            (_, _) => return Ok(false),
        }
        note.clone_into(&mut self.status.note);
        Ok(true)
    }

    /// The requester cancels. `Ok(false)`: it was cancelled before.
    pub(crate) fn cancel(&mut self, pen: &Pen, at: Moment) -> Result<bool, DomainError> {
        match (self.status.state, self.status.end) {
            (State::Funding | State::AwaitingFunds, _) => {
                self.abandon_funding("cancelled by the requester", at)?
            }
            (State::Open, _) => {
                self.withdraw(DecisionKind::Canceled, "cancelled by the requester", pen, at)?;
            }
            (State::Refunding, Some(End::Canceled)) | (State::Canceled, _) => return Ok(false),
            (state, _) => return Err(DomainError::State(state)),
        }
        Ok(true)
    }

    /// A deadline passed and nobody delivered.
    pub(crate) fn expire(&mut self, note: &str, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        self.withdraw(DecisionKind::Expired, note, pen, at)
    }

    /// The agent was paid.
    pub(crate) fn captured(
        &mut self,
        transfer: TransferId,
        pen: &Pen,
        at: Moment,
    ) -> Result<(), DomainError> {
        let payee = self.claim()?.account;
        let settlement = Settlement {
            fee_msat: self.offer.fee,
            payee_msat: self.offer.payee,
            payee: Some(payee),
            ..self.settlement(SettlementKind::Released, Some(transfer), at)
        };
        let statement = self.last_statement()?.successor(pen.platform(), settlement)?;
        self.state(&statement);
        Ok(())
    }

    /// The price is back with the requester. Without a transfer nothing was ever held, unless a hold invoice locked it: what
    /// it locks never is in the ledger. Where nothing was held, and where there are no terms, there is nothing to log.
    pub(crate) fn refunded(
        &mut self,
        transfer: Option<TransferId>,
        pen: &Pen,
        at: Moment,
    ) -> Result<(), DomainError> {
        let locked = self.offer.rail == Rail::HoldInvoice && self.status.held;
        if self.statements.is_empty() || (transfer.is_none() && !locked) {
            self.statements.retain(|entry| entry.standing == Standing::Appended);
            return self.settled(at);
        }
        let settlement = self.settlement(SettlementKind::Refunded, transfer, at);
        let statement = self.last_statement()?.successor(pen.platform(), settlement)?;
        self.state(&statement);
        Ok(())
    }

    /// A settlement that pays nobody.
    pub(super) fn settlement(
        &self,
        kind: SettlementKind,
        transfer: Option<TransferId>,
        at: Moment,
    ) -> Settlement {
        Settlement {
            escrow: self.offer.escrow,
            kind,
            rail: self.offer.rail,
            amount_msat: self.offer.price,
            fee_msat: Msat::ZERO,
            payee_msat: Msat::ZERO,
            refund_msat: None,
            payer: self.offer.requester,
            payee: None,
            transfers: transfer.into_iter().collect(),
            settled_time: at.wall,
        }
    }

    fn withdraw(&mut self, kind: DecisionKind, note: &str, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        self.status.end = Some(match kind {
            DecisionKind::Canceled => End::Canceled,
            DecisionKind::Accepted
            | DecisionKind::Rejected
            | DecisionKind::DeadlinePassed
            | DecisionKind::CriteriaMet
            | DecisionKind::AcceptedInPart
            | DecisionKind::RevisionRequested
            | DecisionKind::DeadlineExtended
            | DecisionKind::Disputed
            | DecisionKind::Verdict
            | DecisionKind::Expired => End::Expired,
        });
        // A refund before any claim needs no decision: 1 → 6.
        if self.statements.last().is_some_and(|entry| entry.kind != Kind::TermsOffered) {
            let author = if kind == DecisionKind::Canceled { pen.for_requester() } else { pen.platform() };
            let decision = Decision::of(kind, at.wall);
            let statement = self.last_statement()?.successor(author, decision)?;
            self.state(&statement);
        }
        note.clone_into(&mut self.status.note);
        self.go(State::Refunding, at)
    }

    pub(super) fn settled(&mut self, at: Moment) -> Result<(), DomainError> {
        match (self.status.state, self.status.end) {
            (State::Releasing, _) => self.go(State::Completed, at),
            (State::Refunding, Some(end)) => self.go(end.state(), at),
            (_, _) => Err(DomainError::Corrupt("a settlement that nothing led to")),
        }
    }

    fn kind_of(&self, seq: u32) -> Result<Kind, DomainError> {
        let entry = self.statements.iter().find(|entry| entry.seq == seq);
        entry.map(|entry| entry.kind).ok_or(DomainError::Corrupt("no such statement"))
    }
}

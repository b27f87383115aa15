//! Claims: taken with a signed acceptance, held under a lease, given back.

use std::time::Duration;

use poa_common::{AccountId, AgentId};
use proof_of_agent::{Chain, Statement, TermsAccepted};
use uuid::Uuid;

use super::error::DomainError;
use super::papers::problem_of;
use super::saga::{Claim, Paper, Saga};
use super::state::State;
use super::time::Moment;

/// The shortest lease that an agent may ask for, where the offer's is not shorter still: each claim that lapses takes a
/// place in the chain, and a chain has only so many.
pub(crate) const MIN_LEASE: Duration = Duration::from_secs(10);

/// An agent's signed TermsAccepted, its signature verified.
#[derive(Clone, Debug)]
pub(crate) struct SignedAcceptance {
    /// What was signed.
    pub(crate) statement: Statement,
    /// The envelope as it came.
    pub(crate) envelope: Vec<u8>,
}

/// Who claims, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Acceptance {
    pub(crate) agent: AgentId,
    pub(crate) account: AccountId,
    pub(crate) request: Uuid,
    pub(crate) signed: SignedAcceptance,
}

// === impl Acceptance ===

impl Acceptance {
    /// What the statement says, held against what the call says.
    fn body(&self) -> Result<&TermsAccepted, DomainError> {
        let body = self.signed.statement.body().as_terms_accepted();
        let body = body.ok_or_else(|| DomainError::Signature("kind".to_owned()))?;
        for (holds, field) in [(body.agent == self.agent, "agent"), (body.account == self.account, "account")]
        {
            if !holds {
                return Err(DomainError::Signature(field.to_owned()));
            }
        }
        Ok(body)
    }
}

// === impl Saga ===

impl Saga {
    /// Whether an acceptance can claim this task now. `chain` holds its terms alone: a claim follows the offer,
    /// whatever came in between. `reserved` is the agent for which the task is set aside.
    pub(crate) fn claim_for(
        &mut self,
        acceptance: &Acceptance,
        chain: &Chain,
        reserved: Option<AgentId>,
        at: Moment,
    ) -> Result<(), DomainError> {
        let state = self.status.state;
        match state {
            State::Open if reserved.is_none_or(|agent| agent == acceptance.agent) => {}
            State::Open | State::Claimed => return Err(DomainError::ClaimNotHeld(state)),
            State::Funding
            | State::AwaitingFunds
            | State::Submitted
            | State::Rejected
            | State::Releasing
            | State::Completed
            | State::Refunding
            | State::Canceled
            | State::Expired => return Err(DomainError::State(state)),
        }
        if self.status.open_due.is_some_and(|due| due <= at.mesh) || self.is_running_out() {
            return Err(DomainError::State(State::Expired));
        }
        let body = acceptance.body()?;
        let statement = &acceptance.signed.statement;
        chain.check(statement).map_err(|error| DomainError::Chain(problem_of(&error)))?;
        let number = self.status.claims.saturating_add(1);
        if body.claim_number != number {
            return Err(DomainError::Chain("claimNumber".to_owned()));
        }
        let lease = Duration::from_secs(body.lease_seconds.into()).min(self.offer.lease);
        if lease < MIN_LEASE.min(self.offer.lease) {
            return Err(DomainError::Chain("leaseSeconds".to_owned()));
        }
        let work_due = at.mesh.after(self.offer.work);
        self.status.claims = number;
        self.status.claim = Some(Claim {
            agent: acceptance.agent,
            account: acceptance.account,
            lease,
            lease_due: at.mesh.after(lease).min(work_due),
            work_due,
            acceptance: statement.digest(),
        });
        let paper = Paper::Envelope(acceptance.signed.envelope.clone());
        self.push(statement, paper, Some(acceptance.account), Some(acceptance.request));
        self.go(State::Claimed, at)
    }

    /// The acceptance was refused: the claim never was. Its number stays used, because a copy of the call that asked to
    /// log it may arrive late: the next claim must be above whatever the log then holds.
    pub(super) fn undo_claim(&mut self, at: Moment) -> Result<(), DomainError> {
        self.refused.extend(self.statements.pop());
        self.status.claim = None;
        self.go(State::Open, at)
    }

    /// Sets the lease anew, within the working time.
    pub(crate) fn renew(&mut self, at: Moment) -> Result<(), DomainError> {
        self.working(at)?;
        if let Some(claim) = &mut self.status.claim {
            claim.lease_due = at.mesh.after(claim.lease).min(claim.work_due);
        }
        self.touch(at);
        Ok(())
    }

    /// The agent gives the claim back.
    pub(crate) fn release(&mut self, reason: &str, at: Moment) -> Result<(), DomainError> {
        self.working(at)?;
        if self.pending().is_some() {
            return Err(DomainError::Pending);
        }
        self.reopen(reason, at)
    }

    /// The lease or the working time ended.
    pub(crate) fn lapse(&mut self, at: Moment) -> Result<(), DomainError> {
        let out_of_time = self.claim()?.work_due <= at.mesh;
        let note = if out_of_time { "the working time ended" } else { "the lease lapsed" };
        self.reopen(note, at)
    }

    /// Whether the claim is held now.
    pub(super) fn working(&self, at: Moment) -> Result<(), DomainError> {
        let held = self.status.state == State::Claimed
            && self.status.claim.as_ref().is_some_and(|claim| claim.lease_due.min(claim.work_due) > at.mesh);
        if held { Ok(()) } else { Err(DomainError::ClaimNotHeld(self.status.state)) }
    }

    fn reopen(&mut self, note: &str, at: Moment) -> Result<(), DomainError> {
        self.status.claim = None;
        note.clone_into(&mut self.status.note);
        self.go(State::Open, at)
    }
}

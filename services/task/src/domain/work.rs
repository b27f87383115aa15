//! Results: submitted with a signed receipt, accepted, rejected, or accepted by silence.

use poa_common::AccountId;
use proof_of_agent::statement::Kind;
use proof_of_agent::{Chain, Decision, DecisionKind, Digest, ReleasePolicy, Statement, WorkSubmitted};
use uuid::Uuid;

use super::content::Body;
use super::criteria;
use super::error::DomainError;
use super::papers::{Pen, problem_of};
use super::saga::{Entry, Paper, Saga, Standing};
use super::state::State;
use super::time::Moment;

/// Results that one task takes, so that its chain fits one message to escrow.
pub(crate) const MAX_SUBMISSIONS: u32 = 8;

/// A result with the agent's signed receipt, its signature verified.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) account: AccountId,
    pub(crate) request: Uuid,
    pub(crate) result: Body,
    /// What was signed.
    pub(crate) statement: Statement,
    /// The envelope as it came.
    pub(crate) envelope: Vec<u8>,
}

/// A submission whose very result met all criteria of a task's terms. Nothing else is ever taken: [`Submission::check`]
/// alone makes one.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    submission: Submission,
    /// The digest of the terms that it was held against.
    terms: Digest,
}

// === impl Submission ===

impl Submission {
    /// Holds the result against what was signed and against the criteria of the terms. Takes processor time: not for the
    /// thread of a runtime.
    pub(crate) fn check(self, terms: &Statement) -> Result<Checked, DomainError> {
        self.body()?;
        let offered = terms.body().as_terms_offered();
        let offered = offered.ok_or(DomainError::Corrupt("terms that are none"))?;
        criteria::check(&offered.criteria, offered.policy, &self.result).map_err(DomainError::Criterion)?;
        Ok(Checked { submission: self, terms: terms.digest() })
    }

    /// What the statement says, held against the result itself.
    fn body(&self) -> Result<&WorkSubmitted, DomainError> {
        let body = self.statement.body().as_work_submitted();
        let body = body.ok_or_else(|| DomainError::Signature("kind".to_owned()))?;
        let (said, given) = (&body.output, self.result.content());
        for (holds, field) in [
            (said.sha256 == given.sha256, "output.sha256"),
            (said.size == given.size, "output.size"),
            (said.media_type == given.media_type, "output.mediaType"),
        ] {
            if !holds {
                return Err(DomainError::Signature(field.to_owned()));
            }
        }
        Ok(body)
    }
}

// === impl Checked ===

impl Checked {
    /// What was checked.
    pub(crate) fn submission(&self) -> &Submission {
        &self.submission
    }
}

// === impl Saga ===

impl Saga {
    /// Whether the claimant may submit a result now.
    pub(crate) fn may_submit(&self, at: Moment) -> Result<(), DomainError> {
        match self.status.state {
            // The sats are on their way back: nobody could be paid.
            State::Claimed if self.is_running_out() => return Err(DomainError::State(State::Claimed)),
            State::Rejected if self.has_run_out() => return Err(DomainError::State(State::Rejected)),
            State::Claimed => self.working(at)?,
            // The time for another result begins when the rejection is logged.
            State::Rejected if self.pending().is_some() => return Err(DomainError::Pending),
            State::Rejected if self.status.resubmit_due.is_some_and(|due| due > at.mesh) => {}
            state => return Err(DomainError::ClaimNotHeld(state)),
        }
        if self.pending().is_some() {
            return Err(DomainError::Pending);
        }
        if self.status.submissions >= MAX_SUBMISSIONS {
            return Err(DomainError::State(self.status.state));
        }
        Ok(())
    }

    /// Takes a result that was checked against the terms of this task. `chain` is the task's own.
    pub(crate) fn submit(&mut self, checked: &Checked, chain: &Chain, at: Moment) -> Result<(), DomainError> {
        self.may_submit(at)?;
        if checked.terms != self.offer.terms {
            return Err(DomainError::Unchecked);
        }
        let submission = &checked.submission;
        chain.check(&submission.statement).map_err(|error| DomainError::Chain(problem_of(&error)))?;
        self.status.submissions = self.status.submissions.saturating_add(1);
        // The review begins when the receipt is logged: before, nobody could judge.
        self.status.review_due = None;
        self.status.note.clear();
        let paper = Paper::Envelope(submission.envelope.clone());
        self.push(&submission.statement, paper, Some(submission.account), Some(submission.request));
        self.go(State::Submitted, at)
    }

    /// The receipt was refused: nothing was submitted.
    pub(super) fn undo_submission(&mut self, at: Moment) -> Result<(), DomainError> {
        self.refused.extend(self.statements.pop());
        self.status.submissions = self.status.submissions.saturating_sub(1);
        self.status.review_due = None;
        let rejected = self.statements.last().is_some_and(|entry| entry.kind == Kind::Decision);
        self.go(if rejected { State::Rejected } else { State::Claimed }, at)
    }

    /// The platform countersigned the receipt. Under ON_ATTESTATION that is all it takes; else the review begins.
    pub(super) fn received(
        &mut self,
        statement: &Statement,
        envelope: Vec<u8>,
        pen: &Pen,
        at: Moment,
    ) -> Result<(), DomainError> {
        let seq = self.statements.last().map_or(1, |last| last.seq.saturating_add(1));
        self.statements.push(Entry {
            seq,
            kind: statement.kind(),
            digest: statement.digest(),
            standing: Standing::Appended,
            paper: Some(Paper::Envelope(envelope)),
            account: None,
            request: None,
        });
        match self.offer.policy {
            ReleasePolicy::OnAttestation => self.approve(DecisionKind::CriteriaMet, pen, at),
            ReleasePolicy::OnAcceptance => {
                self.status.review_due = Some(at.mesh.after(self.offer.review));
                self.touch(at);
                Ok(())
            }
        }
    }

    /// The requester takes the result. `Ok(false)`: it was taken before.
    pub(crate) fn accept(&mut self, pen: &Pen, at: Moment) -> Result<bool, DomainError> {
        match self.status.state {
            State::Submitted => {
                self.judgeable()?;
                self.approve(DecisionKind::Accepted, pen, at)?;
                Ok(true)
            }
            State::Releasing | State::Completed => Ok(false),
            state => Err(DomainError::State(state)),
        }
    }

    /// The requester refuses the result within the review: the agent may submit another. After the review his silence
    /// has accepted, even where nobody has written so yet.
    pub(crate) fn reject(
        &mut self,
        criterion: Option<u32>,
        reason: &str,
        pen: &Pen,
        at: Moment,
    ) -> Result<(), DomainError> {
        if self.status.state != State::Submitted {
            return Err(DomainError::State(self.status.state));
        }
        self.judgeable()?;
        if self.status.review_due.is_none_or(|due| due <= at.mesh) {
            return Err(DomainError::State(State::Releasing));
        }
        let decision = Decision {
            reason: Some(reason.to_owned()),
            failed_criterion: criterion,
            ..Decision::of(DecisionKind::Rejected, at.wall)
        };
        let statement = self.last_statement()?.successor(pen.for_requester(), decision)?;
        self.state(&statement);
        self.status.resubmit_due = None;
        reason.clone_into(&mut self.status.note);
        self.go(State::Rejected, at)
    }

    /// The rejection is in the log: the agent's time for another result begins.
    pub(super) fn rejected(&mut self, at: Moment) {
        self.status.resubmit_due = Some(at.mesh.after(self.offer.review));
        self.touch(at);
    }

    /// The result counts as accepted.
    pub(crate) fn approve(&mut self, kind: DecisionKind, pen: &Pen, at: Moment) -> Result<(), DomainError> {
        let author = if kind == DecisionKind::Accepted { pen.for_requester() } else { pen.platform() };
        let decision = Decision::of(kind, at.wall);
        let statement = self.last_statement()?.successor(author, decision)?;
        self.state(&statement);
        self.go(State::Releasing, at)
    }

    /// Only what needs the requester's word, and is in the log.
    fn judgeable(&self) -> Result<(), DomainError> {
        match self.offer.policy {
            ReleasePolicy::OnAttestation => Err(DomainError::State(self.status.state)),
            ReleasePolicy::OnAcceptance if self.pending().is_some() => Err(DomainError::Pending),
            ReleasePolicy::OnAcceptance => Ok(()),
        }
    }
}

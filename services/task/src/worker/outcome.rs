//! What a step came to, and what that makes of the task.

use poa_common::TransferId;
use poa_proto::attestation::v1::{AppendStatementResponse, Attestation};
use proof_of_agent::statement::Kind;
use proof_of_agent::{DecisionKind, Digest, Envelope, EnvelopeError, Rail, Statement};

use super::peers::{FEE_CHANGED, Refusal};
use crate::domain::{DomainError, Fate, Lock, Moment, Pen, Saga, State, Step};

/// What a step came to.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Held in the ledger, or locked under this invoice.
    Held(Option<Lock>),
    /// The invoice waits to be paid.
    Awaiting(Lock),
    /// The invoice was given back: unpaid, or with what was paid.
    Unpaid {
        paid: bool,
    },
    Appended {
        envelope: Vec<u8>,
        countersignature: Option<Box<(Statement, Vec<u8>)>>,
    },
    /// What was locked is in the ledger.
    Secured,
    Captured(TransferId),
    /// With the transfer, where the price was in the ledger.
    Refunded(Option<TransferId>),
    /// What was locked went back, although it was to be taken.
    Lost,
    /// Not yet: the same question again says more. Nothing went wrong.
    Pending,
    Refused(Refusal),
    /// A step that calls nobody.
    Due,
}

// === impl Outcome ===

impl Outcome {
    /// The name in metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Pending => "pending",
            Self::Held(_)
            | Self::Awaiting(_)
            | Self::Unpaid { .. }
            | Self::Appended { .. }
            | Self::Secured
            | Self::Captured(_)
            | Self::Refunded(_)
            | Self::Lost
            | Self::Due => "done",
        }
    }
}

/// What a refusal means to a step: where a hold invoice funds the task, some say how it stands.
pub(super) fn of_refusal(step: Step, saga: &Saga, refusal: Refusal) -> Outcome {
    if step == Step::HoldFunds && refusal.reason() == "FIELDS_INVALID" {
        tracing::warn!(
            task = %saga.offer.task,
            refusal = refusal.detail(),
            "escrow refused the terms, in which the fee alone may have changed"
        );
        return Outcome::Refused(refusal.called(FEE_CHANGED));
    }
    if saga.offer.rail != Rail::HoldInvoice {
        return Outcome::Refused(refusal);
    }
    let taken = saga.hold.as_ref().is_some_and(|hold| hold.fate == Fate::Secured);
    match (step, refusal.reason()) {
        (Step::Capture | Step::Secure | Step::Refund, "FUNDING_LOST") => Outcome::Lost,
        // It went back before we asked.
        (Step::Capture | Step::Secure, "ALREADY_REFUNDED") if !taken => Outcome::Lost,
        // It is being taken: only then it is known whether there is something to give back.
        (Step::Refund, "ESCROW_STATE") => Outcome::Pending,
        (_, _) => Outcome::Refused(refusal),
    }
}

/// Changes the task as the outcome has it. `Ok(false)`: refused where no refusal is possible.
pub(super) fn apply(
    saga: &mut Saga,
    step: Step,
    outcome: &Outcome,
    pen: &Pen,
    at: Moment,
) -> Result<bool, DomainError> {
    match (step, outcome) {
        (Step::HoldFunds, Outcome::Held(lock)) => saga.funded(lock.clone(), at),
        (Step::HoldFunds, Outcome::Awaiting(lock)) if saga.status.state == State::Funding => {
            saga.awaiting(lock.clone(), at)?;
        }
        (Step::HoldFunds, Outcome::Unpaid { paid: false }) => {
            saga.refuse_funding("the hold invoice was not paid in time", at)?;
        }
        (Step::HoldFunds, Outcome::Unpaid { paid: true }) => {
            saga.refuse_funding("what was paid could not be held, and was given back", at)?;
        }
        (Step::HoldFunds, Outcome::Refused(refusal)) => saga.refuse_funding(&refusal.note(), at)?,
        (Step::Append(seq), Outcome::Appended { envelope, countersignature }) => {
            saga.appended(seq, envelope.clone(), countersignature.as_deref().cloned(), pen, at)?;
        }
        (Step::Append(seq), Outcome::Refused(refusal)) => {
            return saga.statement_refused(seq, &refusal.note(), at);
        }
        (Step::Secure, Outcome::Secured) => saga.secured(),
        (Step::Capture, Outcome::Captured(transfer)) => saga.captured(*transfer, pen, at)?,
        (Step::Refund, Outcome::Refunded(transfer)) => saga.refunded(*transfer, pen, at)?,
        (Step::Secure | Step::Capture | Step::Refund, Outcome::Lost) => saga.lost(pen, at)?,
        (Step::AbandonFunding, _) => {
            saga.abandon_funding("the requester's token ended before the price was held", at)?;
        }
        (Step::LapseClaim, _) => saga.lapse(at)?,
        (Step::ExpireOffer, _) => saga.expire("nobody delivered in time", pen, at)?,
        (Step::Release, _) => saga.approve(DecisionKind::CriteriaMet, pen, at)?,
        (Step::AcceptBySilence, _) => saga.approve(DecisionKind::DeadlinePassed, pen, at)?,
        (Step::ExpireRejected, _) => saga.expire("no other result came in time", pen, at)?,
        (Step::GiveUp, _) => saga.give_up(pen, at)?,
        (Step::EndLost, _) => saga.end_lost(pen, at)?,
        (Step::HoldFunds | Step::Append(_) | Step::Secure | Step::Capture | Step::Refund, _) => {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What attestation says it logged must be what we asked it to. The digest says so: to verify the signature, too, is
/// escrow's and every reader's to do, and costs more than all else here.
pub(super) fn logged(answer: AppendStatementResponse, digest: Digest, kind: Kind) -> Result<Outcome, String> {
    let (logged, envelope) = read(answer.attestation)?;
    if logged.digest() != digest {
        return Err("attestation logged another statement".to_owned());
    }
    let countersignature = match kind {
        Kind::WorkSubmitted => {
            let (countersigned, envelope) = read(answer.countersignature)?;
            let statement = countersigned.open().map_err(|error| not_a_statement(&error))?;
            if statement.kind() != Kind::WorkReceived || statement.context().predecessor != Some(digest) {
                return Err("attestation countersigned another statement".to_owned());
            }
            Some(Box::new((statement, envelope)))
        }
        Kind::TermsOffered | Kind::TermsAccepted | Kind::WorkReceived | Kind::Decision | Kind::Settlement => {
            None
        }
    };
    Ok(Outcome::Appended { envelope, countersignature })
}

fn read(attestation: Option<Attestation>) -> Result<(Envelope, Vec<u8>), String> {
    let bytes = attestation.map(|attestation| attestation.envelope).ok_or("attestation answered nothing")?;
    let envelope = Envelope::from_json(&bytes).map_err(|error| not_a_statement(&error))?;
    Ok((envelope, bytes))
}

fn not_a_statement(error: &EnvelopeError) -> String {
    format!("attestation answered what is no statement: {error}")
}

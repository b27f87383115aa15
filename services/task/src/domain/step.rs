//! What the platform does next for a task.

use proof_of_agent::ReleasePolicy;
use proof_of_agent::statement::Kind;

use super::hold;
use super::saga::Saga;
use super::state::State;
use super::time::{MeshTime, Moment};

/// One step. Each is idempotent: carried out twice, by two drivers or after a crash, it has one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask escrow to hold the price.
    HoldFunds,
    /// Ask attestation to log the pending statement with this number.
    Append(u32),
    /// Ask escrow to pay.
    Capture,
    /// Ask escrow to give the price back, or to make sure that it never holds it.
    Refund,
    /// The payer's token ended before the price was held.
    AbandonFunding,
    /// The lease or the working time ended.
    LapseClaim,
    /// Nobody claimed the task in time.
    ExpireOffer,
    /// The receipt is logged, and the policy needs nobody's word.
    Release,
    /// The review passed in silence.
    AcceptBySilence,
    /// No other result came in time after a rejection.
    ExpireRejected,
    /// Ask escrow to take what the hold invoice locks, before it goes back.
    Secure,
    /// What the hold invoice locks goes back, and nobody has delivered.
    GiveUp,
    /// What the hold invoice had locked went back, and somebody has delivered.
    EndLost,
}

/// What is to be done for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Now.
    Step(Step),
    /// Nothing before this moment, unless somebody acts.
    Wait(MeshTime),
    /// Nothing, ever.
    End,
}

/// What is to be done for a task. In every state but REFUNDING a pending statement comes first: whether it was logged
/// must be known before anything else may follow it. A refund comes before its statements, so that nobody waits for his
/// sats because the log is down. What the lock of a hold invoice asks for comes before both.
pub(crate) fn next_step(saga: &Saga, now: Moment) -> Next {
    if let Some(step) = hold::forced(saga) {
        return Next::Step(step);
    }
    let status = &saga.status;
    let pending = saga.pending().map(|entry| Next::Step(Step::Append(entry.seq)));
    match status.state {
        State::Funding | State::AwaitingFunds if status.held => pending.unwrap_or(Next::End),
        // Asked again, escrow says whether it is paid.
        State::AwaitingFunds => Next::Step(Step::HoldFunds),
        State::Funding => match &status.token {
            Some(token) if token.expires > now.wall => Next::Step(Step::HoldFunds),
            Some(_) | None => Next::Step(Step::AbandonFunding),
        },
        State::Open => pending.unwrap_or_else(|| at(status.open_due, Step::ExpireOffer, now)),
        State::Claimed => pending.unwrap_or_else(|| {
            let due = status.claim.as_ref().map(|claim| claim.lease_due.min(claim.work_due));
            at(due, Step::LapseClaim, now)
        }),
        State::Submitted => pending.unwrap_or_else(|| match saga.offer.policy {
            ReleasePolicy::OnAttestation => Next::Step(Step::Release),
            ReleasePolicy::OnAcceptance => at(status.review_due, Step::AcceptBySilence, now),
        }),
        State::Rejected => pending.unwrap_or_else(|| at(status.resubmit_due, Step::ExpireRejected, now)),
        State::Releasing => pending.unwrap_or(Next::Step(Step::Capture)),
        State::Refunding if saga.has(Kind::Settlement) => pending.unwrap_or(Next::End),
        State::Refunding => Next::Step(Step::Refund),
        State::Completed | State::Canceled | State::Expired => Next::End,
    }
}

/// A step at its deadline. Without a deadline, which no waiting state is, there is nothing to wait for.
fn at(due: Option<MeshTime>, step: Step, now: Moment) -> Next {
    match due {
        Some(due) if due > now.mesh => Next::Wait(due),
        Some(_) | None => Next::Step(step),
    }
}

// === impl Step ===

impl Step {
    /// Whether it asks another service.
    pub(crate) const fn calls(self) -> bool {
        match self {
            Self::HoldFunds | Self::Append(_) | Self::Capture | Self::Refund | Self::Secure => true,
            Self::AbandonFunding
            | Self::LapseClaim
            | Self::ExpireOffer
            | Self::Release
            | Self::AcceptBySilence
            | Self::ExpireRejected
            | Self::GiveUp
            | Self::EndLost => false,
        }
    }

    /// The name in logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::HoldFunds => "hold_funds",
            Self::Append(_) => "append",
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::AbandonFunding => "abandon_funding",
            Self::LapseClaim => "lapse_claim",
            Self::ExpireOffer => "expire_offer",
            Self::Release => "release",
            Self::AcceptBySilence => "accept_by_silence",
            Self::ExpireRejected => "expire_rejected",
            Self::Secure => "secure",
            Self::GiveUp => "give_up",
            Self::EndLost => "end_lost",
        }
    }
}

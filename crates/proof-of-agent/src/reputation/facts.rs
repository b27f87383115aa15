//! What a statement means for an agent, as it follows from the chain alone.

use poa_common::{AgentId, Msat, Timestamp};

use super::record::{Verdict, bucket, day_of};
use crate::chain::{Chain, Position};
use crate::statement::{Body, Decision, DecisionKind, Settlement, SettlementKind, Statement};

/// What a statement means for an agent, without what the platform alone knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The agent.
    pub agent: AgentId,
    /// What became of its claim.
    pub verdict: Verdict,
    /// The [`bucket`] of what was paid, before the fee.
    pub amount_bucket: u8,
    /// The [`bucket`] of the fee.
    pub fee_bucket: u8,
    /// Whether the result was received within the time for the work, from the claim on, with what it was extended by.
    pub on_time: bool,
    /// Whether the requester's account is the agent's own.
    pub self_dealing: bool,
    /// The day of the statement, from 1970-01-01 on.
    pub day: u32,
}

// === impl Facts ===

impl Facts {
    /// What a statement means that is about to follow `chain`; none where it means nothing, as most statements do.
    pub fn of(chain: &Chain, statement: &Statement) -> Option<Self> {
        match statement.body() {
            // Another claim takes the place of one that nothing came of.
            Body::TermsAccepted(accepted) if chain.position() == Position::Accepted => {
                Self::unpaid(chain, Verdict::Lapsed, accepted.accepted_time)
            }
            Body::Decision(decision) => Self::of_decision(chain, decision),
            Body::Settlement(settlement) => Self::of_settlement(chain, settlement),
            Body::TermsOffered(_)
            | Body::TermsAccepted(_)
            | Body::WorkSubmitted(_)
            | Body::WorkReceived(_) => None,
        }
    }

    fn of_decision(chain: &Chain, decision: &Decision) -> Option<Self> {
        let verdict = match decision.kind {
            DecisionKind::Rejected => Verdict::Rejected,
            DecisionKind::Expired if chain.position() == Position::Accepted => Verdict::Lapsed,
            DecisionKind::Expired
            | DecisionKind::Accepted
            | DecisionKind::DeadlinePassed
            | DecisionKind::CriteriaMet
            | DecisionKind::AcceptedInPart
            | DecisionKind::RevisionRequested
            | DecisionKind::DeadlineExtended
            | DecisionKind::Disputed
            | DecisionKind::Verdict
            | DecisionKind::Canceled => return None,
        };
        Self::unpaid(chain, verdict, decision.decided_time)
    }

    fn of_settlement(chain: &Chain, settlement: &Settlement) -> Option<Self> {
        let judged = chain.position() == Position::Judged;
        let verdict = match (settlement.kind, chain.decided()?.kind) {
            (SettlementKind::Captured, _) => Verdict::PaidInPart,
            (SettlementKind::Released | SettlementKind::Split, _) if judged => Verdict::Awarded,
            (SettlementKind::Refunded, _) if judged => Verdict::Denied,
            (SettlementKind::Released, DecisionKind::Accepted) => Verdict::Accepted,
            (SettlementKind::Released, DecisionKind::DeadlinePassed) => Verdict::DeadlinePassed,
            (SettlementKind::Released, DecisionKind::CriteriaMet) => Verdict::CriteriaMet,
            (_, _) => return None,
        };
        let paid = settlement.fee_msat.checked_add(settlement.payee_msat).unwrap_or(Msat::ZERO);
        let facts = Self::unpaid(chain, verdict, settlement.settled_time)?;
        Some(Self { amount_bucket: bucket(paid), fee_bucket: bucket(settlement.fee_msat), ..facts })
    }

    fn unpaid(chain: &Chain, verdict: Verdict, at: Timestamp) -> Option<Self> {
        let (terms, accepted) = (chain.terms_offered()?, chain.terms_accepted()?);
        Some(Self {
            agent: accepted.agent,
            verdict,
            amount_bucket: 0,
            fee_bucket: 0,
            on_time: verdict != Verdict::Lapsed && is_on_time(chain),
            self_dealing: terms.requester == accepted.account,
            day: day_of(at),
        })
    }
}

/// Whether the latest result was received in time. The claim's time is by the agent's clock; the platform's own deadline bounds
/// what a wrong clock can win.
fn is_on_time(chain: &Chain) -> bool {
    let (Some(terms), Some(accepted), Some(received)) =
        (chain.terms_offered(), chain.terms_accepted(), chain.work_received())
    else {
        return false;
    };
    let allowed = u64::from(terms.work_seconds).saturating_add(chain.work_extension_seconds());
    let taken = (received.received_time - accepted.accepted_time).whole_seconds();
    i64::try_from(allowed).is_ok_and(|allowed| taken <= allowed)
}

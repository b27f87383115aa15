//! The checks of one statement against the chain before it.

use poa_common::Msat;

use super::{Chain, ChainError, MAX_BEFORE_CLAIM, MAX_BEFORE_RESUBMISSION, MAX_STATEMENTS, Position};
use crate::digest::Digest;
use crate::statement::{
    AgentKeyState, Body, Decision, DecisionKind, Kind, ReleasePolicy, Role, Settlement, SettlementKind,
    Statement, Subject, SubjectName, TermsAccepted, TermsOffered, WorkReceived, WorkSubmitted,
};

type Result<T = ()> = std::result::Result<T, ChainError>;

pub(super) fn check(chain: &Chain, statement: &Statement) -> Result {
    let room_for = match (statement.body(), chain.position) {
        (Body::TermsAccepted(_), _) => MAX_BEFORE_CLAIM,
        (Body::Decision(decision), _) if lets_work_go_on(decision.kind) => MAX_BEFORE_CLAIM,
        (Body::WorkSubmitted(_), _) if chain.submission().is_some() => MAX_BEFORE_RESUBMISSION,
        (_, _) => MAX_STATEMENTS,
    };
    if chain.len() >= room_for {
        return Err(ChainError::TooLong);
    }
    if !chain.position.may_be_followed_by(statement.body()) {
        return Err(out_of_order(chain, statement));
    }
    let context = statement.context();
    if context.role == Role::Platform && !chain.receipt_keys.contains(&context.signer) {
        return Err(ChainError::NotAReceiptKey(context.signer));
    }
    if context.role == Role::Arbiter && !chain.arbiter_keys.contains(&context.signer) {
        return Err(ChainError::NotAnArbiterKey(context.signer));
    }
    // The terms open the chain, and everything after is held against them.
    let (Some(offer), Some(terms)) = (chain.offer(), chain.terms_offered()) else {
        return Ok(());
    };
    same_task(offer, statement)?;
    match statement.body() {
        Body::TermsOffered(_) => Err(out_of_order(chain, statement)),
        Body::TermsAccepted(accepted) => {
            follows(offer.digest(), statement)?;
            terms_accepted(chain, terms, accepted)
        }
        Body::WorkSubmitted(work) => {
            follows_last(chain, statement)?;
            work_submitted(chain, statement, work)
        }
        Body::WorkReceived(received) => {
            follows_last(chain, statement)?;
            same_subject(chain, offer, statement)?;
            work_received(chain, statement, received)
        }
        Body::Decision(decision) => {
            follows_last(chain, statement)?;
            same_subject(chain, offer, statement)?;
            requester_key(offer, statement)?;
            agent_key(chain, statement)?;
            decided(chain, statement, terms, decision)
        }
        Body::Settlement(settlement) => {
            follows_last(chain, statement)?;
            same_subject(chain, offer, statement)?;
            settled(chain, statement, terms, settlement)
        }
    }
}

fn out_of_order(chain: &Chain, statement: &Statement) -> ChainError {
    ChainError::Order { position: chain.position, kind: statement.kind() }
}

fn ensure(holds: bool, statement: &Statement, field: &'static str) -> Result {
    if holds { Ok(()) } else { Err(ChainError::Mismatch { kind: statement.kind(), field }) }
}

fn same_task(offer: &Statement, statement: &Statement) -> Result {
    let (first, this) = (offer.context(), statement.context());
    ensure(first.task == this.task, statement, "task")?;
    ensure(first.network == this.network, statement, "network")?;
    ensure(first.origin == this.origin, statement, "logOrigin")
}

fn follows(expected: Digest, statement: &Statement) -> Result {
    if statement.context().predecessor == Some(expected) {
        Ok(())
    } else {
        Err(ChainError::Predecessor { kind: statement.kind(), expected })
    }
}

fn follows_last(chain: &Chain, statement: &Statement) -> Result {
    chain.last().map_or(Ok(()), |last| follows(last, statement))
}

/// What follows a submission is about its result; what comes without one is about the terms.
fn same_subject(chain: &Chain, offer: &Statement, statement: &Statement) -> Result {
    let expected = match chain.submission() {
        Some(submission) => submission.subject(),
        None => Subject { name: SubjectName::Terms, sha256: offer.digest() },
    };
    ensure(statement.subject() == expected, statement, "subject")
}

/// A requester who signs with a key of its own is the one who signed the offer.
fn requester_key(offer: &Statement, statement: &Statement) -> Result {
    let by_requester = statement.context().role == Role::Requester;
    let same =
        offer.context().role == Role::Requester && offer.context().signer == statement.context().signer;
    ensure(!by_requester || same, statement, "signer")
}

/// An agent that decides something is the one that holds the claim.
fn agent_key(chain: &Chain, statement: &Statement) -> Result {
    let by_agent = statement.context().role == Role::Agent;
    let claimant = chain.acceptance().map(|acceptance| acceptance.context().signer);
    ensure(!by_agent || claimant == Some(statement.context().signer), statement, "signer")
}

/// After which the task is not nearer to its end.
fn lets_work_go_on(kind: DecisionKind) -> bool {
    matches!(
        kind,
        DecisionKind::AcceptedInPart | DecisionKind::RevisionRequested | DecisionKind::DeadlineExtended
    )
}

fn terms_accepted(chain: &Chain, terms: &TermsOffered, accepted: &TermsAccepted) -> Result {
    let mismatch = |field| ChainError::Mismatch { kind: Kind::TermsAccepted, field };
    if terms.direct_agent.is_some_and(|agent| agent != accepted.agent) {
        return Err(mismatch("agent"));
    }
    // Who was paid for a part has the task: a receipt leaves earlier claims out, and must not leave out payments.
    if chain.captured().amount > Msat::ZERO {
        return Err(ChainError::Order { position: chain.position, kind: Kind::TermsAccepted });
    }
    if accepted.lease_seconds > terms.claim_seconds {
        return Err(mismatch("leaseSeconds"));
    }
    match chain.terms_accepted().map(|before| before.claim_number) {
        Some(before) if accepted.claim_number <= before => {
            Err(ChainError::ClaimNumber { before, found: accepted.claim_number })
        }
        Some(_) | None => Ok(()),
    }
}

/// Who claimed hands in, with the same key.
fn work_submitted(chain: &Chain, statement: &Statement, work: &WorkSubmitted) -> Result {
    let (Some(acceptance), Some(accepted)) = (chain.acceptance(), chain.terms_accepted()) else {
        return Err(out_of_order(chain, statement));
    };
    ensure(work.agent == accepted.agent, statement, "agent")?;
    ensure(work.claim_number == accepted.claim_number, statement, "claimNumber")?;
    ensure(work.acceptance == acceptance.digest(), statement, "acceptance")?;
    ensure(statement.context().signer == acceptance.context().signer, statement, "signer")
}

/// The platform names the agent, the account and the key that the agent's own statements name.
fn work_received(chain: &Chain, statement: &Statement, received: &WorkReceived) -> Result {
    let (Some(submission), Some(accepted)) = (chain.submission(), chain.terms_accepted()) else {
        return Err(out_of_order(chain, statement));
    };
    ensure(received.agent == accepted.agent, statement, "agent")?;
    ensure(received.account == accepted.account, statement, "account")?;
    ensure(received.agent_key == submission.context().signer, statement, "agentKey")
}

fn decided(chain: &Chain, statement: &Statement, terms: &TermsOffered, decision: &Decision) -> Result {
    let policy = match decision.kind {
        DecisionKind::CriteriaMet => Some(ReleasePolicy::OnAttestation),
        DecisionKind::Accepted
        | DecisionKind::DeadlinePassed
        | DecisionKind::AcceptedInPart
        | DecisionKind::RevisionRequested => Some(ReleasePolicy::OnAcceptance),
        DecisionKind::Rejected
        | DecisionKind::DeadlineExtended
        | DecisionKind::Disputed
        | DecisionKind::Verdict
        | DecisionKind::Expired
        | DecisionKind::Canceled => None,
    };
    if let Some(failed) = decision.failed_criterion {
        let place = usize::try_from(failed).ok();
        if place.is_none_or(|place| place >= terms.criteria.len()) {
            return Err(ChainError::NoSuchCriterion);
        }
    }
    if policy.is_some_and(|policy| policy != terms.policy) {
        return Err(ChainError::Policy);
    }
    if let Some(amount) = decision.amount_msat {
        let rest = chain.rest().ok_or_else(|| out_of_order(chain, statement))?;
        let is_part = amount < rest || (amount == rest && decision.kind == DecisionKind::Verdict);
        ensure(is_part, statement, "amountMsat")?;
    }
    if !takes_the_result(decision) {
        return Ok(());
    }
    match chain.work_received().map(|received| received.agent_key_state) {
        // Who rotated its key has still signed with the key that it claimed with.
        Some(AgentKeyState::Active | AgentKeyState::Superseded) => Ok(()),
        Some(AgentKeyState::Compromised) => Err(ChainError::AgentKeyCompromised),
        None => Err(out_of_order(chain, statement)),
    }
}

/// Whether somebody is paid for the result.
fn takes_the_result(decision: &Decision) -> bool {
    match decision.kind {
        DecisionKind::Accepted
        | DecisionKind::DeadlinePassed
        | DecisionKind::CriteriaMet
        | DecisionKind::AcceptedInPart => true,
        DecisionKind::Verdict => decision.amount_msat.is_some_and(|amount| amount > Msat::ZERO),
        DecisionKind::Rejected
        | DecisionKind::RevisionRequested
        | DecisionKind::DeadlineExtended
        | DecisionKind::Disputed
        | DecisionKind::Expired
        | DecisionKind::Canceled => false,
    }
}

/// The sats moved as the terms and the decision say, to whom the platform's receipt names, or to nobody.
fn settled(chain: &Chain, statement: &Statement, terms: &TermsOffered, settlement: &Settlement) -> Result {
    let rest = chain.rest().ok_or_else(|| out_of_order(chain, statement))?;
    ensure(settlement.escrow == terms.escrow, statement, "escrow")?;
    ensure(settlement.rail == terms.rail, statement, "rail")?;
    ensure(settlement.payer == terms.requester, statement, "payer")?;
    let awarded = chain.decided().and_then(|decision| decision.amount_msat);
    // What the settlement is about, and how much of it is paid, before the fee.
    let (amount, paid) = match settlement.kind {
        SettlementKind::Captured => (awarded.unwrap_or(Msat::ZERO), awarded.unwrap_or(Msat::ZERO)),
        SettlementKind::Split => (rest, awarded.unwrap_or(Msat::ZERO)),
        SettlementKind::Released => (rest, awarded.filter(|_| is_judged(chain)).unwrap_or(rest)),
        SettlementKind::Refunded => (rest, awarded.filter(|_| is_judged(chain)).unwrap_or(Msat::ZERO)),
        SettlementKind::FundingLost => (rest, Msat::ZERO),
    };
    ensure(settlement.amount_msat == amount, statement, "amountMsat")?;
    // What was captured is in the ledger, and all that was locked came there with it.
    if settlement.kind == SettlementKind::FundingLost && chain.captured().amount > Msat::ZERO {
        return Err(out_of_order(chain, statement));
    }
    let as_judged = match settlement.kind {
        SettlementKind::Released => paid == rest,
        SettlementKind::Refunded => paid == Msat::ZERO,
        SettlementKind::Split => paid > Msat::ZERO && paid < rest,
        SettlementKind::Captured | SettlementKind::FundingLost => true,
    };
    ensure(as_judged, statement, "kind")?;
    if !settlement.kind.pays() {
        // That fee, payee and the payee's part are absent, the statement was held to by itself.
        return Ok(());
    }
    let fee = chain.captured().next_fee(paid, terms.fee_bps).ok_or_else(|| out_of_order(chain, statement))?;
    let payee = chain.work_received().map(|received| received.account);
    ensure(settlement.fee_msat == fee, statement, "feeMsat")?;
    ensure(paid.checked_sub(fee) == Ok(settlement.payee_msat), statement, "payeeMsat")?;
    ensure(settlement.payee == payee, statement, "payee")
}

fn is_judged(chain: &Chain) -> bool {
    chain.position == Position::Judged
}

//! The rules that a statement can be held to by itself.

use poa_common::Msat;

use super::context::{Context, Role, Subject, SubjectName};
use super::{
    Body, Content, Criterion, Decision, DecisionKind, Kind, Rail, ReleasePolicy, Settlement, SettlementKind,
    StatementError, TermsOffered, WorkSubmitted,
};
use crate::json::MAX_INTEGER;

/// Bytes of a task's title.
pub const MAX_TITLE_BYTES: usize = 800;
/// Bytes of a capability's name.
pub const MAX_CAPABILITY_BYTES: usize = 255;
/// Criteria of one task.
pub const MAX_CRITERIA: usize = 20;
/// Bytes of an inline JSON schema.
pub const MAX_SCHEMA_BYTES: usize = 32 * 1024;
/// Bytes of a pattern: more would cost more to compile than it is worth.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Bytes of a text for people: a manual criterion, a reason, a source reference.
pub const MAX_TEXT_BYTES: usize = 4 * 1024;
/// Bytes of a media type: RFC 6838 allows 127 on each side of the slash.
pub const MAX_MEDIA_TYPE_BYTES: usize = 255;
/// Bytes of a log's origin.
pub const MAX_ORIGIN_BYTES: usize = 255;
/// Transfers of one settlement.
pub const MAX_TRANSFERS: usize = 16;
/// A fee of the whole price.
const MAX_FEE_BPS: u32 = 10_000;
/// Characters of a foreign text that an error repeats.
const MAX_EXCERPT: usize = 100;

type Result<T = ()> = std::result::Result<T, StatementError>;

/// The beginning of a text that a stranger wrote, for an error message.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT).collect()
}

pub(super) fn statement(subject: Subject, context: &Context, body: &Body) -> Result {
    check_origin(&context.origin)?;
    signer(context, body)?;
    let is_first = body.kind() == Kind::TermsOffered;
    ensure(context.predecessor.is_none() == is_first, "predecessor", "only the terms have none")?;
    subject_of(subject, context, body)?;
    match body {
        Body::TermsOffered(terms) => terms_offered(terms),
        Body::TermsAccepted(accepted) => {
            ensure(accepted.claim_number > 0, "claimNumber", "claims are counted from 1")?;
            ensure(accepted.lease_seconds > 0, "leaseSeconds", "expected more than 0")
        }
        Body::WorkSubmitted(work) => work_submitted(work),
        Body::WorkReceived(received) => {
            ensure(received.submission_log_index <= MAX_INTEGER, "submissionLogIndex", "above 2^53 - 1")
        }
        Body::Decision(made) => decision(made),
        Body::Settlement(made) => settlement(made),
    }
}

fn ensure(holds: bool, field: &'static str, problem: &'static str) -> Result {
    if holds { Ok(()) } else { Err(StatementError::Invalid { field, problem }) }
}

/// An origin is the first line of a checkpoint and the name of the key that signs it.
pub(crate) fn check_origin(origin: &str) -> Result {
    let sound = (1..=MAX_ORIGIN_BYTES).contains(&origin.len())
        && origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    ensure(sound, "logOrigin", "expected 1 to 255 printable ASCII characters without space or plus")
}

/// One role per kind, and who may speak for whom.
fn signer(context: &Context, body: &Body) -> Result {
    let (role, for_requester) = (context.role, context.on_behalf_of == Some(Role::Requester));
    let allowed = match body {
        Body::TermsOffered(_) => role == Role::Requester || (role == Role::Platform && for_requester),
        Body::TermsAccepted(_) | Body::WorkSubmitted(_) => role == Role::Agent,
        Body::WorkReceived(_) | Body::Settlement(_) => role == Role::Platform && !for_requester,
        Body::Decision(decision) => match decision.kind {
            DecisionKind::Accepted | DecisionKind::AcceptedInPart | DecisionKind::RevisionRequested => {
                role == Role::Requester || (role == Role::Platform && for_requester)
            }
            // The platform rejects by itself only what a criterion rejects.
            DecisionKind::Rejected if decision.failed_criterion.is_none() => {
                role == Role::Requester || (role == Role::Platform && for_requester)
            }
            DecisionKind::Rejected | DecisionKind::Canceled | DecisionKind::DeadlineExtended => {
                matches!(role, Role::Requester | Role::Platform)
            }
            DecisionKind::Disputed => {
                matches!(role, Role::Requester | Role::Agent) || (role == Role::Platform && for_requester)
            }
            DecisionKind::Verdict => role == Role::Arbiter,
            DecisionKind::DeadlinePassed | DecisionKind::CriteriaMet | DecisionKind::Expired => {
                role == Role::Platform && !for_requester
            }
        },
    };
    if !allowed {
        return Err(StatementError::WrongRole { kind: body.kind(), role });
    }
    let speaks_for = match context.on_behalf_of {
        None => true,
        Some(Role::Requester) => role == Role::Platform,
        Some(Role::Agent | Role::Platform | Role::Arbiter) => false,
    };
    ensure(speaks_for, "onBehalfOf", "only the platform signs for another, and only for the requester")
}

/// The chain checks a subject that a statement takes over from its predecessor.
fn subject_of(subject: Subject, context: &Context, body: &Body) -> Result {
    let fits = match body {
        Body::TermsOffered(terms) => {
            subject.name == SubjectName::Input && subject.sha256 == terms.input.sha256
        }
        Body::TermsAccepted(_) => {
            subject.name == SubjectName::Terms && Some(subject.sha256) == context.predecessor
        }
        Body::WorkSubmitted(work) => {
            subject.name == SubjectName::Result && subject.sha256 == work.output.sha256
        }
        Body::WorkReceived(_) => subject.name == SubjectName::Result,
        Body::Decision(_) | Body::Settlement(_) => subject.name != SubjectName::Input,
    };
    ensure(fits, "subject", "it is not what a statement of this kind is about")
}

fn terms_offered(terms: &TermsOffered) -> Result {
    text(&terms.title, "title", MAX_TITLE_BYTES)?;
    if let Some(capability) = &terms.capability {
        text(capability, "capability", MAX_CAPABILITY_BYTES)?;
    }
    content(&terms.input, "input")?;
    ensure(terms.criteria.len() <= MAX_CRITERIA, "criteria", "too many")?;
    terms.criteria.iter().try_for_each(criterion)?;
    ensure(terms.price_msat > Msat::ZERO, "priceMsat", "expected more than 0")?;
    ensure(terms.fee_bps <= MAX_FEE_BPS, "feeBps", "above 10,000")?;
    let fee = terms.price_msat.share_floor(terms.fee_bps);
    ensure(fee == Ok(terms.fee_msat), "feeMsat", "it is not the price's share, rounded down")?;
    let net = terms.price_msat.checked_sub(terms.fee_msat);
    ensure(net == Ok(terms.payee_net_msat), "payeeNetMsat", "it is not the price less the fee")?;
    ensure(terms.expires_in_seconds > 0, "expiresInSeconds", "expected more than 0")?;
    ensure(terms.claim_seconds > 0, "claimSeconds", "expected more than 0")?;
    ensure(terms.work_seconds > 0, "workSeconds", "expected more than 0")?;
    let checkable =
        terms.direct_agent.is_some() || terms.criteria.iter().any(Criterion::is_machine_checkable);
    ensure(
        terms.policy != ReleasePolicy::OnAttestation || checkable,
        "policy",
        "onAttestation needs a criterion that a machine checks, or a directly hired agent",
    )
}

fn criterion(criterion: &Criterion) -> Result {
    match criterion {
        Criterion::JsonSchema { schema } => text(schema, "criteria.jsonSchema.schema", MAX_SCHEMA_BYTES),
        Criterion::Digest { .. } => Ok(()),
        Criterion::Size { min_bytes, max_bytes } => ensure(
            *min_bytes <= max_bytes.unwrap_or(MAX_INTEGER) && max_bytes.is_none_or(|max| max <= MAX_INTEGER),
            "criteria.size",
            "expected minBytes <= maxBytes <= 2^53 - 1",
        ),
        Criterion::Regex { pattern } => text(pattern, "criteria.regex.pattern", MAX_PATTERN_BYTES),
        Criterion::Manual { text: words } => text(words, "criteria.manual.text", MAX_TEXT_BYTES),
    }
}

fn work_submitted(work: &WorkSubmitted) -> Result {
    ensure(work.claim_number > 0, "claimNumber", "claims are counted from 1")?;
    content(&work.output, "output")?;
    ensure(work.started_time <= work.finished_time, "finishedTime", "before startedTime")?;
    match &work.source_ref {
        Some(source) => text(source, "sourceRef", MAX_TEXT_BYTES),
        None => Ok(()),
    }
}

fn decision(decision: &Decision) -> Result {
    let kind = decision.kind;
    let says_why = matches!(
        kind,
        DecisionKind::Rejected
            | DecisionKind::RevisionRequested
            | DecisionKind::Disputed
            | DecisionKind::Verdict
            | DecisionKind::DeadlineExtended
    );
    ensure(!says_why || decision.reason.is_some(), "reason", "a decision of this kind says why")?;
    let rejected = kind == DecisionKind::Rejected;
    ensure(rejected || decision.failed_criterion.is_none(), "failedCriterion", "only a rejection has one")?;
    let awards = matches!(kind, DecisionKind::AcceptedInPart | DecisionKind::Verdict);
    ensure(
        awards == decision.amount_msat.is_some(),
        "amountMsat",
        "acceptedInPart and verdict alone have one",
    )?;
    let nothing = decision.amount_msat == Some(Msat::ZERO);
    ensure(kind == DecisionKind::Verdict || !nothing, "amountMsat", "expected more than 0")?;
    let extends = kind == DecisionKind::DeadlineExtended;
    ensure(extends == decision.deadline.is_some(), "deadline", "deadlineExtended alone has one")?;
    let longer = decision.extended_seconds.is_some_and(|seconds| seconds > 0);
    ensure(extends == longer, "extendedSeconds", "deadlineExtended alone has them, more than 0")?;
    ensure(
        extends || decision.extended_seconds.is_none(),
        "extendedSeconds",
        "deadlineExtended alone has them",
    )?;
    match &decision.reason {
        Some(reason) => text(reason, "reason", MAX_TEXT_BYTES),
        None => Ok(()),
    }
}

fn settlement(settlement: &Settlement) -> Result {
    ensure(settlement.amount_msat > Msat::ZERO, "amountMsat", "expected more than 0")?;
    ensure(settlement.transfers.len() <= MAX_TRANSFERS, "transfers", "too many")?;
    let splits = settlement.kind == SettlementKind::Split;
    let given_back = settlement.refund_msat.is_some_and(|refund| refund > Msat::ZERO);
    ensure(splits == given_back, "refundMsat", "a split alone has one, more than 0")?;
    ensure(splits || settlement.refund_msat.is_none(), "refundMsat", "a split alone has one")?;
    match settlement.kind {
        SettlementKind::Captured | SettlementKind::Released | SettlementKind::Split => {
            ensure(!settlement.transfers.is_empty(), "transfers", "a payment has one")?;
            ensure(settlement.payee.is_some(), "payee", "a payment has one")?;
            let refund = settlement.refund_msat.unwrap_or(Msat::ZERO);
            let paid = settlement.fee_msat.checked_add(settlement.payee_msat);
            ensure(paid != Ok(Msat::ZERO), "payeeMsat", "a payment pays something")?;
            let sum = paid.and_then(|paid| paid.checked_add(refund));
            ensure(sum == Ok(settlement.amount_msat), "amountMsat", "it is not the sum of its parts")
        }
        SettlementKind::Refunded => {
            // What a hold invoice had locked may go back without ever having been in the ledger.
            let moved = !settlement.transfers.is_empty() || settlement.rail == Rail::HoldInvoice;
            ensure(moved, "transfers", "a refund to the balance has one")?;
            paid_nobody(settlement)
        }
        SettlementKind::FundingLost => {
            ensure(
                settlement.rail == Rail::HoldInvoice,
                "kind",
                "only what a hold invoice locks can be lost",
            )?;
            ensure(settlement.transfers.is_empty(), "transfers", "what was lost moved in no ledger")?;
            paid_nobody(settlement)
        }
    }
}

fn paid_nobody(settlement: &Settlement) -> Result {
    ensure(settlement.payee.is_none(), "payee", "only a payment has one")?;
    ensure(settlement.fee_msat == Msat::ZERO, "feeMsat", "only a payment costs something")?;
    ensure(settlement.payee_msat == Msat::ZERO, "payeeMsat", "only a payment pays somebody")
}

fn content(content: &Content, field: &'static str) -> Result {
    ensure(content.size <= MAX_INTEGER, field, "the size is above 2^53 - 1")?;
    let graphic = content.media_type.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let short = (1..=MAX_MEDIA_TYPE_BYTES).contains(&content.media_type.len());
    ensure(graphic && short, field, "the media type is not 1 to 255 printable ASCII characters")
}

fn text(text: &str, field: &'static str, max_bytes: usize) -> Result {
    ensure(!text.is_empty(), field, "empty")?;
    ensure(text.len() <= max_bytes, field, "too long")
}

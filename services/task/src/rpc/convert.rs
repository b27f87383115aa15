//! From domain types to the contract's messages.

use poa_common::{AccountId, Timestamp};
use poa_proto::task::v1 as proto;
use poa_proto::task::v1::waiting::Actor;
use proof_of_agent::{Criterion, Rail, ReleasePolicy};

use crate::domain::{Body, Claim, MeshTime, Moment, Place, State, Status, statement_of_payload};
use crate::error::Error;
use crate::store::{OpenRow, Summary, View};

/// A task as its reader sees it; `with_terms` where not in a list.
pub(super) fn task(
    view: &View,
    now: Moment,
    with_terms: bool,
    reader: AccountId,
) -> Result<proto::Task, Error> {
    Ok(proto::Task {
        criteria: criteria(&view.terms)?,
        terms: if with_terms { view.terms.clone() } else { Vec::new() },
        input: view.input.body.as_ref().map(content),
        result: view.result.as_ref().and_then(|result| result.body.as_ref()).map(content),
        funding_invoice: funding_invoice(view, reader),
        ..outline(view, now)
    })
}

/// A task without bodies, criteria, terms and invoice.
pub(super) fn outline(view: &View, now: Moment) -> proto::Task {
    let status = &view.status;
    proto::Task {
        task_id: view.task.to_string(),
        requester_id: view.requester.to_string(),
        title: view.title.clone(),
        capability: view.capability.clone(),
        state: i32::from(status.state.number()),
        price_msat: view.price.get(),
        fee_msat: view.fee.get(),
        payee_msat: view.payee.get(),
        release_policy: policy(view.policy).into(),
        criteria: Vec::new(),
        direct_agent_id: view.direct_agent.map(|agent| agent.to_string()).unwrap_or_default(),
        escrow_id: view.escrow.to_string(),
        claim: status.claim.as_ref().map(|held| claim(held, status.claims, now)),
        waiting: waiting(view, now),
        input_summary: Some(summary(&view.input)),
        result_summary: view.result.as_ref().map(summary),
        input: None,
        result: None,
        terms: Vec::new(),
        note: status.note.clone(),
        create_time: Some(timestamp(view.created)),
        update_time: Some(timestamp(status.updated)),
        etag: etag(status),
        funding: funding(view.rail).into(),
        funding_invoice: None,
    }
}

/// The hold invoice, which the requester alone may see: whoever has it can pay it.
pub(super) fn funding_invoice(view: &View, reader: AccountId) -> Option<proto::FundingInvoice> {
    let hold = view.hold.as_ref().filter(|_| view.requester == reader)?;
    let height = |height: u32| i32::try_from(height).unwrap_or(i32::MAX);
    Some(proto::FundingInvoice {
        invoice: hold.lock.invoice.0.clone(),
        expire_time: Some(timestamp(hold.lock.expires)),
        paid_msat: hold.lock.paid.get(),
        expiry_height: height(hold.lock.expiry_height),
        guard_height: height(hold.lock.guard_height),
    })
}

fn funding(rail: Rail) -> proto::Funding {
    match rail {
        Rail::Balance => proto::Funding::Balance,
        Rail::HoldInvoice => proto::Funding::HoldInvoice,
    }
}

/// An open task.
pub(crate) fn open_task(row: &OpenRow, now: Moment) -> Result<proto::OpenTask, Error> {
    let terms = statement_of_payload(&row.terms)?;
    let policy_of_terms = terms.body().as_terms_offered().map(|terms| terms.policy);
    let next_claim = i32::try_from(row.claims).unwrap_or(i32::MAX).saturating_add(1);
    Ok(proto::OpenTask {
        task_id: row.task.to_string(),
        title: row.title.clone(),
        capability: row.capability.clone(),
        price_msat: row.price.get(),
        payee_msat: row.payee.get(),
        release_policy: policy_of_terms.map(policy).unwrap_or_default().into(),
        criteria: criteria(&row.terms)?,
        direct_agent_id: row.direct_agent.map(|agent| agent.to_string()).unwrap_or_default(),
        input_summary: Some(proto::ContentSummary {
            media_type: row.input_media_type.clone(),
            sha256: row.input_sha256.to_vec(),
            size_bytes: i64::try_from(row.input_size).unwrap_or(i64::MAX),
        }),
        terms: row.terms.clone(),
        next_claim_number: next_claim,
        expire_time: row.open_due.map(|due| timestamp(now.wall_of(due))),
    })
}

/// A moment of the mesh clock as people read it.
pub(super) fn estimate(due: MeshTime, now: Moment) -> prost_types::Timestamp {
    timestamp(now.wall_of(due))
}

/// What changes with every change of a task.
pub(super) fn etag(status: &Status) -> String {
    format!("{:x}", status.version)
}

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).unwrap_or(0),
    }
}

fn policy(policy: ReleasePolicy) -> proto::ReleasePolicy {
    match policy {
        ReleasePolicy::OnAttestation => proto::ReleasePolicy::OnAttestation,
        ReleasePolicy::OnAcceptance => proto::ReleasePolicy::OnAcceptance,
    }
}

fn claim(claim: &Claim, number: u32, now: Moment) -> proto::Claim {
    proto::Claim {
        agent_id: claim.agent.to_string(),
        account_id: claim.account.to_string(),
        claim_number: i32::try_from(number).unwrap_or(i32::MAX),
        lease_expire_time: Some(estimate(claim.lease_due, now)),
        work_expire_time: Some(estimate(claim.work_due, now)),
        acceptance_digest: claim.acceptance.to_vec(),
    }
}

/// The criteria, from the terms themselves: what is shown is what was signed.
fn criteria(terms: &[u8]) -> Result<Vec<proto::Criterion>, Error> {
    let terms = statement_of_payload(terms)?;
    let offered = terms.body().as_terms_offered();
    let criteria = offered.map(|terms| terms.criteria.as_slice()).unwrap_or_default();
    Ok(criteria.iter().map(criterion).collect())
}

fn criterion(criterion: &Criterion) -> proto::Criterion {
    use proto::criterion::Check;
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let check = match criterion {
        Criterion::JsonSchema { schema } => Check::JsonSchema(schema.clone()),
        Criterion::Digest { sha256 } => Check::Sha256(sha256.to_vec()),
        Criterion::Size { min_bytes, max_bytes } => Check::Size(proto::SizeRange {
            min_bytes: bytes(*min_bytes),
            max_bytes: max_bytes.map_or(0, bytes),
        }),
        Criterion::Regex { pattern } => Check::Pattern(pattern.clone()),
        Criterion::Manual { text } => Check::Manual(text.clone()),
    };
    proto::Criterion { check: Some(check) }
}

fn summary(summary: &Summary) -> proto::ContentSummary {
    proto::ContentSummary {
        media_type: summary.media_type.clone(),
        sha256: summary.sha256.to_vec(),
        size_bytes: i64::try_from(summary.size).unwrap_or(i64::MAX),
    }
}

fn content(body: &Body) -> proto::Content {
    let place = match &body.place {
        Place::Inline(bytes) => proto::content::Body::Inline(bytes.clone()),
        Place::Remote { uri, sha256, size } => proto::content::Body::Remote(proto::RemoteContent {
            uri: uri.clone(),
            sha256: sha256.to_vec(),
            size_bytes: i64::try_from(*size).unwrap_or(i64::MAX),
        }),
    };
    proto::Content { media_type: body.media_type.clone(), body: Some(place) }
}

/// Who must act next, how, and by when.
fn waiting(view: &View, now: Moment) -> Option<proto::Waiting> {
    let status = &view.status;
    let says = |actor: Actor, action: &str, due: Option<MeshTime>| {
        Some(proto::Waiting {
            actor: actor.into(),
            action: action.to_owned(),
            deadline: due.map(|due| estimate(due, now)),
        })
    };
    match status.state {
        State::Funding => says(Actor::Platform, "hold the price", None),
        State::AwaitingFunds if status.held => says(Actor::Platform, "log the terms", None),
        State::AwaitingFunds => Some(proto::Waiting {
            actor: Actor::Requester.into(),
            action: "pay the hold invoice".to_owned(),
            // The invoice's own end, by the wall clock of its node.
            deadline: view.hold.as_ref().map(|hold| timestamp(hold.lock.expires)),
        }),
        State::Open => says(Actor::Agent, "claim the task", status.open_due),
        State::Claimed => {
            says(Actor::Agent, "submit the result", status.claim.as_ref().map(|claim| claim.work_due))
        }
        State::Submitted if view.pending || view.policy == ReleasePolicy::OnAttestation => {
            says(Actor::Platform, "log the receipt", None)
        }
        State::Submitted => says(Actor::Requester, "accept or reject the result", status.review_due),
        State::Rejected if view.pending => says(Actor::Platform, "log the rejection", None),
        State::Rejected => says(Actor::Agent, "submit another result", status.resubmit_due),
        State::Releasing => says(Actor::Platform, "pay the agent", None),
        State::Refunding => says(Actor::Platform, "give the price back", None),
        State::Completed | State::Canceled | State::Expired => None,
    }
}

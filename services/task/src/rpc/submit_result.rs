//! SubmitResult.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::{TaskId, Violations};
use poa_proto::task::v1::{SubmitResultRequest, SubmitResultResponse};
use poa_storage::Tx;
use poa_storage::idempotency::{self, Keep};
use proof_of_agent::{Chain, Criterion, ReleasePolicy};

use super::claim_task::signed;
use super::create_task::off_thread;
use super::{Recorded, after, not_claimant, parse, recorded};
use crate::domain::{Body, Moment, Saga, Submission, chain_of, criteria, statement_of_payload};
use crate::error::Error;
use crate::methods::SUBMIT_RESULT;
use crate::service::{Service, change};
use crate::store::{self, Bodies};

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: SubmitResultRequest,
) -> Result<SubmitResultResponse, Error> {
    let recorded = recorded(service, &principal, SUBMIT_RESULT, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let mut found = Violations::default();
    let result = parse::content(&mut found, "result", request.result);
    parse::refuse(found)?;
    let result = result.ok_or_else(|| Error::internal("a violation was not noted"))?;
    let statement = signed("submission", &request.submission)?;
    let submission = Submission {
        account: principal.account_id,
        request: recorded.key.request_id,
        result,
        statement,
        envelope: request.submission,
    };
    let before = idempotency::find(&service.db, recorded.key).await?;
    let submission =
        if before.is_none() { check(service, task, &principal, submission).await? } else { submission };
    let at = service.now();
    service
        .db
        .transact_idempotent(
            (Arc::clone(service), principal, submission),
            move |(service, principal, given), tx| {
                Box::pin(submit(service, tx, task, principal, given, recorded, at))
            },
        )
        .await?;
    if let Some(refusal) = service.drive(task).await {
        return Err(refusal.into_error());
    }
    Ok(SubmitResultResponse { task: Some(after(service, task, Bodies::None).await?) })
}

/// Checks the criteria before anything is locked: they may take a processor for a while. Criteria are fixed with the
/// terms, so that nothing can change in between. What is not the caller's to submit is refused by the transaction.
async fn check(
    service: &Service,
    task: TaskId,
    principal: &Principal,
    submission: Submission,
) -> Result<Submission, Error> {
    let view = store::view(service.db.read(), task, Bodies::None).await?;
    let view = view.ok_or(Error::NotFound { resource: "task" })?;
    let claimant = view
        .status
        .claim
        .as_ref()
        .is_some_and(|claim| claim.account == principal.account_id && principal.may_act_as(claim.agent));
    if !claimant {
        return Ok(submission);
    }
    submission.body()?;
    let terms = statement_of_payload(&view.terms)?;
    let offered = terms.body().as_terms_offered();
    let criteria = offered.map(|terms| terms.criteria.clone()).unwrap_or_default();
    let job = Check { criteria, policy: view.policy, submission };
    let (job, outcome) = off_thread(service, job, Check::run).await?;
    match outcome {
        Ok(()) => Ok(job.submission),
        Err(failed) => Err(Error::CriterionFailed { criterion: failed.place, why: failed.why }),
    }
}

/// A result to be checked.
struct Check {
    criteria: Vec<Criterion>,
    policy: ReleasePolicy,
    submission: Submission,
}

// === impl Check ===

impl Check {
    fn run(&self) -> Result<(), criteria::Failed> {
        let result: &Body = &self.submission.result;
        criteria::check(&self.criteria, self.policy, result)
    }
}

async fn submit(
    service: &Service,
    tx: &mut Tx,
    task: TaskId,
    principal: &Principal,
    submission: &Submission,
    recorded: Recorded,
    at: Moment,
) -> Result<(), Error> {
    if recorded.begin_for_task(tx).await?.is_some() {
        return Ok(());
    }
    let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
    let account = principal.account_id;
    if !saga.is_claimed_by(account, |agent| principal.may_act_as(agent)) {
        return Err(not_claimant(tx, &saga, account).await?);
    }
    // The same receipt under another request: it was submitted.
    if !saga.holds(submission.statement.digest()) {
        saga.may_submit(at)?;
        let chain = chain(service, tx, &saga).await?;
        change(service, tx, &saga, at, |saga| saga.submit(submission, &chain, at)).await?;
        let number = saga.status.submissions.saturating_add(1);
        store::insert_result(tx, task, number, &submission.result, at.wall).await?;
    }
    recorded.end_for_task(tx, task, Keep::SevenDays).await
}

async fn chain(service: &Service, tx: &mut Tx, saga: &Saga) -> Result<Chain, Error> {
    let papers = store::papers(tx.conn(), saga.offer.task).await?;
    Ok(chain_of(&papers, service.trust.receipt_keys())?)
}

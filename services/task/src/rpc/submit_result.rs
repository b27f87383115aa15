//! SubmitResult.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::{TaskId, Violations};
use poa_proto::task::v1::{SubmitResultRequest, SubmitResultResponse};
use poa_storage::Tx;
use poa_storage::idempotency::{self, Keep};
use proof_of_agent::{Chain, Digest};

use super::claim_task::signed;
use super::create_task::off_thread;
use super::{Recorded, after, not_claimant, parse, recorded};
use crate::domain::{Checked, DomainError, Moment, Saga, Submission, chain_of, statement_of_payload};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::methods::SUBMIT_RESULT;
use crate::service::{Service, change};
use crate::store::{self, Bodies};

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: SubmitResultRequest,
) -> Result<SubmitResultResponse, Error> {
    let account = principal.account_id;
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
    // What was carried out before is answered as it is then; the transaction finds out whether it was.
    let before = idempotency::find(&service.db, recorded.key).await?;
    let attempt = if before.is_none() {
        check(service, task, &principal, submission).await?
    } else {
        Attempt::Unchecked(submission)
    };
    let at = service.now();
    let written = service
        .db
        .transact_idempotent(
            (Arc::clone(service), principal, attempt),
            move |(service, principal, attempt), tx| {
                Box::pin(submit(service, tx, task, principal, attempt, recorded, at))
            },
        )
        .await?;
    committed(Failpoint::SubmitCommitted).await?;
    if let Some(refusal) = service.drive(task, written).await {
        return Err(refusal.into_error());
    }
    Ok(SubmitResultResponse { task: Some(after(service, task, Bodies::None, account).await?) })
}

/// Checks the criteria before anything is locked: they may take a processor for a while. They are fixed with the terms,
/// so that the check counts whatever happens in between. What does not seem to be the caller's to submit is not worth a
/// check: the transaction refuses it, for good or to be sent again.
async fn check(
    service: &Service,
    task: TaskId,
    principal: &Principal,
    submission: Submission,
) -> Result<Attempt, Error> {
    let view = store::view(service.db.read(), task, Bodies::None).await?;
    let view = view.ok_or(Error::NotFound { resource: "task" })?;
    let claimant = view
        .status
        .claim
        .as_ref()
        .is_some_and(|claim| claim.account == principal.account_id && principal.may_act_as(claim.agent));
    if !claimant {
        return Ok(Attempt::Unchecked(submission));
    }
    let terms = statement_of_payload(&view.terms)?;
    let checked = off_thread(service, move || submission.check(&terms)).await??;
    Ok(Attempt::Checked(checked))
}

/// What a caller submits.
enum Attempt {
    /// Its result met the criteria.
    Checked(Checked),
    /// Only to be told what became of it, or why it is refused: never to be taken.
    Unchecked(Submission),
}

// === impl Attempt ===

impl Attempt {
    fn digest(&self) -> Digest {
        match self {
            Self::Checked(checked) => checked.submission().statement.digest(),
            Self::Unchecked(submission) => submission.statement.digest(),
        }
    }
}

async fn submit(
    service: &Service,
    tx: &mut Tx,
    task: TaskId,
    principal: &Principal,
    attempt: &Attempt,
    recorded: Recorded,
    at: Moment,
) -> Result<Option<Saga>, Error> {
    if recorded.begin_for_task(tx, task, Keep::SevenDays).await?.is_some() {
        return Ok(None);
    }
    let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
    let account = principal.account_id;
    if !saga.is_claimed_by(account, |agent| principal.may_act_as(agent)) {
        return Err(not_claimant(tx, &saga, account).await?);
    }
    let mut written = None;
    // The same receipt under another request: it was submitted.
    if !saga.holds(attempt.digest()) {
        saga.may_submit(at)?;
        let Attempt::Checked(checked) = attempt else {
            return Err(DomainError::Unchecked.into());
        };
        let chain = chain(service, tx, &saga).await?;
        written = Some(change(service, tx, &saga, at, |saga| saga.submit(checked, &chain, at)).await?);
        let number = saga.status.submissions.saturating_add(1);
        store::insert_result(tx, task, number, &checked.submission().result, at.wall).await?;
    }
    before_commit(Failpoint::SubmitBeforeCommit).await?;
    Ok(written)
}

async fn chain(service: &Service, tx: &mut Tx, saga: &Saga) -> Result<Chain, Error> {
    let papers = store::papers(tx.conn(), saga.offer.task).await?;
    Ok(chain_of(&papers, service.trust.receipt_keys())?)
}

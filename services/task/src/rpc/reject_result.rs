//! RejectResult.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::TaskId;
use poa_proto::task::v1::{RejectResultRequest, RejectResultResponse};
use poa_storage::Tx;
use poa_storage::idempotency::Keep;

use super::{Recorded, after, parse, recorded};
use crate::domain::{Moment, Saga, statement_of_payload};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::methods::REJECT_RESULT;
use crate::service::{Service, change};
use crate::store::{self, Bodies};

/// What the requester says is wrong.
struct Verdict {
    principal: Principal,
    criterion: Option<i32>,
    reason: String,
}

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: RejectResultRequest,
) -> Result<RejectResultResponse, Error> {
    let account = principal.account_id;
    let recorded = recorded(service, &principal, REJECT_RESULT, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let verdict = Verdict { principal, criterion: request.criterion, reason: request.reason };
    let at = service.now();
    let written = service
        .db
        .transact_idempotent((Arc::clone(service), verdict), move |(service, verdict), tx| {
            Box::pin(reject(service, tx, task, verdict, recorded, at))
        })
        .await?;
    committed(Failpoint::RejectCommitted).await?;
    if let Some(refusal) = service.drive(task, written).await {
        return Err(refusal.into_error());
    }
    Ok(RejectResultResponse { task: Some(after(service, task, Bodies::None, account).await?) })
}

async fn reject(
    service: &Service,
    tx: &mut Tx,
    task: TaskId,
    verdict: &Verdict,
    recorded: Recorded,
    at: Moment,
) -> Result<Option<Saga>, Error> {
    if recorded.begin_for_task(tx, task, Keep::SevenDays).await?.is_some() {
        return Ok(None);
    }
    let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
    if saga.offer.requester != verdict.principal.account_id {
        return Err(Error::NotFound { resource: "task" });
    }
    let terms = statement_of_payload(&store::terms_of(tx.conn(), task).await?)?;
    let criteria = terms.body().as_terms_offered().map_or(0, |terms| terms.criteria.len());
    let criterion = match verdict.criterion.map(u32::try_from) {
        Some(Ok(place)) if usize::try_from(place).is_ok_and(|place| place < criteria) => Some(place),
        Some(_) => return Err(Error::field("criterion", "the terms have no criterion with this place")),
        None if criteria > 0 => {
            return Err(Error::field("criterion", "must name the criterion that the result fails"));
        }
        None => None,
    };
    let (reason, pen) = (&verdict.reason, &service.pen);
    let written = change(service, tx, &saga, at, |saga| saga.reject(criterion, reason, pen, at)).await?;
    before_commit(Failpoint::RejectBeforeCommit).await?;
    Ok(Some(written))
}

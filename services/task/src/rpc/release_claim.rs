//! ReleaseClaim.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::TaskId;
use poa_proto::task::v1::{ReleaseClaimRequest, ReleaseClaimResponse};
use poa_storage::idempotency::Keep;

use super::{after_claim, not_claimant, parse, recorded};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit, committed};
use crate::methods::RELEASE_CLAIM;
use crate::service::{Service, change};
use crate::store;

/// What people read where the agent gives no reason.
const NO_REASON: &str = "the agent gave the task back";

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: ReleaseClaimRequest,
) -> Result<ReleaseClaimResponse, Error> {
    let recorded = recorded(service, &principal, RELEASE_CLAIM, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let reason = if request.reason.is_empty() { NO_REASON.to_owned() } else { request.reason };
    let (at, caller) = (service.now(), principal.clone());
    service
        .db
        .transact_idempotent(
            (Arc::clone(service), principal, reason),
            move |(service, principal, reason), tx| {
                Box::pin(async move {
                    if recorded.begin_for_task(tx, task, Keep::SevenDays).await?.is_some() {
                        return Ok(());
                    }
                    let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
                    let account = principal.account_id;
                    if !saga.is_claimed_by(account, |agent| principal.may_act_as(agent)) {
                        return Err(not_claimant(tx, &saga, account).await?);
                    }
                    change(service, tx, &saga, at, |saga| saga.release(reason, at)).await?;
                    Ok(before_commit(Failpoint::ReleaseClaimBeforeCommit).await?)
                })
            },
        )
        .await?;
    committed(Failpoint::ReleaseClaimCommitted).await?;
    Ok(ReleaseClaimResponse { task: Some(after_claim(service, &caller, task).await?) })
}

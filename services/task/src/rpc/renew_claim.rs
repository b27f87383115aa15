//! RenewClaim.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::TaskId;
use poa_proto::task::v1::{RenewClaimRequest, RenewClaimResponse};
use poa_storage::idempotency::Keep;

use super::{after_claim, not_claimant, parse, recorded};
use crate::error::Error;
use crate::methods::RENEW_CLAIM;
use crate::service::{Service, change};
use crate::store;

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: RenewClaimRequest,
) -> Result<RenewClaimResponse, Error> {
    let recorded = recorded(service, &principal, RENEW_CLAIM, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let (at, caller) = (service.now(), principal.clone());
    service
        .db
        .transact_idempotent((Arc::clone(service), principal), move |(service, principal), tx| {
            Box::pin(async move {
                if recorded.begin_for_task(tx, task, Keep::SevenDays).await?.is_some() {
                    return Ok(());
                }
                let saga = store::load(tx, task).await?.ok_or(Error::NotFound { resource: "task" })?;
                let account = principal.account_id;
                if !saga.is_claimed_by(account, |agent| principal.may_act_as(agent)) {
                    return Err(not_claimant(tx, &saga, account).await?);
                }
                change(service, tx, &saga, at, |saga| saga.renew(at)).await?;
                Ok::<_, Error>(())
            })
        })
        .await?;
    Ok(RenewClaimResponse { task: Some(after_claim(service, &caller, task).await?) })
}

//! CancelTask.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::TaskId;
use poa_proto::task::v1::{CancelTaskRequest, CancelTaskResponse};

use super::{after, of_requester, parse, recorded};
use crate::domain::{Pen, Saga};
use crate::error::Error;
use crate::failpoint::Failpoint;
use crate::methods::CANCEL_TASK;
use crate::service::Service;
use crate::store::Bodies;

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: CancelTaskRequest,
) -> Result<CancelTaskResponse, Error> {
    let account = principal.account_id;
    let recorded = recorded(service, &principal, CANCEL_TASK, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let at = service.now();
    let cancel = move |saga: &mut Saga, pen: &Pen| saga.cancel(pen, at);
    let written = of_requester(service, &principal, task, recorded, at, Failpoint::CANCEL, cancel).await?;
    if let Some(refusal) = service.drive(task, written).await {
        return Err(refusal.into_error());
    }
    Ok(CancelTaskResponse { task: Some(after(service, task, Bodies::None, account).await?) })
}

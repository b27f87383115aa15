//! AcceptResult.

use std::sync::Arc;

use poa_chassis::Principal;
use poa_common::TaskId;
use poa_proto::task::v1::{AcceptResultRequest, AcceptResultResponse};

use super::{after, of_requester, parse, recorded};
use crate::domain::{Pen, Saga};
use crate::error::Error;
use crate::failpoint::Failpoint;
use crate::methods::ACCEPT_RESULT;
use crate::service::Service;
use crate::store::Bodies;

pub(super) async fn handle(
    service: &Arc<Service>,
    principal: Principal,
    request: AcceptResultRequest,
) -> Result<AcceptResultResponse, Error> {
    let account = principal.account_id;
    let recorded = recorded(service, &principal, ACCEPT_RESULT, &request.request_id, &request)?;
    let task: TaskId = parse::id("task", &request.task_id)?;
    let at = service.now();
    let accept = move |saga: &mut Saga, pen: &Pen| saga.accept(pen, at);
    let written = of_requester(service, &principal, task, recorded, at, Failpoint::ACCEPT, accept).await?;
    if let Some(refusal) = service.drive(task, written).await {
        return Err(refusal.into_error());
    }
    Ok(AcceptResultResponse { task: Some(after(service, task, Bodies::None, account).await?) })
}

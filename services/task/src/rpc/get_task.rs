//! GetTask.

use poa_chassis::Principal;
use poa_proto::task::v1::{GetTaskRequest, GetTaskResponse};

use super::{Sight, convert, parse, seen};
use crate::error::Error;
use crate::service::Service;
use crate::store::Bodies;

pub(super) async fn handle(
    service: &Service,
    principal: Principal,
    request: GetTaskRequest,
) -> Result<GetTaskResponse, Error> {
    let id = parse::id("task", &request.task_id)?;
    let (view, sight) = seen(service, &principal, id, Bodies::All).await?;
    let mut task = convert::task(&view, service.now(), true, principal.account_id)?;
    if sight == Sight::Offer {
        task.input = None;
        task.result = None;
    }
    Ok(GetTaskResponse { task: Some(task) })
}

//! SecureEscrow: takes what a hold invoice has locked into the ledger.

use poa_chassis::validate;
use poa_common::{EscrowId, TaskId, Violations};
use poa_proto::escrow::v1::{SecureEscrowRequest, SecureEscrowResponse};
use tonic::Request;

use super::convert;
use crate::domain::command::{Command, Secure};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    request: Request<SecureEscrowRequest>,
) -> Result<SecureEscrowResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let mut wrong = Violations::default();
    let ids: (Option<EscrowId>, Option<TaskId>) =
        (wrong.parse("escrow_id", &message.escrow_id), wrong.parse("task_id", &message.task_id));
    let (Some(escrow), Some(task)) = ids else {
        convert::refuse(wrong.into_vec())?;
        return Err(Refusal::EscrowNotFound.into());
    };
    let secure = Secure { escrow, task, event: service.env.new_id(), time: service.env.now() };
    let secured = service.ledger.escrow(Command::Secure(secure)).await?;
    service.hold_changed(&secured);
    Ok(SecureEscrowResponse { escrow: Some(convert::escrow(&secured)) })
}

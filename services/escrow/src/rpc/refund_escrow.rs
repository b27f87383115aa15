//! RefundEscrow: gives the sats back, has the node let go of them, or makes sure that none will ever be held.

use poa_chassis::validate;
use poa_common::{EscrowId, TaskId, Violations};
use poa_proto::escrow::v1::{RefundEscrowRequest, RefundEscrowResponse};
use tonic::Request;

use super::convert;
use crate::domain::command::{Command, Refund};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    request: Request<RefundEscrowRequest>,
) -> Result<RefundEscrowResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let mut wrong = Violations::default();
    let ids: (Option<EscrowId>, Option<TaskId>) =
        (wrong.parse("escrow_id", &message.escrow_id), wrong.parse("task_id", &message.task_id));
    let (Some(escrow), Some(task)) = ids else {
        convert::refuse(wrong.into_vec())?;
        return Err(Refusal::EscrowNotFound.into());
    };
    let refund = Refund {
        escrow,
        task,
        transfer: service.env.new_id(),
        event: service.env.new_id(),
        time: service.env.now(),
    };
    let refunded = service.ledger.escrow(Command::Refund(refund)).await?;
    service.hold_changed(&refunded);
    Ok(RefundEscrowResponse {
        escrow: Some(convert::escrow(&refunded)),
        transfer_id: convert::transfer(refunded.end_transfer),
    })
}

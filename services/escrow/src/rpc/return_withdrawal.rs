//! ReturnWithdrawal: an operator ends what the node has forgotten.
//!
//! The node is asked once more, and only if it does not know the payment, is the one that was told, and the invoice ended long
//! ago does the operator's word count. Anything else it says is found out by the payouts.

use std::time::Duration;

use poa_chassis::validate;
use poa_common::WithdrawalId;
use poa_payment::{Doubt, Outcome};
use poa_proto::escrow::v1::{ReturnWithdrawalRequest, ReturnWithdrawalResponse};
use tonic::Request;

use super::convert;
use crate::domain::command::{Command, ReturnWithdrawal};
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::{State, Withdrawal};
use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::withdrawals;

/// How long each question to the node may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// Why it failed, as its owner reads it.
const FAILURE: &str = "returned_by_operator";

pub(super) async fn handle(
    service: &Service,
    request: Request<ReturnWithdrawalRequest>,
) -> Result<ReturnWithdrawalResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let id: WithdrawalId = convert::id("withdrawal_id", &message.withdrawal_id)?;
    let row = withdrawals::find(&service.db, id).await?.ok_or(Error::NotFound { resource: "withdrawal" })?;
    match row.state {
        State::Failed => return Ok(answer(&row)),
        State::Dispatched => forgotten(service, &row).await?,
        State::Reserved | State::Succeeded => {
            return Err(Refusal::NotReturnable { state: row.state.as_str() }.into());
        }
    }
    let command = ReturnWithdrawal {
        withdrawal: row.id,
        dispatches: row.dispatches,
        failure: FAILURE,
        transfer: service.env.new_id(),
        time: service.env.now(),
    };
    let returned = service.ledger.withdrawal(Command::ReturnWithdrawal(command)).await?;
    metrics::withdrawal_ended(State::Failed.as_str());
    tracing::warn!(withdrawal_id = %row.id, reason = message.reason, "an operator has returned a withdrawal");
    Ok(answer(&returned))
}

/// Refuses unless the node that was told to pay does not know the payment, long after it could have been made.
async fn forgotten(service: &Service, row: &Withdrawal) -> Result<(), Error> {
    let margin = Duration::from_secs(u64::from(service.config.withdrawals.lost_margin_seconds));
    let last = row.deadline.unwrap_or(row.invoice_expire_time).max(row.invoice_expire_time);
    if service.env.now() < last + margin {
        return Err(Refusal::NotReturnable { state: "payable" }.into());
    }
    let info = tokio::time::timeout(PATIENCE, service.provider.info()).await;
    let info = info.ok().and_then(Result::ok).ok_or_else(Error::no_node)?;
    if row.node != Some(info.node) {
        return Err(Refusal::NotReturnable { state: "sent by another node" }.into());
    }
    match tokio::time::timeout(PATIENCE, service.provider.lookup_payment(row.hash)).await {
        Ok(Outcome::Unknown(Doubt::NotFound)) => Ok(()),
        Ok(Outcome::Unknown(Doubt::NoAnswer)) | Err(_) => Err(Error::no_node()),
        Ok(
            known @ (Outcome::NotSent(_) | Outcome::InFlight | Outcome::Settled { .. } | Outcome::Failed(_)),
        ) => Err(Refusal::NotReturnable { state: known.as_str() }.into()),
    }
}

fn answer(row: &Withdrawal) -> ReturnWithdrawalResponse {
    ReturnWithdrawalResponse { withdrawal: Some(convert::withdrawal(row)) }
}

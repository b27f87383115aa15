//! GetWithdrawal.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{GetWithdrawalRequest, GetWithdrawalResponse};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::service::Service;
use crate::store::withdrawals;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetWithdrawalRequest>,
) -> Result<GetWithdrawalResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let id = convert::id("withdrawal_id", &message.withdrawal_id)?;
    let found = withdrawals::find_of(&service.db, id, account).await?;
    let withdrawal = found.ok_or(Error::NotFound { resource: "withdrawal" })?;
    Ok(GetWithdrawalResponse { withdrawal: Some(convert::withdrawal(&withdrawal)) })
}

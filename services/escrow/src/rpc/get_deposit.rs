//! GetDeposit.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{GetDepositRequest, GetDepositResponse};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::service::Service;
use crate::store::deposits;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetDepositRequest>,
) -> Result<GetDepositResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let id = convert::id("deposit_id", &message.deposit_id)?;
    let found = deposits::find_of(&service.db, id, account).await?;
    let deposit = found.ok_or(Error::NotFound { resource: "deposit" })?;
    Ok(GetDepositResponse { deposit: Some(convert::deposit(&deposit)) })
}

//! GetEscrow.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{GetEscrowRequest, GetEscrowResponse};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::service::Service;
use crate::store::escrows;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetEscrowRequest>,
) -> Result<GetEscrowResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let id = convert::id("escrow_id", &message.escrow_id)?;
    let found = escrows::find_of(&service.db, id, account).await?;
    let escrow = found.ok_or(Error::NotFound { resource: "escrow" })?;
    Ok(GetEscrowResponse { escrow: Some(convert::escrow(&escrow)) })
}

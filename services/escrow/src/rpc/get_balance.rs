//! GetBalance.

use poa_chassis::account;
use poa_proto::escrow::v1::{Balance, GetBalanceRequest, GetBalanceResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;
use crate::store::accounts;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetBalanceRequest>,
) -> Result<GetBalanceResponse, Error> {
    let account = accounts::balance(&service.db, account(&request)?).await?;
    let balance = Balance { available_msat: account.available.get(), held_msat: account.held.get() };
    Ok(GetBalanceResponse { balance: Some(balance) })
}

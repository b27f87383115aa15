//! `AuthService.GetAccount`.

use poa_proto::auth::v1::{GetAccountRequest, GetAccountResponse};
use tonic::Request;

use super::convert;
use crate::error::{Error, account_unknown};
use crate::state::State;
use crate::store::accounts;

pub(super) async fn handle(
    state: &State,
    request: Request<GetAccountRequest>,
) -> Result<GetAccountResponse, Error> {
    let account_id = poa_chassis::account(&request)?;
    let account = accounts::find(state.db.read(), account_id).await?.ok_or_else(account_unknown)?;
    Ok(GetAccountResponse { account: Some(convert::account(&account)) })
}

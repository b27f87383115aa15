//! `AuthService.GetJwks`.

use poa_proto::auth::v1::GetJwksResponse;

use crate::error::{Error, internal};
use crate::state::State;

/// The file as it is now: keys rotate by being published before they sign and after they did.
pub(super) async fn handle(state: &State) -> Result<GetJwksResponse, Error> {
    let jwks_json = tokio::fs::read_to_string(&state.jwks).await.map_err(internal)?;
    Ok(GetJwksResponse { jwks_json })
}

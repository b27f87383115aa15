//! `AuthInternalService.ExchangeApiKey`.

use poa_proto::auth::v1::{ExchangeApiKeyRequest, ExchangeApiKeyResponse};
use tonic::Request;

use super::convert;
use crate::domain::ApiKeySecret;
use crate::error::Error;
use crate::state::State;
use crate::store::api_keys;

pub(super) async fn handle(
    state: &State,
    request: Request<ExchangeApiKeyRequest>,
) -> Result<ExchangeApiKeyResponse, Error> {
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let secret = ApiKeySecret::parse(&message.secret).ok_or_else(|| refused("malformed"))?;
    // Looked up by its hash: the time that takes tells nothing of the secret.
    let key =
        api_keys::by_secret(&state.db, secret.hash()).await?.ok_or_else(|| refused("of an unknown key"))?;
    let now = state.env.now();
    if let Some(problem) = key.problem(now) {
        return Err(refused(problem));
    }
    let token = state.issuer.for_api_key(&key, now)?;
    Ok(ExchangeApiKeyResponse {
        access_token: token.text,
        expire_time: Some(convert::timestamp(token.expire_time)),
    })
}

fn refused(problem: &'static str) -> Error {
    poa_chassis::Error::CredentialsInvalid { problem }.into()
}

//! `AuthService.RevokeApiKey`.

use poa_common::{AccountId, ApiKeyId, TypedId as _};
use poa_proto::auth::v1::{RevokeApiKeyRequest, RevokeApiKeyResponse};
use poa_storage::Tx;
use poa_storage::idempotency::Key;
use prost::Message as _;
use tonic::Request;

use super::mutation::{Mutation, fingerprint, recorded, request_id};
use super::{callers, convert};
use crate::error::{Error, fields_invalid};
use crate::state::State;
use crate::store::api_keys;

const METHOD: &str = "poa.auth.v1.AuthService/RevokeApiKey";

struct Plan {
    mutation: Mutation,
    account_id: AccountId,
    id: ApiKeyId,
}

pub(super) async fn handle(
    state: &State,
    request: Request<RevokeApiKeyRequest>,
) -> Result<RevokeApiKeyResponse, Error> {
    let account_id = callers::signed_in(&request)?.account_id;
    let message = request.into_inner();
    let mut violations = convert::bounds(&message);
    let request_id = request_id(&message.request_id, &mut violations);
    let id: Option<ApiKeyId> = violations.parse("api_key_id", &message.api_key_id);
    let (Some(request_id), Some(id), true) = (request_id, id, violations.is_empty()) else {
        return Err(fields_invalid(violations));
    };
    let key = Key { principal: account_id.uuid(), method: METHOD, request_id };
    let mutation = Mutation { key, fingerprint: fingerprint(&message), now: state.env.now() };
    let plan = Plan { mutation, account_id, id };
    state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<RevokeApiKeyResponse, Error> {
    if let Some(answer) = plan.mutation.begin(tx).await? {
        return recorded(&answer);
    }
    let key = api_keys::revoke(tx, plan.account_id, plan.id, plan.mutation.now)
        .await?
        .ok_or(Error::NotFound { resource: "api_key" })?;
    let answer = RevokeApiKeyResponse { api_key: Some(convert::api_key(&key)) };
    plan.mutation.record(tx, &answer.encode_to_vec()).await?;
    Ok(answer)
}

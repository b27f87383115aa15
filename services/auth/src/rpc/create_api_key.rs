//! `AuthService.CreateApiKey`.

use poa_chassis::Principal;
use poa_common::{AgentId, ApiKeyId, Timestamp, TypedId as _, Violations};
use poa_proto::auth::v1::{CreateApiKeyRequest, CreateApiKeyResponse};
use poa_storage::Tx;
use poa_storage::idempotency::Key;
use tonic::Request;
use uuid::Uuid;

use super::mutation::{Mutation, fingerprint, request_id};
use super::{callers, convert};
use crate::domain::{ApiKey, Label, MAX_API_KEYS, expiry, scope};
use crate::error::{Error, field_invalid, fields_invalid};
use crate::state::State;
use crate::store::{accounts, agents, api_keys, corrupt};

const METHOD: &str = "poa.auth.v1.AuthService/CreateApiKey";

/// What was asked for, in the domain's types.
struct Asked {
    request_id: Uuid,
    name: String,
    scopes: Vec<String>,
    agent_id: Option<AgentId>,
    expire_time: Option<Timestamp>,
}

/// What the transaction writes.
struct Plan {
    mutation: Mutation,
    id: ApiKeyId,
    secret_hash: [u8; 32],
    caller: Principal,
    asked: Asked,
}

pub(super) async fn handle(
    state: &State,
    request: Request<CreateApiKeyRequest>,
) -> Result<CreateApiKeyResponse, Error> {
    let caller = callers::signed_in(&request)?;
    let message = request.into_inner();
    let asked = parse(&message, &caller)?;
    let id: ApiKeyId = state.env.new_id();
    let key = Key { principal: caller.account_id.uuid(), method: METHOD, request_id: asked.request_id };
    let plan = Plan {
        mutation: Mutation { key, fingerprint: fingerprint(&message), now: state.env.now() },
        id,
        secret_hash: state.secrets.api_key(id).hash(),
        caller,
        asked,
    };
    let key = state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await?;
    Ok(CreateApiKeyResponse {
        api_key: Some(convert::api_key(&key)),
        secret: state.secrets.api_key(key.id).text(),
    })
}

fn parse(message: &CreateApiKeyRequest, caller: &Principal) -> Result<Asked, Error> {
    let mut violations = convert::bounds(message);
    let request_id = request_id(&message.request_id, &mut violations);
    let name: Option<Label> = violations.parse("name", &message.name);
    let agent_id = agent(&message.agent_id, caller, &mut violations);
    let expire_time = message
        .expire_time
        .as_ref()
        .and_then(|time| convert::parse_timestamp("expire_time", time, &mut violations));
    let scopes = match scope::granted(&message.scopes, caller) {
        Ok(scopes) => scopes,
        Err(scope::Refused::Unknown(place)) => {
            violations.add(format!("scopes[{place}]"), "is not a scope of this server");
            Vec::new()
        }
        Err(scope::Refused::NotHeld(scope)) => {
            return Err(poa_chassis::Error::ScopeMissing { scope }.into());
        }
    };
    let (Some(request_id), Some(name), true) = (request_id, name, violations.is_empty()) else {
        return Err(fields_invalid(violations));
    };
    Ok(Asked { request_id, name: name.into_string(), scopes, agent_id, expire_time })
}

/// The agent that the key is bound to. A caller who may act as one agent alone cannot make a key for more.
fn agent(text: &str, caller: &Principal, violations: &mut Violations) -> Option<AgentId> {
    let asked: Option<AgentId> = if text.is_empty() { None } else { violations.parse("agent_id", text) };
    match caller.agent_id {
        Some(own) if asked != Some(own) => {
            violations.add("agent_id", format!("must be {own}: your own token acts as that agent alone"));
            None
        }
        Some(_) | None => asked,
    }
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<ApiKey, Error> {
    let account_id = plan.caller.account_id;
    if let Some(recorded) = plan.mutation.begin(tx).await? {
        let id = Uuid::from_slice(&recorded).map_err(|error| corrupt(format!("a recorded key: {error}")))?;
        let key = api_keys::find(tx.conn(), account_id, ApiKeyId::from_uuid(id)).await?;
        return key.ok_or(Error::NotFound { resource: "api_key" });
    }
    let now = plan.mutation.now;
    // Checked here rather than before: a late replay must not hear that its time has passed.
    let expire_time =
        expiry(plan.asked.expire_time, now).map_err(|problem| field_invalid("expire_time", problem))?;
    accounts::lock(tx, account_id).await?;
    if let Some(agent_id) = plan.asked.agent_id {
        let agent = agents::find(tx.conn(), agent_id).await?;
        if agent.is_none_or(|agent| agent.account_id != account_id) {
            return Err(field_invalid("agent_id", "must be an agent of yours"));
        }
    }
    if api_keys::count_working(tx, account_id, now).await? >= MAX_API_KEYS {
        return Err(Error::QuotaExceeded { what: "API keys", limit: MAX_API_KEYS });
    }
    let key = ApiKey {
        id: plan.id,
        account_id,
        name: plan.asked.name.clone(),
        scopes: plan.asked.scopes.clone(),
        agent_id: plan.asked.agent_id,
        create_time: now,
        expire_time,
        revoke_time: None,
    };
    api_keys::insert(tx, &key, plan.secret_hash).await?;
    plan.mutation.record(tx, key.id.uuid().as_bytes()).await?;
    Ok(key)
}

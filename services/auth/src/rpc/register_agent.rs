//! `AgentService.RegisterAgent`.

use poa_common::{AccountId, EventId, TypedId as _};
use poa_proto::auth::v1::{RegisterAgentRequest, RegisterAgentResponse, agent_event};
use poa_storage::idempotency::Key;
use poa_storage::{Tx, events};
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof};
use proof_of_agent::{DidKey, KeyEvent};
use prost::Message as _;
use tonic::Request;
use uuid::Uuid;

use super::mutation::{Mutation, fingerprint, recorded, request_id};
use super::watch_agent_events::{Happened, new_event};
use super::{callers, convert};
use crate::domain::{
    Agent, AgentState, Label, MAX_ACTIVE_AGENTS, MAX_AGENTS, Prose, capabilities, proves_key,
};
use crate::error::{Error, fields_invalid};
use crate::state::State;
use crate::store::{accounts, agents, key_events};

const METHOD: &str = "poa.auth.v1.AgentService/RegisterAgent";

struct Plan {
    mutation: Mutation,
    agent: Agent,
    key_proof: KeyProof,
    event_id: EventId,
}

/// What was asked for, in the domain's types.
struct Asked {
    request_id: Uuid,
    name: String,
    description: String,
    public_key: DidKey,
    key_proof: KeyProof,
}

pub(super) async fn handle(
    state: &State,
    request: Request<RegisterAgentRequest>,
) -> Result<RegisterAgentResponse, Error> {
    let account_id = callers::unbound(&request)?.account_id;
    let message = request.into_inner();
    let asked = parse(&message, account_id)?;
    let now = state.env.now();
    let key = Key { principal: account_id.uuid(), method: METHOD, request_id: asked.request_id };
    let plan = Plan {
        mutation: Mutation { key, fingerprint: fingerprint(&message), now },
        agent: Agent {
            id: state.env.new_id(),
            account_id,
            name: asked.name,
            description: asked.description,
            capabilities: message.capabilities,
            public_key: asked.public_key,
            key_revoked: false,
            key_sequence: 1,
            version: None,
            version_has_source: false,
            state: AgentState::Active,
            create_time: now,
        },
        key_proof: asked.key_proof,
        event_id: state.env.new_id(),
    };
    state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await
}

/// Checks the fields, then the proof: both before anything is asked of the database.
fn parse(message: &RegisterAgentRequest, account_id: AccountId) -> Result<Asked, Error> {
    let mut violations = convert::bounds(message);
    let request_id = request_id(&message.request_id, &mut violations);
    let name: Option<Label> = violations.parse("name", &message.name);
    let description: Option<Prose> = violations.parse("description", &message.description);
    capabilities(&message.capabilities, &mut violations);
    let public_key = DidKey::from_slice(&message.public_key);
    if let Err(error) = public_key {
        violations.add("public_key", error.to_string());
    }
    let (Some(request_id), Some(name), Some(description), Ok(public_key), true) =
        (request_id, name, description, public_key, violations.is_empty())
    else {
        return Err(fields_invalid(violations));
    };
    if !proves_key(account_id, &public_key, &message.key_proof) {
        return Err(Error::SignatureInvalid);
    }
    let key_proof = message.key_proof.as_slice().try_into().map_err(|_| Error::SignatureInvalid)?;
    Ok(Asked {
        request_id,
        name: name.into_string(),
        description: description.into_string(),
        public_key,
        key_proof: KeyProof::new(key_proof),
    })
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<RegisterAgentResponse, Error> {
    if let Some(answer) = plan.mutation.begin(tx).await? {
        return recorded(&answer);
    }
    accounts::lock(tx, plan.agent.account_id).await?;
    let (active, all) = agents::count(tx, plan.agent.account_id).await?;
    if active >= MAX_ACTIVE_AGENTS {
        return Err(Error::QuotaExceeded { what: "active agents", limit: MAX_ACTIVE_AGENTS });
    }
    if all >= MAX_AGENTS {
        return Err(Error::QuotaExceeded { what: "agents, retired ones included", limit: MAX_AGENTS });
    }
    agents::insert(tx, &plan.agent).await?;
    let registration = registration(plan);
    key_events::insert(tx, &registration).await?;
    let (kind, happened) = (agent_event::Kind::Registered, Happened::Key(&registration));
    events::append(tx, new_event(kind, &plan.agent, happened, plan.event_id, plan.mutation.now)).await?;
    let answer = RegisterAgentResponse { agent: Some(convert::agent(&plan.agent)) };
    plan.mutation.record(tx, &answer.encode_to_vec()).await?;
    Ok(answer)
}

/// The first event of the agent's keys.
fn registration(plan: &Plan) -> KeyEvent {
    KeyEvent {
        agent: plan.agent.id,
        account: plan.agent.account_id,
        sequence: 1,
        kind: KeyEventKind::Registered,
        key: plan.agent.public_key,
        previous_key: None,
        reason: None,
        compromised_since: None,
        authority: Authority::Key,
        authorisation: None,
        key_proof: Some(plan.key_proof.clone()),
        event_time: plan.mutation.now,
    }
}

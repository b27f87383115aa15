//! `AgentService.RetireAgent`.

use poa_common::{AccountId, AgentId, EventId, TypedId as _};
use poa_proto::auth::v1::{RetireAgentRequest, RetireAgentResponse, agent_event};
use poa_storage::idempotency::Key;
use poa_storage::{Tx, events};
use prost::Message as _;
use tonic::Request;

use super::convert;
use super::mutation::{Mutation, fingerprint, recorded, request_id};
use super::watch_agent_events::{Happened, new_event};
use crate::domain::{Agent, AgentState};
use crate::error::{Error, fields_invalid};
use crate::state::State;
use crate::store::agents;

const METHOD: &str = "poa.auth.v1.AgentService/RetireAgent";

struct Plan {
    mutation: Mutation,
    account_id: AccountId,
    id: AgentId,
    event_id: EventId,
}

pub(super) async fn handle(
    state: &State,
    request: Request<RetireAgentRequest>,
) -> Result<RetireAgentResponse, Error> {
    let caller = poa_chassis::user(&request)?;
    let message = request.into_inner();
    let mut violations = convert::bounds(&message);
    let request_id = request_id(&message.request_id, &mut violations);
    let id: Option<AgentId> = violations.parse("agent_id", &message.agent_id);
    let (Some(request_id), Some(id), true) = (request_id, id, violations.is_empty()) else {
        return Err(fields_invalid(violations));
    };
    if !caller.may_act_as(id) {
        return Err(Error::NotFound { resource: "agent" });
    }
    let key = Key { principal: caller.account_id.uuid(), method: METHOD, request_id };
    let mutation = Mutation { key, fingerprint: fingerprint(&message), now: state.env.now() };
    let plan = Plan { mutation, account_id: caller.account_id, id, event_id: state.env.new_id() };
    state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<RetireAgentResponse, Error> {
    if let Some(answer) = plan.mutation.begin(tx).await? {
        return recorded(&answer);
    }
    let agent = agents::lock(tx, plan.account_id, plan.id).await?;
    let agent = agent.ok_or(Error::NotFound { resource: "agent" })?;
    let agent = match agent.state {
        AgentState::Retired => agent,
        AgentState::Active => {
            agents::retire(tx, agent.id, plan.mutation.now).await?;
            let agent = Agent { state: AgentState::Retired, ..agent };
            let kind = agent_event::Kind::Retired;
            let event = new_event(kind, &agent, Happened::Change, plan.event_id, plan.mutation.now);
            events::append(tx, event).await?;
            agent
        }
    };
    let answer = RetireAgentResponse { agent: Some(convert::agent(&agent)) };
    plan.mutation.record(tx, &answer.encode_to_vec()).await?;
    Ok(answer)
}

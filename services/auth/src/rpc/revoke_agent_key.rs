//! `AgentService.RevokeAgentKey`.

use poa_proto::auth::v1::{RevokeAgentKeyRequest, RevokeAgentKeyResponse};
use poa_storage::Tx;
use prost::Message as _;
use tonic::Request;

use super::convert;
use super::key_change::{self, Fields, Plan};
use super::mutation::recorded;
use crate::error::Error;
use crate::state::State;

const METHOD: &str = "poa.auth.v1.AgentService/RevokeAgentKey";

pub(super) async fn handle(
    state: &State,
    request: Request<RevokeAgentKeyRequest>,
) -> Result<RevokeAgentKeyResponse, Error> {
    let message = request.get_ref();
    let fields = Fields {
        request_id: &message.request_id,
        agent_id: &message.agent_id,
        sequence: message.sequence,
        reason: message.reason(),
        compromised_since: message.compromised_since.as_ref(),
        authorisation: &message.authorisation,
    };
    let asked = key_change::parse(&fields, None, state.env.now(), convert::bounds(message))?;
    let plan = key_change::plan(state, &request, METHOD, asked)?;
    state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<RevokeAgentKeyResponse, Error> {
    if let Some(answer) = plan.mutation.begin(tx).await? {
        return recorded(&answer);
    }
    let (agent, event) = key_change::apply(plan, tx).await?;
    let answer = RevokeAgentKeyResponse {
        agent: Some(convert::agent(&agent)),
        event: Some(convert::key_event(&event)),
    };
    plan.mutation.record(tx, &answer.encode_to_vec()).await?;
    Ok(answer)
}

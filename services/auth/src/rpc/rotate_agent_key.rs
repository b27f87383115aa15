//! `AgentService.RotateAgentKey`.

use poa_proto::auth::v1::{RotateAgentKeyRequest, RotateAgentKeyResponse};
use poa_storage::Tx;
use proof_of_agent::DidKey;
use proof_of_agent::notice::KeyProof;
use prost::Message as _;
use tonic::Request;

use super::convert;
use super::key_change::{self, Fields, Plan};
use super::mutation::recorded;
use crate::error::Error;
use crate::state::State;

const METHOD: &str = "poa.auth.v1.AgentService/RotateAgentKey";

pub(super) async fn handle(
    state: &State,
    request: Request<RotateAgentKeyRequest>,
) -> Result<RotateAgentKeyResponse, Error> {
    let message = request.get_ref();
    let mut violations = convert::bounds(message);
    let key = DidKey::from_slice(&message.public_key);
    if let Err(error) = key {
        violations.add("public_key", error.to_string());
    }
    let proof = <[u8; 64]>::try_from(message.key_proof.as_slice()).map(KeyProof::new);
    let fields = Fields {
        request_id: &message.request_id,
        agent_id: &message.agent_id,
        sequence: message.sequence,
        reason: message.reason(),
        compromised_since: message.compromised_since.as_ref(),
        authorisation: &message.authorisation,
    };
    if proof.is_err() {
        violations.add("key_proof", "must have 64 bytes");
    }
    let successor = key.ok().zip(proof.ok());
    let asked = key_change::parse(&fields, successor, state.env.now(), violations)?;
    let plan = key_change::plan(state, &request, METHOD, asked)?;
    state.db.transact_idempotent(plan, |plan, tx| Box::pin(apply(plan, tx))).await
}

async fn apply(plan: &Plan, tx: &mut Tx) -> Result<RotateAgentKeyResponse, Error> {
    if let Some(answer) = plan.mutation.begin(tx).await? {
        return recorded(&answer);
    }
    let (agent, event) = key_change::apply(plan, tx).await?;
    let answer = RotateAgentKeyResponse {
        agent: Some(convert::agent(&agent)),
        event: Some(convert::key_event(&event)),
    };
    plan.mutation.record(tx, &answer.encode_to_vec()).await?;
    Ok(answer)
}

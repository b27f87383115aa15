//! `AgentService.GetAgent`.

use poa_common::{AgentId, Violations};
use poa_proto::auth::v1::{GetAgentRequest, GetAgentResponse};
use tonic::Request;

use super::convert;
use crate::error::{Error, fields_invalid};
use crate::state::State;
use crate::store::agents;

pub(super) async fn handle(
    state: &State,
    request: Request<GetAgentRequest>,
) -> Result<GetAgentResponse, Error> {
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let mut violations = Violations::default();
    let Some(id) = violations.parse::<AgentId>("agent_id", &message.agent_id) else {
        return Err(fields_invalid(violations));
    };
    let agent = agents::find(state.db.read(), id).await?.ok_or(Error::NotFound { resource: "agent" })?;
    Ok(GetAgentResponse { agent: Some(convert::agent(&agent)) })
}

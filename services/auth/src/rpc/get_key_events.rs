//! `AgentService.GetKeyEvents`.

use poa_common::AgentId;
use poa_proto::auth::v1::{GetKeyEventsRequest, GetKeyEventsResponse};

use super::convert;
use crate::error::Error;
use crate::state::State;
use crate::store::{agents, key_events};

pub(super) async fn handle(
    state: &State,
    message: GetKeyEventsRequest,
) -> Result<GetKeyEventsResponse, Error> {
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "agent" };
    // What is no id names nothing.
    let id: AgentId = message.agent_id.parse().map_err(|_| absent())?;
    let agent = agents::find(state.db.read(), id).await?.ok_or_else(absent)?;
    let events = key_events::list(state.db.read(), id, agent.account_id).await?;
    Ok(GetKeyEventsResponse { events: events.iter().map(convert::key_event).collect() })
}

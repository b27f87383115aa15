//! `AgentService.ListAgentVersions`.

use poa_common::AgentId;
use poa_proto::auth::v1::{ListAgentVersionsRequest, ListAgentVersionsResponse};
use tonic::Request;

use super::convert;
use super::paging::Page;
use crate::error::Error;
use crate::state::State;
use crate::store::{agents, versions};

const METHOD: &str = "poa.auth.v1.AgentService/ListAgentVersions";

pub(super) async fn handle(
    state: &State,
    request: Request<ListAgentVersionsRequest>,
) -> Result<ListAgentVersionsResponse, Error> {
    let account_id = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "agent" };
    // A token first: one of another agent's list leads nowhere, whether that agent exists or not.
    let list = format!("{METHOD} {}", message.agent_id);
    let page = Page::open(&state.pages, account_id, &list, message.page_size, &message.page_token)?;
    let id: AgentId = message.agent_id.parse().map_err(|_| absent())?;
    agents::find(state.db.read(), id).await?.ok_or_else(absent)?;
    let mut found = versions::list(&state.db, id, page.after, page.limit()).await?;
    let next_page_token = page.close(&state.pages, &mut found, |version| version.id);
    Ok(ListAgentVersionsResponse { versions: found.iter().map(convert::version).collect(), next_page_token })
}

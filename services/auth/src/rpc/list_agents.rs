//! `AgentService.ListAgents`.

use poa_common::TypedId as _;
use poa_proto::auth::v1::{ListAgentsRequest, ListAgentsResponse};
use tonic::Request;

use super::convert;
use super::paging::Page;
use crate::error::Error;
use crate::state::State;
use crate::store::agents;

const METHOD: &str = "poa.auth.v1.AgentService/ListAgents";

pub(super) async fn handle(
    state: &State,
    request: Request<ListAgentsRequest>,
) -> Result<ListAgentsResponse, Error> {
    let account_id = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let page = Page::open(&state.pages, account_id, METHOD, message.page_size, &message.page_token)?;
    let mut found = agents::list(&state.db, account_id, page.after, page.limit()).await?;
    let next_page_token = page.close(&state.pages, &mut found, |agent| agent.id.uuid());
    Ok(ListAgentsResponse { agents: found.iter().map(convert::agent).collect(), next_page_token })
}

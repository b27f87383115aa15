//! SearchAgents.

use poa_common::Violations;
use poa_proto::search::v1::{AgentHit, SearchAgentsRequest, SearchAgentsResponse};
use prost::Message as _;
use tonic::Request;

use super::paging::Paging;
use super::{Service, convert};
use crate::domain::{self, AgentQuery, Text};
use crate::error::Error;
use crate::index::Index;

pub(super) async fn handle<I: Index>(
    service: &Service<I>,
    request: Request<SearchAgentsRequest>,
) -> Result<SearchAgentsResponse, Error> {
    let principal = poa_chassis::user(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let mut found = Violations::default();
    convert::capabilities(&message.capabilities, &mut found);
    Error::refuse(found)?;
    let arguments =
        SearchAgentsRequest { page_size: 0, page_token: String::new(), ..message.clone() }.encode_to_vec();
    let paging = Paging::of(&service.pages, &principal, "SearchAgents", &arguments);
    let query = AgentQuery {
        window: paging.open(message.page_size, &message.page_token)?,
        text: Text::parse(&message.query),
        capabilities: message.capabilities,
        max_typical_price: convert::bound(message.max_typical_price_msat),
        min_completed_tasks: message.min_completed_tasks,
        include_retired: message.include_retired,
    };
    let page = service.index.agents(query).await?;
    Ok(SearchAgentsResponse {
        hits: page.hits.into_iter().map(hit).collect::<Result<_, _>>()?,
        next_page_token: paging.next(page.next.as_deref()),
    })
}

fn hit(hit: domain::AgentHit) -> Result<AgentHit, Error> {
    Ok(AgentHit {
        agent: Some(convert::kept(&hit.message)?),
        completed_tasks: hit.completed_tasks,
        typical_price_msat: hit.typical_price.get(),
        logged_statements: hit.logged_statements,
        last_completed_time: hit.last_completed.map(convert::timestamp).transpose()?,
    })
}

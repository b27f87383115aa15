//! SearchTasks.

use poa_chassis::Principal;
use poa_common::{Msat, Violations};
use poa_proto::search::v1::search_tasks_request::View as AskedView;
use poa_proto::search::v1::{SearchTasksRequest, SearchTasksResponse};
use poa_proto::task::v1::task::State;
use prost::Message as _;
use tonic::Request;

use super::paging::Paging;
use super::{Service, convert};
use crate::domain::{TaskQuery, Text, View};
use crate::error::Error;
use crate::index::Index;

pub(super) async fn handle<I: Index>(
    service: &Service<I>,
    request: Request<SearchTasksRequest>,
) -> Result<SearchTasksResponse, Error> {
    let principal = poa_chassis::user(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let view = view(&message, &principal)?;
    let arguments =
        SearchTasksRequest { page_size: 0, page_token: String::new(), ..message.clone() }.encode_to_vec();
    let paging = Paging::of(&service.pages, &principal, "SearchTasks", &arguments);
    let query = TaskQuery {
        window: paging.open(message.page_size, &message.page_token)?,
        text: Text::parse(&message.query),
        view,
        capabilities: message.capabilities,
        min_payee: Msat::new(message.min_payee_msat),
        max_price: convert::bound(message.max_price_msat),
    };
    let page = service.index.tasks(query).await?;
    Ok(SearchTasksResponse {
        tasks: page.hits.iter().map(|bytes| convert::kept(bytes)).collect::<Result<_, _>>()?,
        next_page_token: paging.next(page.next.as_deref()),
    })
}

/// Whose tasks the caller asks for, with all that is wrong about the request.
fn view(message: &SearchTasksRequest, principal: &Principal) -> Result<View, Error> {
    let mut found = Violations::default();
    convert::capabilities(&message.capabilities, &mut found);
    let mut states = Vec::new();
    for (place, number) in message.states.iter().enumerate() {
        match (State::try_from(*number), i16::try_from(*number)) {
            (Ok(state), Ok(number)) if state != State::Unspecified => states.push(number),
            _ => found.add(format!("states[{place}]"), "is no state of a task"),
        }
    }
    let asked = AskedView::try_from(message.view);
    match asked {
        Ok(AskedView::Unspecified | AskedView::Market) if !message.states.is_empty() => {
            found.add("states", "is for VIEW_MINE: the tasks of the market are open");
        }
        Ok(AskedView::Unspecified | AskedView::Market | AskedView::Mine) => {}
        Err(_) => found.add("view", "is no view"),
    }
    Error::refuse(found)?;
    Ok(match asked {
        Ok(AskedView::Mine) => {
            View::Mine { account: principal.account_id, agent: principal.agent_id, states }
        }
        Ok(AskedView::Unspecified | AskedView::Market) | Err(_) => View::Market,
    })
}

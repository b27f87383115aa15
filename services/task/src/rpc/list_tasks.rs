//! ListTasks.

use poa_chassis::Principal;
use poa_common::{TaskId, TypedId as _, Violations};
use poa_proto::task::v1::list_tasks_request::Role;
use poa_proto::task::v1::{ListTasksRequest, ListTasksResponse};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{convert, parse};
use crate::error::Error;
use crate::service::Service;
use crate::store::{self, ListFilter, ListRole};

/// Tasks of a page where the caller does not say.
const DEFAULT_PAGE: u32 = 50;
/// Bytes of a page: it ends earlier where tasks are large, so that any page fits a message.
const PAGE_BYTES: usize = 512 * 1_024;

pub(super) async fn handle(
    service: &Service,
    principal: Principal,
    request: ListTasksRequest,
) -> Result<ListTasksResponse, Error> {
    let mut found = Violations::default();
    let numbers = request.states.iter().enumerate();
    let states = numbers.filter_map(|(place, number)| parse::state(&mut found, place, *number)).collect();
    parse::refuse(found)?;
    let arguments = arguments(&request);
    let account = principal.account_id.uuid();
    let position =
        service.sealer.open(account, &arguments, &request.page_token).map_err(|_| Error::PageToken)?;
    let before = match position {
        Some(position) => Some(TaskId::from_uuid(Uuid::from_slice(&position).map_err(|_| Error::PageToken)?)),
        None => None,
    };
    let asked = u32::try_from(request.page_size).unwrap_or(0);
    let limit = if asked == 0 { DEFAULT_PAGE } else { asked };
    let role = match request.role() {
        Role::Unspecified | Role::Requester => ListRole::Requester,
        Role::Worker => ListRole::Worker(principal.agent_id),
    };
    // One more than asked for tells whether there is a next page.
    let filter =
        ListFilter { account: principal.account_id, role, states, before, limit: limit.saturating_add(1) };
    let views = store::page(&service.db, &filter).await?;

    let mut tasks = Vec::new();
    let mut bytes = 0usize;
    let mut next = None;
    let now = service.now();
    for view in &views {
        let full = u32::try_from(tasks.len()) == Ok(limit);
        let task = convert::task(view, now, false, principal.account_id)?;
        bytes = bytes.saturating_add(task.encoded_len());
        if full || (bytes > PAGE_BYTES && !tasks.is_empty()) {
            break;
        }
        next = Some(view.task);
        tasks.push(task);
    }
    let more = tasks.len() < views.len();
    let next = next.filter(|_| more);
    let next_page_token =
        next.map(|last| service.sealer.seal(account, &arguments, last.uuid().as_bytes())).unwrap_or_default();
    Ok(ListTasksResponse { tasks, next_page_token })
}

/// What decides which tasks are listed.
fn arguments(request: &ListTasksRequest) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"poa.task.v1.TaskService/ListTasks");
    hasher.update(i32::from(request.role() == Role::Worker).to_be_bytes());
    for state in &request.states {
        hasher.update(state.to_be_bytes());
    }
    hasher.finalize().into()
}

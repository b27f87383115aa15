//! ListTasks.

use poa_common::AccountId;
use poa_proto::task::v1::list_tasks_request::Role;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{ListTasksRequest, ListTasksResponse};
use tonic::{Code, Status};

use crate::support::{World, bad_fields, refusal};

async fn list(
    world: &World,
    account: AccountId,
    request: ListTasksRequest,
) -> Result<ListTasksResponse, Status> {
    Ok(world.client().list_tasks(world.by(account, request)).await?.into_inner())
}

#[tokio::test]
async fn pages_hold_every_task_once_newest_first_and_without_bodies() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(world.open().await.task_id);
        world.clock.advance(std::time::Duration::from_millis(5));
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut page_token = String::new();
    let mut page_size = 2;
    loop {
        let page = list(
            &world,
            world.requester,
            ListTasksRequest { page_size, page_token, ..ListTasksRequest::default() },
        )
        .await
        .unwrap();
        assert!(page.tasks.iter().all(|task| task.input.is_none() && task.terms.is_empty()));
        seen.extend(page.tasks.into_iter().map(|task| task.task_id));
        page_token = page.next_page_token;
        // A changed page size is fine.
        page_size = 3;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_page_token_serves_its_caller_and_its_arguments_alone() {
    let world = World::new().await;
    world.open().await;
    world.open().await;
    let first = ListTasksRequest { page_size: 1, ..ListTasksRequest::default() };
    let page = list(&world, world.requester, first.clone()).await.unwrap();
    let next = ListTasksRequest { page_token: page.next_page_token, ..first };
    let other_states = ListTasksRequest { states: vec![State::Open.into()], ..next.clone() };
    let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned());
    assert_eq!(refusal(list(&world, world.requester, other_states).await), invalid);
    assert_eq!(refusal(list(&world, world.agent.account, next.clone()).await), invalid);
    let garbage = ListTasksRequest { page_token: "AAAA".to_owned(), ..next.clone() };
    assert_eq!(refusal(list(&world, world.requester, garbage).await), invalid);
    assert_eq!(list(&world, world.requester, next).await.unwrap().tasks.len(), 1);
}

#[tokio::test]
async fn requesters_and_workers_each_see_their_part_by_state() {
    let world = World::new().await;
    let open = world.open().await;
    let claimed = world.open().await;
    world.claim(&world.agent, &claimed, 1).await;
    let of = |role: Role, states: &[State]| ListTasksRequest {
        role: role.into(),
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..ListTasksRequest::default()
    };
    let ids = |page: ListTasksResponse| -> Vec<String> {
        page.tasks.into_iter().map(|task| task.task_id).collect()
    };
    let requester = world.requester;
    let all = ids(list(&world, requester, of(Role::Requester, &[])).await.unwrap());
    assert_eq!(all.len(), 2);
    let open_ones = ids(list(&world, requester, of(Role::Requester, &[State::Open])).await.unwrap());
    assert_eq!(open_ones, [open.task_id]);
    let agent = world.agent.account;
    let work = ids(list(&world, agent, of(Role::Worker, &[State::Claimed])).await.unwrap());
    assert_eq!(work, [claimed.task_id]);
    assert!(ids(list(&world, agent, of(Role::Requester, &[])).await.unwrap()).is_empty());
    let unknown = ListTasksRequest { states: vec![0], ..ListTasksRequest::default() };
    assert_eq!(bad_fields(list(&world, requester, unknown).await), ["states[0]"]);
}

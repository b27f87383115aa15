//! The public methods: who may see what, pages, and what is refused.

use poa_common::{AccountId, AgentId};
use poa_proto::search::v1::search_tasks_request::View;
use poa_proto::search::v1::suggestion::Kind;
use poa_proto::search::v1::{SearchAgentsRequest, SearchTasksRequest, SearchTasksResponse, SuggestRequest};
use poa_proto::task::v1::task::State;
use poa_testkit::eventually;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::world::{SOON, World, changed, held, registered};

/// The code and the reason of a refusal.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.unwrap_err();
    (status.code(), poa_chassis::failure(&status).reason)
}

/// The fields that a refusal names.
fn bad_fields<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Vec<String> {
    let status = outcome.unwrap_err();
    assert_eq!(poa_chassis::failure(&status).reason, "FIELDS_INVALID", "{status:?}");
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

async fn tasks(
    world: &World,
    account: AccountId,
    agent: Option<AgentId>,
    request: SearchTasksRequest,
) -> Result<SearchTasksResponse, Status> {
    world.client().search_tasks(world.with(account, agent, request)).await.map(tonic::Response::into_inner)
}

fn mine() -> SearchTasksRequest {
    SearchTasksRequest { view: View::Mine.into(), ..SearchTasksRequest::default() }
}

#[tokio::test]
async fn tasks_are_shown_to_those_whom_they_concern_and_the_market_to_all() {
    let world = World::new().await;
    let (requester, worker, other): (AccountId, AccountId, AccountId) =
        (world.env.new_id(), world.env.new_id(), world.env.new_id());
    let (first, second): (AgentId, AgentId) = (world.env.new_id(), world.env.new_id());
    let open = changed(&world.env, world.env.new_id(), requester, State::Open, 1);
    let mut direct = changed(&world.env, world.env.new_id(), requester, State::Open, 1);
    direct.task.as_mut().unwrap().direct_agent_id = first.to_string();
    let claimed = held(changed(&world.env, world.env.new_id(), requester, State::Claimed, 2), first, worker);
    let completed =
        held(changed(&world.env, world.env.new_id(), requester, State::Completed, 2), second, worker);
    for event in [&open, &direct, &claimed, &completed] {
        world.neighbours.tasks.push(event.clone());
    }
    world.until_cursors(0, 4, 0).await;
    let id = |event: &poa_proto::task::v1::TaskEvent| event.task.as_ref().unwrap().task_id.clone();
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let seen = async |account, agent, request| {
        let found = tasks(&world, account, agent, request).await.unwrap().tasks;
        sorted(found.into_iter().map(|task| task.task_id).collect())
    };
    for account in [requester, worker, other] {
        assert_eq!(seen(account, None, SearchTasksRequest::default()).await, [id(&open)]);
    }
    let all = sorted([&open, &direct, &claimed, &completed].map(id).to_vec());
    assert_eq!(seen(requester, None, mine()).await, all);
    assert_eq!(seen(worker, None, mine()).await, sorted(vec![id(&claimed), id(&completed)]));
    assert_eq!(seen(worker, Some(first), mine()).await, [id(&claimed)]);
    assert_eq!(seen(other, None, mine()).await, Vec::<String>::new());
    let states = vec![State::Completed.into()];
    assert_eq!(seen(requester, None, SearchTasksRequest { states, ..mine() }).await, [id(&completed)]);
}

#[tokio::test]
async fn a_page_token_is_its_callers_for_its_query_alone() {
    let world = World::new().await;
    for number in 0..5 {
        let name = format!("Walker {number}");
        world.neighbours.agents.push(registered(&world.env, world.env.new_id(), world.env.new_id(), &name));
    }
    world.until_agents(5).await;
    let account: AccountId = world.env.new_id();
    let agent: AgentId = world.env.new_id();
    let request =
        SearchAgentsRequest { page_size: 2, query: "walker".to_owned(), ..SearchAgentsRequest::default() };
    let first = world.client().search_agents(world.by(account, request.clone())).await.unwrap().into_inner();
    assert_eq!(first.hits.len(), 2);
    let next = SearchAgentsRequest { page_token: first.next_page_token, ..request };
    let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned());
    let refused = world.client().search_agents(world.by(world.env.new_id(), next.clone())).await;
    assert_eq!(refusal(refused), invalid);
    let refused = world.client().search_agents(world.with(account, Some(agent), next.clone())).await;
    assert_eq!(refusal(refused), invalid);
    let changes: [fn(&mut SearchAgentsRequest); 5] = [
        |request| request.query = "walk".to_owned(),
        |request| request.include_retired = true,
        |request| request.min_completed_tasks = 1,
        |request| request.page_token.push('A'),
        |request| request.page_token = "nonsense".to_owned(),
    ];
    for change in changes {
        let mut other = next.clone();
        change(&mut other);
        assert_eq!(refusal(world.client().search_agents(world.by(account, other)).await), invalid);
    }
    let other = SearchTasksRequest { page_token: next.page_token.clone(), ..mine() };
    assert_eq!(refusal(tasks(&world, account, None, other).await), invalid);
    // Another size is fine.
    let rest = SearchAgentsRequest { page_size: 100, ..next };
    let rest = world.client().search_agents(world.by(account, rest)).await.unwrap().into_inner();
    assert_eq!((rest.hits.len(), rest.next_page_token.as_str()), (3, ""));
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_refused() {
    let world = World::new().await;
    let account: AccountId = world.env.new_id();
    let agents = async |change: fn(&mut SearchAgentsRequest)| {
        let mut request = SearchAgentsRequest::default();
        change(&mut request);
        bad_fields(world.client().search_agents(world.by(account, request)).await)
    };
    assert_eq!(agents(|request| request.query = "x".repeat(257)).await, ["query"]);
    assert_eq!(agents(|request| request.page_size = 101).await, ["page_size"]);
    assert_eq!(agents(|request| request.min_completed_tasks = -1).await, ["min_completed_tasks"]);
    assert_eq!(
        agents(|request| request.capabilities = vec!["Not one".to_owned()]).await,
        ["capabilities[0]"]
    );
    let refused = async |change: fn(&mut SearchTasksRequest)| {
        let mut request = SearchTasksRequest::default();
        change(&mut request);
        bad_fields(tasks(&world, account, None, request).await)
    };
    assert_eq!(refused(|request| request.view = 7).await, ["view"]);
    assert_eq!(refused(|request| request.states = vec![State::Open.into()]).await, ["states"]);
    let odd = refused(|request| {
        (request.view, request.states) = (View::Mine.into(), vec![0, State::Open.into()]);
    });
    assert_eq!(odd.await, ["states[0]"]);
    assert_eq!(refused(|request| request.states = vec![99]).await, ["states[0]"]);
    let suggest = SuggestRequest { prefix: "x".repeat(65), ..SuggestRequest::default() };
    assert_eq!(bad_fields(world.client().suggest(world.by(account, suggest)).await), ["prefix"]);
    let bare = world.client().search_agents(Request::new(SearchAgentsRequest::default())).await;
    assert_eq!(refusal(bare), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
}

#[tokio::test]
async fn suggestions_say_what_they_are() {
    let world = World::new().await;
    let agent: AgentId = world.env.new_id();
    world.neighbours.agents.push(registered(&world.env, agent, world.env.new_id(), "Counter"));
    world.until_agents(1).await;
    let request = SuggestRequest { prefix: "coun".to_owned(), max_suggestions: 0 };
    let found = world.client().suggest(world.by(world.env.new_id(), request)).await.unwrap().into_inner();
    let told: Vec<_> = found.suggestions.into_iter().map(|found| (found.text, found.kind.unwrap())).collect();
    let capability = ("text.count".to_owned(), Kind::CapabilityAgents(1));
    assert_eq!(told, [capability, ("Counter".to_owned(), Kind::AgentId(agent.to_string()))]);
}

#[tokio::test]
async fn a_database_that_is_gone_is_said_to_be_and_its_return_is_noticed() {
    let (world, proxy) = World::behind_a_proxy().await;
    world.neighbours.agents.push(registered(&world.env, world.env.new_id(), world.env.new_id(), "Counter"));
    world.until_agents(1).await;
    proxy.refuse(true);
    proxy.cut();
    let request = || world.by(world.env.new_id(), SearchAgentsRequest::default());
    let refused = world.client().search_agents(request()).await;
    assert_eq!(refusal(refused), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    proxy.heal();
    world.neighbours.agents.push(registered(&world.env, world.env.new_id(), world.env.new_id(), "Second"));
    eventually(SOON, "it answers again", async || {
        world.client().search_agents(request()).await.is_ok_and(|answer| answer.into_inner().hits.len() == 2)
    })
    .await;
}

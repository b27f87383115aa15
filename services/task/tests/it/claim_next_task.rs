//! ClaimNextTask.

use std::collections::HashSet;
use std::time::Duration;

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{ClaimNextTaskRequest, ClaimNextTaskResponse, CreateTaskRequest};
use tonic::{Code, Status};

use crate::support::{Agent, PRICE, World, offer, refusal, said, uuid};

fn wish(world: &World, agent: &Agent) -> ClaimNextTaskRequest {
    ClaimNextTaskRequest {
        request_id: uuid(&world.env),
        agent_id: agent.id.to_string(),
        capabilities: vec!["text.greet".to_owned()],
        min_payee_msat: 0,
    }
}

async fn next(
    world: &World,
    agent: &Agent,
    request: ClaimNextTaskRequest,
) -> Result<ClaimNextTaskResponse, Status> {
    Ok(world.client().claim_next_task(world.by(agent.account, request)).await?.into_inner())
}

#[tokio::test]
async fn a_task_set_aside_can_be_claimed_by_that_agent_alone_until_the_time_is_up() {
    let world = World::new().await;
    let task = world.open().await;
    let (agent, rival) = (&world.agent, world.another_agent());
    let answer = next(&world, agent, wish(&world, agent)).await.unwrap();
    let open = answer.task.unwrap();
    assert_eq!((open.task_id.as_str(), open.next_claim_number), (task.task_id.as_str(), 1));
    assert_eq!(open.terms, task.terms);

    let outcome = world.client().claim_task(world.by(rival.account, rival.claim(&task, 1))).await;
    assert_eq!(refusal(outcome).1, "CLAIM_NOT_HELD");
    let outcome = next(&world, &rival, wish(&world, &rival)).await;
    assert_eq!(refusal(outcome), (Code::NotFound, "NO_OPEN_TASK".to_owned()));

    world.pass(Duration::from_secs(16)).await;
    poa_testkit::eventually(crate::support::SOON, "the reservation ends", async || {
        next(&world, &rival, wish(&world, &rival)).await.is_ok()
    })
    .await;
    world.claim(&rival, &task, 1).await;
}

#[tokio::test]
async fn the_same_request_gives_the_same_task() {
    let world = World::new().await;
    world.open().await;
    world.open().await;
    let request = wish(&world, &world.agent);
    let first = next(&world, &world.agent, request.clone()).await.unwrap();
    let again = next(&world, &world.agent, request.clone()).await.unwrap();
    assert_eq!(first.task.unwrap().task_id, again.task.unwrap().task_id);
    let other = ClaimNextTaskRequest { min_payee_msat: 1, ..request };
    assert_eq!(refusal(next(&world, &world.agent, other).await).1, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn only_what_matches_is_set_aside() {
    let world = World::new().await;
    let rival = world.another_agent();
    let direct = CreateTaskRequest { direct_agent_id: world.agent.id.to_string(), ..offer(&world.env) };
    world.create(direct).await.unwrap();
    let other =
        ClaimNextTaskRequest { capabilities: vec!["text.other".to_owned()], ..wish(&world, &world.agent) };
    assert!(next(&world, &world.agent, other).await.is_err());
    let dear = ClaimNextTaskRequest { min_payee_msat: PRICE, ..wish(&world, &world.agent) };
    assert!(next(&world, &world.agent, dear).await.is_err());
    assert!(next(&world, &rival, wish(&world, &rival)).await.is_err());
    assert!(next(&world, &world.agent, wish(&world, &world.agent)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_eight_tasks_set_aside_at_most_whichever_agents_it_names() {
    let world = World::new().await;
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(world.open().await);
    }
    let calls = (0..10).map(|_| {
        // An agent that nobody ever registered.
        let invented = Agent { id: world.env.new_id(), ..world.agent.clone() };
        let request = world.by(invented.account, wish(&world, &invented));
        let mut client = world.client();
        tokio::spawn(async move { client.claim_next_task(request).await })
    });
    let mut got = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(answer) => got.push(answer.into_inner().task.unwrap().task_id),
            Err(status) => {
                let outcome: Result<(), Status> = Err(status);
                assert_eq!(refusal(outcome.clone()), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
                assert_eq!(said(outcome, "limit"), "8");
            }
        }
    }
    assert_eq!(got.len(), 8);
    // Others find what is left, and the account goes on once it claims what it has.
    let rival = world.another_agent();
    next(&world, &rival, wish(&world, &rival)).await.unwrap();
    assert_eq!(refusal(next(&world, &world.agent, wish(&world, &world.agent)).await).1, "QUOTA_EXCEEDED");
    world.pass(Duration::from_secs(16)).await;
    poa_testkit::eventually(crate::support::SOON, "the reservations end", async || {
        next(&world, &world.agent, wish(&world, &world.agent)).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_malformed_wish_is_refused() {
    let world = World::new().await;
    let bad = ClaimNextTaskRequest { capabilities: vec!["A B".to_owned()], ..wish(&world, &world.agent) };
    assert_eq!(crate::support::bad_fields(next(&world, &world.agent, bad).await), ["capabilities[0]"]);
    let none = ClaimNextTaskRequest { capabilities: vec![], ..wish(&world, &world.agent) };
    assert_eq!(crate::support::bad_fields(next(&world, &world.agent, none).await), ["capabilities"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_share_many_tasks_and_each_task_goes_to_one() {
    const TASKS: usize = 100;
    let world = std::sync::Arc::new(World::new().await);
    let mut offers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let world = std::sync::Arc::clone(&world);
        offers.spawn(async move {
            for _ in 0..TASKS.div_ceil(8) {
                world.open().await;
            }
        });
    }
    offers.join_all().await;
    let open = usize::try_from(world.count("SELECT count(*) FROM open_tasks").await).unwrap();

    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let world = std::sync::Arc::clone(&world);
        workers.spawn(async move {
            let agent = world.another_agent();
            let mut mine = Vec::new();
            while let Ok(answer) = next(&world, &agent, wish(&world, &agent)).await {
                let task = answer.task.unwrap();
                let number = u32::try_from(task.next_claim_number).unwrap();
                let request = agent.claim_with(&task.task_id, &agent.acceptance(&task.terms, number));
                let claimed = world.client().claim_task(world.by(agent.account, request)).await.unwrap();
                assert_eq!(claimed.into_inner().task.unwrap().state(), State::Claimed);
                mine.push(task.task_id);
            }
            mine
        });
    }
    let claimed: Vec<String> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), open);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), open);
}

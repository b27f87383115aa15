//! How events come into the index: again, late, broken, and after a restart or a loss on either side.

use poa_common::{AccountId, AgentId, TaskId};
use poa_proto::auth::v1::{AgentEvent, agent};
use poa_proto::search::v1::ReindexRequest;
use poa_proto::task::v1::TaskEvent;
use poa_proto::task::v1::task::State;
use poa_testkit::eventually;
use tonic::{Code, Request};

use crate::world::{SOON, World, changed, held, logged, registered, stamp};

/// An agent with a completed task and two statements, told by all three neighbours.
async fn story(world: &World) -> (AgentId, AccountId) {
    let (agent, account): (AgentId, AccountId) = (world.env.new_id(), world.env.new_id());
    let task: TaskId = world.env.new_id();
    let requester = world.env.new_id();
    world.neighbours.agents.push(registered(&world.env, agent, account, "Counter"));
    for (version, state) in [(1, State::Open), (2, State::Claimed), (3, State::Completed)] {
        let event = changed(&world.env, task, requester, state, version);
        world.neighbours.tasks.push(if version == 1 { event } else { held(event, agent, account) });
    }
    world.neighbours.statements.push(logged(&world.env, agent, 1));
    world.neighbours.statements.push(logged(&world.env, agent, 2));
    world.until_numbers(1, 2).await;
    (agent, account)
}

#[tokio::test]
async fn what_the_services_tell_is_found() {
    let world = World::new().await;
    let (agent, account) = story(&world).await;
    let hit = world.agents("counter").await.remove(0);
    let found = hit.agent.unwrap();
    assert_eq!((found.agent_id, found.account_id), (agent.to_string(), account.to_string()));
    assert_eq!((hit.typical_price_msat, hit.last_completed_time.is_some()), (1_000, true));
    // The platform's own statements count for nobody.
    let mut own = logged(&world.env, agent, 3);
    own.agent_id = String::new();
    world.neighbours.statements.push(own);
    world.until_cursors(1, 3, 3).await;
    world.until_numbers(1, 2).await;
    // Retired, it is found no more.
    let mut retired = registered(&world.env, agent, account, "Counter");
    retired.agent.as_mut().unwrap().state = agent::State::Retired.into();
    world.neighbours.agents.push(retired);
    world.until_agents(0).await;
}

#[tokio::test]
async fn what_is_told_again_counts_once() {
    let world = World::new().await;
    story(&world).await;
    for round in 1..=3 {
        world.neighbours.agents.repeat(5);
        world.neighbours.tasks.repeat(5);
        world.neighbours.statements.repeat(5);
        world.neighbours.agents.cut();
        world.neighbours.tasks.cut();
        world.neighbours.statements.cut();
        eventually(SOON, "all streams are open again", async || {
            let feeds = &world.neighbours;
            [feeds.agents.cursors(), feeds.tasks.cursors(), feeds.statements.cursors()]
                .iter()
                .all(|cursors| cursors.len() > round)
        })
        .await;
    }
    // What comes after all that was repeated tells that the repetitions are in.
    world.neighbours.agents.push(AgentEvent::default());
    world.neighbours.tasks.push(TaskEvent::default());
    world.neighbours.statements.push(logged(&world.env, world.env.new_id(), 3));
    world.until_cursors(2, 4, 3).await;
    world.until_numbers(1, 2).await;
}

#[tokio::test]
async fn events_out_of_their_order_end_in_the_newest_state() {
    let world = World::new().await;
    let task: TaskId = world.env.new_id();
    let requester = world.env.new_id();
    for (version, state) in [(4, State::Open), (2, State::Claimed), (3, State::Canceled), (1, State::Funding)]
    {
        world.neighbours.tasks.push(changed(&world.env, task, requester, state, version));
    }
    world.until_cursors(0, 4, 0).await;
    assert_eq!(world.market().await[0].task_id, task.to_string());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_nothing_behind_it() {
    let world = World::new().await;
    let good = |name: &str| registered(&world.env, world.env.new_id(), world.env.new_id(), name);
    let bad = |change: fn(&mut poa_proto::auth::v1::Agent)| {
        let mut event = good("bad");
        change(event.agent.as_mut().unwrap());
        event
    };
    world.neighbours.agents.push(good("first"));
    world.neighbours.agents.push(AgentEvent::default());
    world.neighbours.agents.push(bad(|agent| agent.agent_id = "agent_x".to_owned()));
    world.neighbours.agents.push(bad(|agent| agent.name = "a\0b".to_owned()));
    world.neighbours.agents.push(bad(|agent| agent.state = 77));
    world.neighbours.agents.push(bad(|agent| agent.capabilities = vec!["Not one".to_owned()]));
    // Kept by no database: PostgreSQL's times end in the year 294276, and our own earlier.
    let mut late = good("late");
    late.event_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    world.neighbours.agents.push(late);
    world.neighbours.agents.push(good("last"));
    world.until_cursors(8, 0, 0).await;
    world.until_agents(2).await;
    let mut event = changed(&world.env, world.env.new_id(), world.env.new_id(), State::Open, 1);
    event.task.as_mut().unwrap().claim = Some(poa_proto::task::v1::Claim::default());
    world.neighbours.tasks.push(event);
    world.neighbours.tasks.push(changed(&world.env, world.env.new_id(), world.env.new_id(), State::Open, 1));
    world.until_cursors(8, 2, 0).await;
    assert_eq!(world.market().await.len(), 1);
}

#[tokio::test]
async fn an_event_that_cannot_be_kept_stops_nothing_behind_it() {
    let world = World::new().await;
    world.sql("ALTER TABLE tasks ADD CONSTRAINT tasks_no_poison CHECK (price_msat <> 666)").await;
    let event = |price| {
        let mut event = changed(&world.env, world.env.new_id(), world.env.new_id(), State::Open, 1);
        event.task.as_mut().unwrap().price_msat = price;
        event
    };
    for price in [1_000, 666, 1_001, 666] {
        world.neighbours.tasks.push(event(price));
    }
    world.until_cursors(0, 4, 0).await;
    assert_eq!(world.market().await.len(), 2);
}

#[tokio::test]
async fn a_restarted_service_goes_on_where_it_was() {
    let mut world = World::new().await;
    story(&world).await;
    world.until_cursors(1, 3, 2).await;
    world.restart().await;
    world.neighbours.agents.push(registered(&world.env, world.env.new_id(), world.env.new_id(), "Second"));
    world.until_agents(2).await;
    assert_eq!(world.neighbours.agents.cursors().last().unwrap(), "1");
    assert_eq!(world.neighbours.tasks.cursors().last().unwrap(), "3");
}

#[tokio::test]
async fn two_replicas_that_follow_the_same_events_count_each_once() {
    let mut world = World::new().await;
    let first = world.second().await;
    eventually(SOON, "both follow", async || {
        let feeds = &world.neighbours;
        [feeds.agents.cursors(), feeds.tasks.cursors(), feeds.statements.cursors()]
            .iter()
            .all(|cursors| cursors.len() >= 2)
    })
    .await;
    let (agent, account) = story(&world).await;
    for number in 0..40 {
        let event = changed(&world.env, world.env.new_id(), world.env.new_id(), State::Completed, 5);
        world.neighbours.tasks.push(held(event, agent, account));
        world.neighbours.statements.push(logged(&world.env, agent, 3 + number));
    }
    world.until_cursors(1, 43, 42).await;
    world.until_numbers(41, 42).await;
    first.stop(std::time::Duration::from_secs(10)).await;
    // What the second one counts by itself comes behind all that it has heard of.
    let event = changed(&world.env, world.env.new_id(), world.env.new_id(), State::Completed, 5);
    world.neighbours.tasks.push(held(event, agent, account));
    world.neighbours.statements.push(logged(&world.env, agent, 43));
    world.until_numbers(42, 43).await;
}

#[tokio::test]
async fn a_lost_index_is_built_again() {
    let world = World::new().await;
    story(&world).await;
    for loss in [
        "TRUNCATE agents",
        "TRUNCATE tasks",
        "TRUNCATE capabilities",
        "DELETE FROM index_state",
        "TRUNCATE sources",
        "TRUNCATE agents, tasks, capabilities, sources, index_state",
        "DROP TABLE tasks",
        "DROP TABLE index_state, sources",
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
    ] {
        let before = world.neighbours.tasks.cursors().len();
        world.sql(loss).await;
        eventually(SOON, &format!("{loss}: everything is read again"), async || {
            let cursors = world.neighbours.tasks.cursors();
            cursors.len() > before && cursors[before..].contains(&String::new())
        })
        .await;
        world.until_cursors(1, 3, 2).await;
        world.until_numbers(1, 2).await;
    }
}

#[tokio::test]
async fn an_index_that_reaches_beyond_a_restored_service_is_built_again() {
    let world = World::new().await;
    story(&world).await;
    world.neighbours.agents.push(registered(&world.env, world.env.new_id(), world.env.new_id(), "Forgotten"));
    world.until_agents(2).await;
    world.neighbours.agents.restore(1);
    world.until_agents(1).await;
    assert_eq!(world.agents("").await[0].agent.as_ref().unwrap().name, "Counter");
    world.until_numbers(1, 2).await;
}

#[tokio::test]
async fn an_operator_has_the_index_built_again() {
    let world = World::new().await;
    story(&world).await;
    let mut request = Request::new(ReindexRequest {});
    let bearer = format!("Bearer {}", world.admin_token());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let dropped = world.admin().reindex(request).await.unwrap().into_inner();
    assert_eq!((dropped.dropped_agents, dropped.dropped_tasks), (1, 1));
    world.until_numbers(1, 2).await;
    // Nobody else has.
    let refused = world.admin().reindex(Request::new(ReindexRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = world.admin().reindex(world.by(world.env.new_id(), ReindexRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn an_agents_event_without_a_time_is_passed_over() {
    let world = World::new().await;
    let mut event = registered(&world.env, world.env.new_id(), world.env.new_id(), "Timeless");
    event.event_time = None;
    world.neighbours.agents.push(event.clone());
    event.event_time = Some(stamp(world.env.now()));
    world.neighbours.agents.push(event);
    world.until_cursors(2, 0, 0).await;
    world.until_agents(1).await;
}

//! RenewClaim.

use std::time::Duration;

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{ReleaseClaimRequest, RenewClaimRequest};
use tonic::{Code, Status};

use crate::support::{Agent, World, refusal, uuid};

async fn renew(world: &World, agent: &Agent, task: &str) -> Result<i64, Status> {
    let request = RenewClaimRequest { request_id: uuid(&world.env), task_id: task.to_owned() };
    let answer = world.client().renew_claim(world.by(agent.account, request)).await?;
    Ok(answer.into_inner().task.unwrap().claim.unwrap().lease_expire_time.unwrap().seconds)
}

#[tokio::test]
async fn a_renewed_claim_outlives_its_lease_and_one_that_is_not_lapses() {
    let world = World::new().await;
    let task = world.open().await;
    world.claim(&world.agent, &task, 1).await;
    for _ in 0..3 {
        world.pass(Duration::from_secs(40)).await;
        renew(&world, &world.agent, &task.task_id).await.unwrap();
    }
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Claimed);
    world.pass(Duration::from_secs(61)).await;
    let task = world.until(&task.task_id, State::Open).await;
    assert!(task.claim.is_none() && task.note.contains("lease"), "{}", task.note);
    // It was theirs, so they hear why not.
    let outcome = renew(&world, &world.agent, &task.task_id).await;
    assert_eq!(refusal(outcome), (Code::FailedPrecondition, "CLAIM_NOT_HELD".to_owned()));
    // The next claim has the next number.
    let (claimed, _) = world.claim(&world.another_agent(), &task, 2).await;
    assert_eq!(claimed.claim.unwrap().claim_number, 2);
    let outcome = renew(&world, &world.agent, &task.task_id).await;
    assert_eq!(refusal(outcome).1, "CLAIM_NOT_HELD");
}

#[tokio::test]
async fn no_lease_reaches_beyond_the_working_time() {
    let world = World::new().await;
    let offer = poa_proto::task::v1::CreateTaskRequest {
        work_duration: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
        ..crate::support::offer(&world.env)
    };
    let task = world.create(offer).await.unwrap();
    let (claimed, _) = world.claim(&world.agent, &task, 1).await;
    let end = claimed.claim.unwrap().work_expire_time.unwrap().seconds;
    world.pass(Duration::from_secs(50)).await;
    let lease = renew(&world, &world.agent, &task.task_id).await.unwrap();
    assert!(lease <= end, "{lease} is after {end}");
    world.pass(Duration::from_secs(41)).await;
    let task = world.until(&task.task_id, State::Open).await;
    assert!(task.note.contains("working time"), "{}", task.note);
}

#[tokio::test]
async fn a_stranger_learns_nothing_and_the_requester_that_it_is_not_his() {
    let world = World::new().await;
    let task = world.open().await;
    world.claim(&world.agent, &task, 1).await;
    let stranger = world.another_agent();
    assert_eq!(
        refusal(renew(&world, &stranger, &task.task_id).await),
        (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned())
    );
    let requester = Agent { account: world.requester, ..stranger };
    assert_eq!(refusal(renew(&world, &requester, &task.task_id).await).1, "CLAIM_NOT_HELD");
}

#[tokio::test]
async fn a_repeated_request_tells_nothing_of_whoever_holds_the_task_now() {
    let world = World::new().await;
    let task = world.open().await;
    let (first, second) = (&world.agent, world.another_agent());
    world.claim(first, &task, 1).await;
    let renewal = RenewClaimRequest { request_id: uuid(&world.env), task_id: task.task_id.clone() };
    let release = ReleaseClaimRequest {
        request_id: uuid(&world.env),
        task_id: task.task_id.clone(),
        reason: "too hard".to_owned(),
    };
    world.client().renew_claim(world.by(first.account, renewal.clone())).await.unwrap();
    world.client().release_claim(world.by(first.account, release.clone())).await.unwrap();
    let open = world.until(&task.task_id, State::Open).await;
    world.claim(&second, &open, 2).await;
    let renewed = world.client().renew_claim(world.by(first.account, renewal)).await.unwrap();
    let released = world.client().release_claim(world.by(first.account, release)).await.unwrap();
    for seen in [renewed.into_inner().task.unwrap(), released.into_inner().task.unwrap()] {
        assert_eq!((seen.task_id.as_str(), seen.state()), (task.task_id.as_str(), State::Claimed));
        assert!(seen.claim.is_none() && seen.waiting.is_none() && seen.note.is_empty(), "{seen:?}");
    }
}

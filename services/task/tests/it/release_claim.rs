//! ReleaseClaim.

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{ReleaseClaimRequest, Task};
use tonic::{Code, Status};

use crate::support::{Agent, World, refusal, uuid};

async fn release(world: &World, agent: &Agent, request: ReleaseClaimRequest) -> Result<Task, Status> {
    let answer = world.client().release_claim(world.by(agent.account, request)).await?;
    Ok(answer.into_inner().task.unwrap())
}

#[tokio::test]
async fn a_claim_given_back_opens_the_task_and_the_same_request_again_changes_nothing() {
    let world = World::new().await;
    let task = world.open().await;
    world.claim(&world.agent, &task, 1).await;
    let request = ReleaseClaimRequest {
        request_id: uuid(&world.env),
        task_id: task.task_id.clone(),
        reason: "too hard".to_owned(),
    };
    let open = release(&world, &world.agent, request.clone()).await.unwrap();
    assert_eq!((open.state(), open.note.as_str()), (State::Open, "too hard"));
    let (_, acceptance) = world.claim(&world.agent, &task, 2).await;
    // A late copy does not release the second claim.
    release(&world, &world.agent, request.clone()).await.unwrap();
    let done = world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    assert_eq!(done.state(), State::Completed);
    let other = ReleaseClaimRequest { reason: "else".to_owned(), ..request };
    assert_eq!(refusal(release(&world, &world.agent, other).await).1, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn only_the_claimant_gives_a_claim_back() {
    let world = World::new().await;
    let task = world.open().await;
    let request = || ReleaseClaimRequest {
        request_id: uuid(&world.env),
        task_id: task.task_id.clone(),
        reason: String::new(),
    };
    assert_eq!(refusal(release(&world, &world.agent, request()).await).1, "CLAIM_NOT_HELD");
    world.claim(&world.agent, &task, 1).await;
    let stranger = world.another_agent();
    assert_eq!(refusal(release(&world, &stranger, request()).await).0, Code::NotFound);
}

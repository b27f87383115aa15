//! CancelTask.

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{CancelTaskRequest, ReleaseClaimRequest, Task};
use proof_of_agent::statement::Kind;
use tonic::{Code, Status};

use crate::support::{World, offer, refusal, said, uuid};

async fn cancel(world: &World, account: poa_common::AccountId, task: &str) -> Result<Task, Status> {
    let request = CancelTaskRequest { request_id: uuid(&world.env), task_id: task.to_owned() };
    let answer = world.client().cancel_task(world.by(account, request)).await?;
    Ok(answer.into_inner().task.unwrap())
}

#[tokio::test]
async fn an_open_task_is_cancelled_and_refunded_and_cancelling_again_is_ok() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    let task = world.open().await;
    for _ in 0..2 {
        assert_eq!(cancel(&world, world.requester, &task.task_id).await.unwrap().state(), State::Canceled);
    }
    assert_eq!((world.escrow.balance(world.requester), world.escrow.held()), (before, 0));
    assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered, Kind::Settlement]);
    assert_eq!(world.count("SELECT count(*) FROM open_tasks").await, 0);
}

#[tokio::test]
async fn a_task_that_was_claimed_once_ends_with_a_decision() {
    let world = World::new().await;
    let task = world.open().await;
    world.claim(&world.agent, &task, 1).await;
    let outcome = cancel(&world, world.requester, &task.task_id).await;
    assert_eq!(said(outcome, "state"), "CLAIMED");
    let release = ReleaseClaimRequest {
        request_id: uuid(&world.env),
        task_id: task.task_id.clone(),
        reason: String::new(),
    };
    world.client().release_claim(world.by(world.agent.account, release)).await.unwrap();
    assert_eq!(cancel(&world, world.requester, &task.task_id).await.unwrap().state(), State::Canceled);
    assert_eq!(
        world.attestation.kinds(&task.task_id),
        [Kind::TermsOffered, Kind::TermsAccepted, Kind::Decision, Kind::Settlement]
    );
}

#[tokio::test]
async fn a_task_that_is_still_funding_can_be_cancelled_before_and_after_the_hold() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    world.escrow.faults.down("hold");
    let unheld = world.create(offer(&world.env)).await.unwrap();
    assert_eq!(unheld.state(), State::Funding);
    assert_eq!(cancel(&world, world.requester, &unheld.task_id).await.unwrap().state(), State::Canceled);
    world.escrow.faults.up("hold");

    world.attestation.faults.down("append");
    let held = world.create(offer(&world.env)).await.unwrap();
    assert_eq!((held.state(), world.escrow.held()), (State::Funding, held.price_msat));
    let refunding = cancel(&world, world.requester, &held.task_id).await.unwrap();
    assert_eq!(refunding.state(), State::Refunding);
    // The sats are back though the log is down.
    assert_eq!((world.escrow.balance(world.requester), world.escrow.held()), (before, 0));
    world.attestation.faults.up("append");
    world.until(&held.task_id, State::Canceled).await;
    assert_eq!(world.attestation.kinds(&held.task_id), [Kind::TermsOffered, Kind::Settlement]);
}

#[tokio::test]
async fn a_task_that_is_paid_cannot_be_cancelled_and_others_tasks_are_not_found() {
    let world = World::new().await;
    let task = world.open().await;
    for account in [world.agent.account, world.env.new_id()] {
        assert_eq!(refusal(cancel(&world, account, &task.task_id).await).0, Code::NotFound);
    }
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    let outcome = cancel(&world, world.requester, &task.task_id).await;
    assert_eq!(refusal(outcome), (Code::FailedPrecondition, "TASK_STATE".to_owned()));
}

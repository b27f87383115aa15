//! AcceptResult.

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::waiting::Actor;
use poa_proto::task::v1::{AcceptResultRequest, Task};
use proof_of_agent::DecisionKind;
use tonic::{Code, Status};

use crate::support::{FEE, PRICE, World, refusal, said, uuid};

async fn accept(world: &World, account: poa_common::AccountId, task: &str) -> Result<Task, Status> {
    let request = AcceptResultRequest { request_id: uuid(&world.env), task_id: task.to_owned() };
    let answer = world.client().accept_result(world.by(account, request)).await?;
    Ok(answer.into_inner().task.unwrap())
}

#[tokio::test]
async fn an_accepted_result_is_paid_and_accepting_it_again_is_ok() {
    let world = World::new().await;
    let (task, _) = world.submitted().await;
    let waiting = task.waiting.unwrap();
    assert_eq!(waiting.actor(), Actor::Requester);
    assert!(waiting.deadline.is_some());
    assert_eq!(world.escrow.balance(world.agent.account), 0);
    for _ in 0..2 {
        let done = accept(&world, world.requester, &task.task_id).await.unwrap();
        assert_eq!(done.state(), State::Completed);
    }
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    let chain = world.attestation.chain(&task.task_id);
    assert_eq!(chain[4].body().as_decision().unwrap().kind, DecisionKind::Accepted);
    assert_eq!(chain.len(), 6);
}

#[tokio::test]
async fn only_the_requester_accepts_and_only_what_was_submitted() {
    let world = World::new().await;
    let task = world.open_for_review().await;
    let outcome = accept(&world, world.requester, &task.task_id).await;
    assert_eq!(refusal(outcome.clone()), (Code::FailedPrecondition, "TASK_STATE".to_owned()));
    assert_eq!(said(outcome, "state"), "OPEN");
    let (task, _) = world.submitted().await;
    for account in [world.agent.account, world.env.new_id()] {
        assert_eq!(refusal(accept(&world, account, &task.task_id).await).0, Code::NotFound);
    }
}

#[tokio::test]
async fn the_request_id_of_an_accept_is_good_for_no_other_task() {
    let world = World::new().await;
    let (first, _) = world.submitted().await;
    let (second, _) = world.submitted().await;
    let id = uuid(&world.env);
    let request = |task: &Task| AcceptResultRequest { request_id: id.clone(), task_id: task.task_id.clone() };
    for _ in 0..2 {
        let done = world.client().accept_result(world.by(world.requester, request(&first))).await.unwrap();
        assert_eq!(done.into_inner().task.unwrap().task_id, first.task_id);
    }
    let other = world.client().accept_result(world.by(world.requester, request(&second))).await;
    assert_eq!(refusal(other), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

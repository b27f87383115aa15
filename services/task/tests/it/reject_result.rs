//! RejectResult.

use std::time::Duration;

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{RejectResultRequest, Task};
use proof_of_agent::{DecisionKind, SettlementKind};
use tonic::{Code, Status};

use crate::support::{FEE, PRICE, World, bad_fields, refusal, uuid};

fn verdict(world: &World, task: &str) -> RejectResultRequest {
    RejectResultRequest {
        request_id: uuid(&world.env),
        task_id: task.to_owned(),
        criterion: Some(0),
        reason: "not warm enough".to_owned(),
    }
}

async fn reject(world: &World, request: RejectResultRequest) -> Result<Task, Status> {
    let answer = world.client().reject_result(world.by(world.requester, request)).await?;
    Ok(answer.into_inner().task.unwrap())
}

#[tokio::test]
async fn after_a_rejection_the_agent_submits_another_result_and_is_paid() {
    let world = World::new().await;
    let (task, acceptance) = world.submitted().await;
    let request = verdict(&world, &task.task_id);
    let rejected = reject(&world, request.clone()).await.unwrap();
    assert_eq!((rejected.state(), rejected.note.as_str()), (State::Rejected, "not warm enough"));
    let chain = world.attestation.chain(&task.task_id);
    let decision = chain[4].body().as_decision().unwrap();
    assert_eq!((decision.kind, decision.failed_criterion), (DecisionKind::Rejected, Some(0)));

    let second = world.submit(&world.agent, &acceptance, &chain[4], b"hello, dear world").await.unwrap();
    assert_eq!(second.state(), State::Submitted);
    assert_eq!(second.result_summary.unwrap().size_bytes, 17);
    // A late copy of the rejection does not reject the second result.
    assert_eq!(reject(&world, request).await.unwrap().state(), State::Submitted);
    let accept = poa_proto::task::v1::AcceptResultRequest {
        request_id: uuid(&world.env),
        task_id: task.task_id.clone(),
    };
    let done = world.client().accept_result(world.by(world.requester, accept)).await.unwrap();
    assert_eq!(done.into_inner().task.unwrap().state(), State::Completed);
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    assert_eq!(world.attestation.chain(&task.task_id).len(), 9);
}

#[tokio::test]
async fn without_another_result_in_time_the_price_goes_back() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    let (task, acceptance) = world.submitted().await;
    reject(&world, verdict(&world, &task.task_id)).await.unwrap();
    let rejection = world.attestation.chain(&task.task_id)[4].clone();
    world.pass(Duration::from_secs(86_401)).await;
    let task = world.until(&task.task_id, State::Expired).await;
    assert_eq!(world.escrow.balance(world.requester), before);
    let chain = world.attestation.chain(&task.task_id);
    let last = chain.last().unwrap().body().as_settlement().unwrap();
    assert_eq!(last.kind, SettlementKind::Refunded);
    let outcome = world.submit(&world.agent, &acceptance, &rejection, b"hello again").await;
    assert_eq!(refusal(outcome).1, "CLAIM_NOT_HELD");
}

#[tokio::test]
async fn a_rejection_names_a_criterion_of_the_terms() {
    let world = World::new().await;
    let (task, _) = world.submitted().await;
    let none = RejectResultRequest { criterion: None, ..verdict(&world, &task.task_id) };
    assert_eq!(bad_fields(reject(&world, none).await), ["criterion"]);
    let other = RejectResultRequest { criterion: Some(1), ..verdict(&world, &task.task_id) };
    assert_eq!(bad_fields(reject(&world, other).await), ["criterion"]);
    let silent = RejectResultRequest { reason: String::new(), ..verdict(&world, &task.task_id) };
    assert_eq!(bad_fields(reject(&world, silent).await), ["reason"]);
}

#[tokio::test]
async fn a_second_receipt_that_is_refused_leaves_the_task_rejected_and_its_deadline_where_it_was() {
    let world = World::new().await;
    let (task, acceptance) = world.submitted().await;
    let rejected = reject(&world, verdict(&world, &task.task_id)).await.unwrap();
    let rejection = world.attestation.chain(&task.task_id)[4].clone();
    world.attestation.retire(world.agent.id);
    world.pass(Duration::from_secs(1_000)).await;
    let outcome = world.submit(&world.agent, &acceptance, &rejection, b"hello again").await;
    assert_eq!(refusal(outcome).1, "AGENT_NOT_ACTIVE");
    let task = world.get(world.requester, &task.task_id).await.unwrap();
    assert_eq!(task.state(), State::Rejected);
    // The first result is the latest again.
    assert_eq!(task.result_summary.unwrap().size_bytes, 5);
    let due = |waiting: Option<poa_proto::task::v1::Waiting>| waiting.unwrap().deadline.unwrap().seconds;
    assert!(due(task.waiting) <= due(rejected.waiting) - 900);
}

#[tokio::test]
async fn only_the_requester_rejects_and_only_what_waits_for_him() {
    let world = World::new().await;
    let task = world.open_for_review().await;
    let outcome = reject(&world, verdict(&world, &task.task_id)).await;
    assert_eq!(refusal(outcome), (Code::FailedPrecondition, "TASK_STATE".to_owned()));
    let (task, _) = world.submitted().await;
    let request = world.by(world.agent.account, verdict(&world, &task.task_id));
    assert_eq!(refusal(world.client().reject_result(request).await).0, Code::NotFound);
}

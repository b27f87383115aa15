//! SubmitResult.

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{Content, CreateTaskRequest, RemoteContent, SubmitResultRequest, content};
use proof_of_agent::statement::Kind;
use proof_of_agent::{Content as Named, DecisionKind, Digest};
use sqlx::{Connection as _, PgConnection};
use tonic::Code;

use crate::support::{FEE, PRICE, SOON, World, bad_fields, refusal, said, uuid};

const PAID: [Kind; 6] = [
    Kind::TermsOffered,
    Kind::TermsAccepted,
    Kind::WorkSubmitted,
    Kind::WorkReceived,
    Kind::Decision,
    Kind::Settlement,
];

#[tokio::test]
async fn a_result_that_meets_the_criteria_is_paid_in_the_same_call() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let done = world.submit(&world.agent, &acceptance, &acceptance, b"hello world").await.unwrap();
    assert_eq!(done.state(), State::Completed);
    assert!(done.waiting.is_none());
    assert_eq!(done.result_summary.unwrap().size_bytes, 11);
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    assert_eq!(world.escrow.held(), 0);
    assert_eq!(world.attestation.kinds(&task.task_id), PAID);
    let chain = world.attestation.chain(&task.task_id);
    let decision = chain[4].body().as_decision().unwrap();
    assert_eq!(decision.kind, DecisionKind::CriteriaMet);
    let settlement = chain[5].body().as_settlement().unwrap();
    assert_eq!(settlement.payee, Some(world.agent.account));
    assert_eq!(world.count("SELECT count(*) FROM sagas").await, 0);
}

#[tokio::test]
async fn a_result_that_fails_a_criterion_leaves_no_trace() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let outcome = world.submit(&world.agent, &acceptance, &acceptance, b"goodbye").await;
    assert_eq!(refusal(outcome.clone()), (Code::FailedPrecondition, "CRITERION_FAILED".to_owned()));
    assert_eq!(said(outcome, "criterion"), "0");
    let task = world.get(world.agent.account, &task.task_id).await.unwrap();
    assert_eq!(task.state(), State::Claimed);
    assert!(task.result_summary.is_none());
    assert_eq!(world.attestation.kinds(&task.task_id).len(), 2);
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
}

#[tokio::test]
async fn the_same_submission_again_pays_once() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let request = world.agent.submit(&acceptance, &acceptance, b"hello");
    let other_id = SubmitResultRequest { request_id: uuid(&world.env), ..request.clone() };
    for request in [request.clone(), request.clone(), other_id] {
        let answer = world.client().submit_result(world.by(world.agent.account, request)).await.unwrap();
        assert_eq!(answer.into_inner().task.unwrap().state(), State::Completed);
    }
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    let other = SubmitResultRequest {
        request_id: request.request_id,
        ..world.agent.submit(&acceptance, &acceptance, b"hello")
    };
    let outcome = world.client().submit_result(world.by(world.agent.account, other)).await;
    assert_eq!(refusal(outcome).1, "REQUEST_ID_REUSED");
}

/// The row is changed while the submission waits for it: what it then finds is not what it was checked for.
async fn while_it_waits(world: &World, change: &'static str, request: SubmitResultRequest) -> (Code, String) {
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    for statement in ["BEGIN", change] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let (mut client, request) = (world.client(), world.by(world.agent.account, request));
    let submitting = tokio::spawn(async move { client.submit_result(request).await });
    poa_testkit::eventually(SOON, "the submission waits for the row", async || {
        world.count(WAITING).await > 0
    })
    .await;
    sqlx::query("COMMIT").execute(&mut connection).await.unwrap();
    refusal(submitting.await.unwrap())
}

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test]
async fn a_result_that_was_not_checked_because_its_sender_held_no_claim_is_not_taken_if_he_does_later() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    world.sql("UPDATE task_status SET account_id = requester_id FROM tasks").await;
    let restore = "UPDATE task_status SET account_id =
        (SELECT account_id FROM statements WHERE kind = 2 AND account_id IS NOT NULL)";
    let request = world.agent.submit(&acceptance, &acceptance, b"goodbye");
    let outcome = while_it_waits(&world, restore, request).await;
    assert_eq!(outcome, (Code::Unavailable, "OVERLOADED".to_owned()));
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Claimed);
    assert_eq!(world.count("SELECT count(*) FROM results").await, 0);
    // Sent again it is checked.
    let outcome = world.submit(&world.agent, &acceptance, &acceptance, b"goodbye").await;
    assert_eq!(refusal(outcome).1, "CRITERION_FAILED");
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
}

#[tokio::test]
async fn a_result_that_was_not_checked_because_its_request_was_known_is_not_taken_once_that_is_forgotten() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    world
        .sql(
            "INSERT INTO idempotency_records (principal, method, request_id, fingerprint, response, created_at)
             SELECT account_id, 'poa.task.v1.TaskService/SubmitResult', 'a3bb189e-8bf9-4388-9912-ace4e6543002',
                    sha256('another request'), 'its answer', now()
             FROM task_status",
        )
        .await;
    let request = SubmitResultRequest {
        request_id: "a3bb189e-8bf9-4388-9912-ace4e6543002".to_owned(),
        ..world.agent.submit(&acceptance, &acceptance, b"goodbye")
    };
    let forget = "DELETE FROM idempotency_records WHERE method LIKE '%/SubmitResult'";
    let outcome = while_it_waits(&world, forget, request).await;
    assert_eq!(outcome, (Code::Unavailable, "OVERLOADED".to_owned()));
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Claimed);
    assert_eq!(world.count("SELECT count(*) FROM results").await, 0);
}

#[tokio::test]
async fn a_receipt_must_name_the_very_result() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let agent = &world.agent;
    let swapped = SubmitResultRequest {
        submission: agent.submit(&acceptance, &acceptance, b"hello there").submission,
        ..agent.submit(&acceptance, &acceptance, b"hello")
    };
    let outcome = world.client().submit_result(world.by(agent.account, swapped)).await;
    assert_eq!(refusal(outcome), (Code::InvalidArgument, "SIGNATURE_INVALID".to_owned()));
    // Right result, wrong acceptance.
    let other = world.open().await;
    let (_, other_acceptance) = world.claim(agent, &other, 1).await;
    let crossed = SubmitResultRequest {
        task_id: task.task_id.clone(),
        ..agent.submit(&other_acceptance, &other_acceptance, b"hello")
    };
    let outcome = world.client().submit_result(world.by(agent.account, crossed)).await;
    assert_eq!(refusal(outcome).1, "CHAIN_MISMATCH");
    let empty = SubmitResultRequest { result: None, ..agent.submit(&acceptance, &acceptance, b"hello") };
    let outcome = world.client().submit_result(world.by(agent.account, empty)).await;
    assert_eq!(bad_fields(outcome), ["result"]);
}

#[tokio::test]
async fn a_receipt_that_attestation_refuses_leaves_the_claim_as_it_was() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    world.attestation.retire(world.agent.id);
    let request = world.agent.submit(&acceptance, &acceptance, b"hello");
    let outcome = world.client().submit_result(world.by(world.agent.account, request)).await;
    assert_eq!(refusal(outcome).1, "AGENT_NOT_ACTIVE");
    let task = world.get(world.requester, &task.task_id).await.unwrap();
    assert_eq!(task.state(), State::Claimed);
    assert!(task.result.is_none());
    assert_eq!(world.count("SELECT count(*) FROM results").await, 0);
}

#[tokio::test]
async fn nobody_but_the_claimant_submits() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let stranger = world.another_agent();
    let request = world.agent.submit(&acceptance, &acceptance, b"hello");
    let outcome = world.client().submit_result(world.by(stranger.account, request.clone())).await;
    assert_eq!(refusal(outcome), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    let outcome = world.client().submit_result(world.by(world.requester, request)).await;
    assert_eq!(refusal(outcome).1, "CLAIM_NOT_HELD");
}

#[tokio::test]
async fn a_result_elsewhere_is_no_proof_by_itself() {
    let world = World::new().await;
    let remote = |acceptance: &proof_of_agent::Statement| {
        let agent = &world.agent;
        let output = Named::new(Digest::of(b"hello"), 5, "text/plain");
        let statement = acceptance.successor(agent.author(), agent.work(acceptance, output)).unwrap();
        SubmitResultRequest {
            request_id: uuid(&world.env),
            task_id: acceptance.context().task.to_string(),
            result: Some(Content {
                media_type: "text/plain".to_owned(),
                body: Some(content::Body::Remote(RemoteContent {
                    uri: "https://example.org/result".to_owned(),
                    sha256: Digest::of(b"hello").to_vec(),
                    size_bytes: 5,
                })),
            }),
            submission: agent.sign(&statement),
        }
    };
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let outcome = world.client().submit_result(world.by(world.agent.account, remote(&acceptance))).await;
    assert_eq!(refusal(outcome).1, "CRITERION_FAILED");
    // A person can judge it.
    let offer = CreateTaskRequest { criteria: vec![], ..crate::support::offer(&world.env) };
    let task = world.create(offer).await.unwrap();
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let answer = world.client().submit_result(world.by(world.agent.account, remote(&acceptance))).await;
    assert_eq!(answer.unwrap().into_inner().task.unwrap().state(), State::Submitted);
}

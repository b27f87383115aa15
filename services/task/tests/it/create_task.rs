//! CreateTask.

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::waiting::Actor;
use poa_proto::task::v1::{Content, CreateTaskRequest, Criterion, ReleasePolicy, content, criterion};
use proof_of_agent::statement::Kind;
use tonic::Code;

use crate::support::{FEE, PRICE, World, bad_fields, offer, refusal, said, uuid};

#[tokio::test]
async fn a_new_task_is_open_when_its_price_is_held_and_its_terms_are_logged() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    let task = world.create(offer(&world.env)).await.unwrap();
    assert_eq!(task.state(), State::Open);
    assert_eq!((task.price_msat, task.fee_msat, task.payee_msat), (PRICE, FEE, PRICE - FEE));
    assert_eq!(task.release_policy(), ReleasePolicy::OnAttestation);
    assert_eq!(task.waiting.unwrap().actor(), Actor::Agent);
    assert_eq!(world.escrow.held(), PRICE);
    assert_eq!(world.escrow.balance(world.requester), before - PRICE);
    let chain = world.attestation.chain(&task.task_id);
    assert_eq!(chain.len(), 1);
    assert_eq!(chain[0].payload(), task.terms);
    // Escrow heard the requester's own token, and nothing of it stays.
    assert!(world.escrow.tokens()[0].contains('.'));
    assert_eq!(world.count("SELECT count(*) FROM task_status WHERE payer_token IS NOT NULL").await, 0);
}

#[tokio::test]
async fn the_same_request_gives_the_same_task_and_another_payload_is_refused() {
    let world = World::new().await;
    let request = offer(&world.env);
    let first = world.create(request.clone()).await.unwrap();
    let again = world.create(request.clone()).await.unwrap();
    assert_eq!(first.task_id, again.task_id);
    assert_eq!(world.escrow.held(), PRICE);
    let other = CreateTaskRequest { price_msat: PRICE + 1, ..request };
    assert_eq!(refusal(world.create(other).await), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_copies_of_one_request_at_once_make_one_task() {
    let world = World::new().await;
    let request = offer(&world.env);
    let copies = (0..16).map(|_| {
        let (mut client, request) = (world.client(), world.by(world.requester, request.clone()));
        tokio::spawn(async move { client.create_task(request).await })
    });
    let mut tasks = Vec::new();
    for copy in copies.collect::<Vec<_>>() {
        tasks.push(copy.await.unwrap().unwrap().into_inner().task.unwrap().task_id);
    }
    tasks.dedup();
    assert_eq!(tasks.len(), 1);
    assert_eq!(world.escrow.held(), PRICE);
}

#[tokio::test]
async fn without_funds_nothing_is_held_and_the_same_request_may_be_tried_again() {
    let world = World::new().await;
    let poor = world.env.new_id();
    let request = offer(&world.env);
    let outcome = world.client().create_task(world.by(poor, request.clone())).await;
    assert_eq!(said(outcome, "needed_msat"), PRICE.to_string());
    world.escrow.deposit(poor, PRICE);
    let answer = world.client().create_task(world.by(poor, request)).await.unwrap();
    assert_eq!(answer.into_inner().task.unwrap().state(), State::Open);
    assert_eq!(world.escrow.balance(poor), 0);
    // The first attempt is there as what it was.
    assert_eq!(world.count("SELECT count(*) FROM task_status WHERE state = 9").await, 1);
}

#[tokio::test]
async fn the_server_chooses_acceptance_where_no_machine_can_decide() {
    let world = World::new().await;
    let manual = Criterion { check: Some(criterion::Check::Manual("it is nice".to_owned())) };
    let request = CreateTaskRequest { criteria: vec![manual], ..offer(&world.env) };
    assert_eq!(world.create(request).await.unwrap().release_policy(), ReleasePolicy::OnAcceptance);
    let direct = CreateTaskRequest {
        criteria: vec![],
        direct_agent_id: world.agent.id.to_string(),
        request_id: uuid(&world.env),
        ..offer(&world.env)
    };
    assert_eq!(world.create(direct).await.unwrap().release_policy(), ReleasePolicy::OnAttestation);
}

#[tokio::test]
async fn every_malformed_field_is_named_at_once() {
    let world = World::new().await;
    let check = |check| Criterion { check: Some(check) };
    let request = CreateTaskRequest {
        title: "two\nlines".to_owned(),
        capability: "Not Good".to_owned(),
        input: Some(Content::default()),
        criteria: vec![
            check(criterion::Check::Pattern("(".to_owned())),
            check(criterion::Check::JsonSchema("{\"$ref\":\"#\"}".to_owned())),
        ],
        direct_agent_id: "nobody".to_owned(),
        open_duration: Some(prost_types::Duration { seconds: 59, nanos: 0 }),
        work_duration: Some(prost_types::Duration { seconds: 10, nanos: 1 }),
        review_duration: Some(prost_types::Duration { seconds: 604_801, nanos: 0 }),
        ..offer(&world.env)
    };
    let mut fields = bad_fields(world.create(request).await);
    fields.sort();
    assert_eq!(
        fields,
        [
            "capability",
            "criteria[0]",
            "criteria[1]",
            "direct_agent_id",
            "input",
            "open_duration",
            "review_duration",
            "title",
            "work_duration",
        ]
    );
    assert_eq!(world.escrow.held(), 0);
}

#[tokio::test]
async fn release_on_attestation_needs_something_that_decides() {
    let world = World::new().await;
    let request = CreateTaskRequest {
        criteria: vec![],
        release_policy: ReleasePolicy::OnAttestation.into(),
        ..offer(&world.env)
    };
    assert_eq!(bad_fields(world.create(request).await), ["release_policy"]);
}

#[tokio::test]
async fn a_price_out_of_range_is_refused_with_the_range() {
    let world = World::new().await;
    let request = CreateTaskRequest { price_msat: 999, ..offer(&world.env) };
    let outcome = world.create(request.clone()).await;
    assert_eq!(refusal(outcome.clone()), (Code::FailedPrecondition, "PRICE_OUT_OF_RANGE".to_owned()));
    assert_eq!(said(outcome, "min_msat"), "1000");
}

#[tokio::test]
async fn an_input_elsewhere_is_named_by_its_digest() {
    let world = World::new().await;
    let remote = |uri: &str| Content {
        media_type: String::new(),
        body: Some(content::Body::Remote(poa_proto::task::v1::RemoteContent {
            uri: uri.to_owned(),
            sha256: vec![7; 32],
            size_bytes: 1 << 30,
        })),
    };
    let request = CreateTaskRequest { input: Some(remote("https://example.org/in")), ..offer(&world.env) };
    let task = world.create(request).await.unwrap();
    assert_eq!(task.input_summary.unwrap().sha256, [7; 32]);
    let request = CreateTaskRequest { input: Some(remote("http://example.org/in")), ..offer(&world.env) };
    assert_eq!(bad_fields(world.create(request).await), ["input.remote.uri"]);
}

#[tokio::test]
async fn while_attestation_is_down_the_task_is_funding_and_opens_by_itself_after() {
    let world = World::new().await;
    world.attestation.faults.down("append");
    let task = world.create(offer(&world.env)).await.unwrap();
    assert_eq!(task.state(), State::Funding);
    assert_eq!(task.waiting.unwrap().actor(), Actor::Platform);
    world.attestation.faults.up("append");
    world.until(&task.task_id, State::Open).await;
    assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered]);
}

#[tokio::test]
async fn a_task_whose_payers_token_ends_before_the_hold_is_cancelled() {
    let world = World::new().await;
    world.escrow.faults.down("hold");
    let task = world.create(offer(&world.env)).await.unwrap();
    assert_eq!(task.state(), State::Funding);
    world.clock.advance(std::time::Duration::from_secs(601));
    let task = world.until(&task.task_id, State::Canceled).await;
    assert!(task.note.contains("token"), "{}", task.note);
    world.escrow.faults.up("hold");
    assert_eq!(world.escrow.held(), 0);
    assert_eq!(world.attestation.kinds(&task.task_id), []);
}

//! ClaimTask.

use poa_proto::task::v1::ClaimTaskRequest;
use poa_proto::task::v1::task::State;
use proof_of_agent::statement::Kind;
use proof_of_agent::{DidKey, Statement, TermsAccepted};
use tonic::Code;

use crate::support::{Agent, World, bad_fields, refusal, said, uuid};

type Outcome = Result<poa_proto::task::v1::Task, tonic::Status>;

async fn try_claim(world: &World, agent: &Agent, request: ClaimTaskRequest) -> Outcome {
    let answer = world.client().claim_task(world.by(agent.account, request)).await?;
    Ok(answer.into_inner().task.unwrap())
}

#[tokio::test]
async fn a_claim_counts_once_the_acceptance_is_logged() {
    let world = World::new().await;
    let task = world.open().await;
    let (claimed, acceptance) = world.claim(&world.agent, &task, 1).await;
    assert_eq!(claimed.state(), State::Claimed);
    let claim = claimed.claim.unwrap();
    assert_eq!((claim.agent_id, claim.claim_number), (world.agent.id.to_string(), 1));
    assert!(claim.lease_expire_time.unwrap().seconds <= claim.work_expire_time.unwrap().seconds);
    let chain = world.attestation.chain(&task.task_id);
    assert_eq!(chain[1].digest(), acceptance.digest());
}

#[tokio::test]
async fn the_same_claim_again_gives_the_same_answer() {
    let world = World::new().await;
    let task = world.open().await;
    let request = world.agent.claim(&task, 1);
    try_claim(&world, &world.agent, request.clone()).await.unwrap();
    try_claim(&world, &world.agent, request.clone()).await.unwrap();
    // Under another request id too.
    let other = ClaimTaskRequest { request_id: uuid(&world.env), ..request.clone() };
    try_claim(&world, &world.agent, other).await.unwrap();
    let another_payload = ClaimTaskRequest { request_id: request.request_id, ..world.agent.claim(&task, 1) };
    let outcome = try_claim(&world, &world.agent, another_payload).await;
    assert_eq!(refusal(outcome), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered, Kind::TermsAccepted]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_agents_that_claim_one_task_at_once_one_gets_it() {
    let world = World::new().await;
    let task = world.open().await;
    let claims = (0..64).map(|_| {
        let agent = world.another_agent();
        let (mut client, request) = (world.client(), world.by(agent.account, agent.claim(&task, 1)));
        tokio::spawn(async move { client.claim_task(request).await })
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        match claim.await.unwrap() {
            Ok(_) => won += 1,
            Err(status) => assert_eq!(poa_chassis::failure(&status).reason, "CLAIM_NOT_HELD", "{status:?}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered, Kind::TermsAccepted]);
}

#[tokio::test]
async fn an_acceptance_that_says_something_else_than_the_call_is_refused() {
    let world = World::new().await;
    let task = world.open().await;
    let other = world.open().await;
    let agent = &world.agent;
    let offer = Statement::parse(&task.terms).unwrap();
    let says = |accepted: TermsAccepted| {
        agent.claim_with(&task.task_id, &offer.successor(agent.author(), accepted).unwrap())
    };
    let accepted = agent.acceptance(&task.terms, 1).body().as_terms_accepted().unwrap().clone();

    let wrong_account = says(TermsAccepted { account: world.requester, ..accepted.clone() });
    assert_eq!(said(try_claim(&world, agent, wrong_account).await, "problem"), "account");
    let wrong_agent = says(TermsAccepted { agent: world.env.new_id(), ..accepted.clone() });
    assert_eq!(said(try_claim(&world, agent, wrong_agent).await, "problem"), "agent");
    let wrong_number = says(TermsAccepted { claim_number: 2, ..accepted.clone() });
    let outcome = try_claim(&world, agent, wrong_number).await;
    assert_eq!(refusal(outcome.clone()), (Code::FailedPrecondition, "CHAIN_MISMATCH".to_owned()));
    assert_eq!(said(outcome, "problem"), "claimNumber");
    let too_long = says(TermsAccepted { lease_seconds: 61, ..accepted });
    assert_eq!(said(try_claim(&world, agent, too_long).await, "problem"), "leaseSeconds");
    let other_terms = agent.claim_with(&task.task_id, &agent.acceptance(&other.terms, 1));
    assert_eq!(refusal(try_claim(&world, agent, other_terms).await).1, "CHAIN_MISMATCH");

    let mut forged = agent.claim(&task, 1);
    forged.acceptance =
        String::from_utf8(forged.acceptance).unwrap().replacen(r#""sig":""#, r#""sig":"AA"#, 1).into_bytes();
    assert!(matches!(
        refusal(try_claim(&world, agent, forged).await).1.as_str(),
        "SIGNATURE_INVALID" | "FIELDS_INVALID"
    ));
    let foreign = ClaimTaskRequest {
        acceptance: world.another_agent().sign_as(agent, &task.terms),
        ..agent.claim(&task, 1)
    };
    assert_eq!(refusal(try_claim(&world, agent, foreign).await).1, "SIGNATURE_INVALID");
    let garbage = ClaimTaskRequest { acceptance: b"{}".to_vec(), ..agent.claim(&task, 1) };
    assert_eq!(bad_fields(try_claim(&world, agent, garbage).await), ["acceptance"]);
    assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered]);
}

#[tokio::test]
async fn a_claim_that_attestation_refuses_never_was() {
    let world = World::new().await;
    let task = world.open().await;
    world.attestation.retire(world.agent.id);
    let request = world.agent.claim(&task, 1);
    let outcome = try_claim(&world, &world.agent, request).await;
    assert_eq!(refusal(outcome.clone()), (Code::FailedPrecondition, "AGENT_NOT_ACTIVE".to_owned()));
    assert_eq!(said(outcome, "agent_id"), world.agent.id.to_string());
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Open);
    // The number of the claim that never was stays used: a late copy of the call may yet log it.
    let rival = world.another_agent();
    let outcome = try_claim(&world, &rival, rival.claim(&task, 1)).await;
    assert_eq!(said(outcome, "problem"), "claimNumber");
    let (claimed, _) = world.claim(&rival, &task, 2).await;
    assert_eq!(claimed.claim.unwrap().claim_number, 2);
}

#[tokio::test]
async fn a_claim_that_was_refused_and_is_logged_late_does_not_stop_the_next_one() {
    let world = World::new().await;
    let task = world.open().await;
    world.attestation.retire(world.agent.id);
    let request = world.agent.claim(&task, 1);
    let late = request.acceptance.clone();
    assert_eq!(refusal(try_claim(&world, &world.agent, request).await).1, "AGENT_NOT_ACTIVE");
    // A copy of the call that was on its way all the time.
    world.attestation.register(
        world.agent.id,
        &world.agent.account.to_string(),
        DidKey::of(&world.agent.key),
    );
    world.attestation.log_late(&task.task_id, &late, &world.agent.account.to_string());
    let rival = world.another_agent();
    let (_, acceptance) = world.claim(&rival, &task, 2).await;
    let done = world.submit(&rival, &acceptance, &acceptance, b"hello").await.unwrap();
    assert_eq!(done.state(), State::Completed);
}

#[tokio::test]
async fn a_lease_too_short_to_work_under_is_refused() {
    let world = World::new().await;
    let task = world.open().await;
    let agent = &world.agent;
    let offer = Statement::parse(&task.terms).unwrap();
    let usual = agent.acceptance(&task.terms, 1).body().as_terms_accepted().unwrap().clone();
    let short = TermsAccepted { lease_seconds: 1, ..usual };
    let request = agent.claim_with(&task.task_id, &offer.successor(agent.author(), short).unwrap());
    let outcome = try_claim(&world, agent, request).await;
    assert_eq!(refusal(outcome.clone()).1, "CHAIN_MISMATCH");
    assert_eq!(said(outcome, "problem"), "leaseSeconds");
}

#[tokio::test]
async fn while_attestation_is_down_a_claim_is_not_confirmed_and_the_same_request_confirms_it_after() {
    let world = World::new().await;
    let task = world.open().await;
    world.attestation.faults.down("append");
    let request = world.agent.claim(&task, 1);
    let outcome = try_claim(&world, &world.agent, request.clone()).await;
    assert_eq!(refusal(outcome), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    // Nobody else gets it meanwhile.
    let rival = world.another_agent();
    let outcome = try_claim(&world, &rival, rival.claim(&task, 1)).await;
    assert_eq!(refusal(outcome).1, "CLAIM_NOT_HELD");
    world.attestation.faults.up("append");
    try_claim(&world, &world.agent, request).await.unwrap();
}

#[tokio::test]
async fn a_task_hired_directly_goes_to_that_agent_alone() {
    let world = World::new().await;
    let offer = poa_proto::task::v1::CreateTaskRequest {
        direct_agent_id: world.agent.id.to_string(),
        ..crate::support::offer(&world.env)
    };
    let task = world.create(offer).await.unwrap();
    let rival = world.another_agent();
    let outcome = try_claim(&world, &rival, rival.claim(&task, 1)).await;
    assert_eq!(said(outcome, "problem"), "agent");
    world.claim(&world.agent, &task, 1).await;
}

#[tokio::test]
async fn a_token_for_another_agent_cannot_claim_and_an_unknown_task_is_not_found() {
    let world = World::new().await;
    let task = world.open().await;
    let request = world.agent.claim(&task, 1);
    let foreign = world.by_agent(world.agent.account, world.env.new_id(), request.clone());
    assert_eq!(
        refusal(world.client().claim_task(foreign).await),
        (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned())
    );
    let unknown =
        ClaimTaskRequest { task_id: world.env.new_id::<poa_common::TaskId>().to_string(), ..request };
    assert_eq!(refusal(try_claim(&world, &world.agent, unknown).await).0, Code::NotFound);
}

#[tokio::test]
async fn a_finished_task_tells_its_own_people_why_it_cannot_be_claimed_and_others_nothing() {
    let world = World::new().await;
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    let outcome = try_claim(&world, &world.agent, world.agent.claim(&task, 2)).await;
    assert_eq!(refusal(outcome.clone()), (Code::FailedPrecondition, "TASK_STATE".to_owned()));
    assert_eq!(said(outcome, "state"), "COMPLETED");
    let rival = world.another_agent();
    assert_eq!(refusal(try_claim(&world, &rival, rival.claim(&task, 2)).await).0, Code::NotFound);
}

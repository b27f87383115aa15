//! Tasks that a hold invoice funds.

use std::time::Duration;

use poa_proto::escrow::v1::escrow::State as Standing;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::waiting::Actor;
use poa_proto::task::v1::{
    AcceptResultRequest, CancelTaskRequest, CreateTaskRequest, Funding, RejectResultRequest, ReleasePolicy,
    Task,
};
use proof_of_agent::statement::Kind;
use proof_of_agent::{Rail, SettlementKind, Statement};
use tonic::Code;

use crate::support::{
    Channels, EXPIRY_HEIGHT, FEE, GUARD_HEIGHT, PRICE, SOON, World, hold_offer, refusal, said, uuid,
};

pub(crate) const DAY: Duration = Duration::from_secs(86_401);

/// A task whose invoice is not paid.
pub(crate) async fn awaiting(world: &World) -> Task {
    let task = world.create(hold_offer(&world.env)).await.unwrap();
    assert_eq!(task.state(), State::AwaitingFunds);
    task
}

/// An open task that a person judges, paid.
pub(crate) async fn open(world: &World) -> Task {
    let offer =
        CreateTaskRequest { release_policy: ReleasePolicy::OnAcceptance.into(), ..hold_offer(&world.env) };
    let task = world.create(offer).await.unwrap();
    world.escrow.pay(&task.task_id);
    world.until(&task.task_id, State::Open).await
}

/// One that the agent has claimed.
pub(crate) async fn claimed(world: &World) -> (Task, Statement) {
    let task = open(world).await;
    let (task, acceptance) = world.claim(&world.agent, &task, 1).await;
    assert_eq!(task.state(), State::Claimed);
    (task, acceptance)
}

/// One whose result waits for the requester.
pub(crate) async fn submitted(world: &World) -> Task {
    let (_, acceptance) = claimed(world).await;
    let task = world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    assert_eq!(task.state(), State::Submitted);
    task
}

pub(crate) async fn accept(world: &World, task: &str) -> Task {
    let request = AcceptResultRequest { request_id: uuid(&world.env), task_id: task.to_owned() };
    let answer = world.client().accept_result(world.by(world.requester, request)).await.unwrap();
    answer.into_inner().task.unwrap()
}

pub(crate) async fn reject(world: &World, task: &str) -> Task {
    let request = RejectResultRequest {
        request_id: uuid(&world.env),
        task_id: task.to_owned(),
        criterion: Some(0),
        reason: "no".to_owned(),
    };
    let answer = world.client().reject_result(world.by(world.requester, request)).await.unwrap();
    answer.into_inner().task.unwrap()
}

pub(crate) async fn cancel(world: &World, task: &str) -> Task {
    let request = CancelTaskRequest { request_id: uuid(&world.env), task_id: task.to_owned() };
    let answer = world.client().cancel_task(world.by(world.requester, request)).await.unwrap();
    answer.into_inner().task.unwrap()
}

/// The settlement with which a task's chain ends.
pub(crate) fn end_of(world: &World, task: &str) -> proof_of_agent::Settlement {
    let chain = world.attestation.chain(task);
    chain.last().unwrap().body().as_settlement().unwrap().clone()
}

fn ended_lost(world: &World, task: &Task) {
    assert_eq!(task.state(), State::Canceled);
    assert!(task.note.contains("the funding was lost"), "{}", task.note);
    let end = end_of(world, &task.task_id);
    assert_eq!((end.kind, end.rail, end.payee), (SettlementKind::FundingLost, Rail::HoldInvoice, None));
    assert_eq!(world.escrow.balance(world.agent.account), 0);
}

/// Nothing is held, and nothing is to be done.
pub(crate) async fn ledger_is_still(world: &World) {
    assert_eq!(world.escrow.held(), 0);
    assert_eq!(world.count("SELECT count(*) FROM sagas").await, 0);
}

#[tokio::test]
async fn the_requester_gets_an_invoice_and_the_task_opens_when_it_is_paid() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    let task = awaiting(&world).await;
    assert_eq!(task.funding(), Funding::HoldInvoice);
    let invoice = task.funding_invoice.unwrap();
    assert_eq!(invoice.invoice, format!("lnbcrt1{}", task.task_id));
    assert_eq!((invoice.paid_msat, invoice.expiry_height, invoice.guard_height), (0, 0, 0));
    let waiting = task.waiting.unwrap();
    assert_eq!((waiting.actor(), waiting.action.as_str()), (Actor::Requester, "pay the hold invoice"));
    assert_eq!(waiting.deadline, invoice.expire_time);
    // Escrow has its order: the payer's token has served, and nothing of it stays.
    assert_eq!(world.count("SELECT count(*) FROM task_status WHERE payer_token IS NOT NULL").await, 0);
    assert_eq!(world.attestation.kinds(&task.task_id), []);

    world.escrow.pay(&task.task_id);
    let task = world.until(&task.task_id, State::Open).await;
    let invoice = task.funding_invoice.clone().unwrap();
    let known = (invoice.paid_msat, invoice.expiry_height, invoice.guard_height);
    assert_eq!(known, (PRICE, EXPIRY_HEIGHT, GUARD_HEIGHT));
    let offered = world.attestation.chain(&task.task_id).remove(0);
    assert_eq!(offered.body().as_terms_offered().unwrap().rail, Rail::HoldInvoice);

    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    let task = world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    assert_eq!(world.escrow.balance(world.requester), before, "the balance has nothing to do with it");
    let end = end_of(&world, &task.task_id);
    assert_eq!((end.kind, end.rail, end.transfers.len()), (SettlementKind::Released, Rail::HoldInvoice, 1));
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn the_invoice_is_the_requesters_alone_and_the_task_nobodys_until_it_is_paid() {
    let world = World::new().await;
    let task = awaiting(&world).await;
    let stranger = world.agent.account;
    assert_eq!(refusal(world.get(stranger, &task.task_id).await).0, Code::NotFound);
    let claim = world.agent.claim(&task, 1);
    assert_eq!(refusal(world.client().claim_task(world.by(stranger, claim)).await).0, Code::NotFound);
    assert_eq!(world.count("SELECT count(*) FROM open_tasks").await, 0);

    world.escrow.pay(&task.task_id);
    let task = world.until(&task.task_id, State::Open).await;
    let seen = world.get(stranger, &task.task_id).await.unwrap();
    assert_eq!((seen.funding(), seen.funding_invoice), (Funding::HoldInvoice, None));
    // The claimant sees everything but that.
    let (seen, _) = world.claim(&world.agent, &task, 1).await;
    assert!(seen.funding_invoice.is_none());
    assert!(world.get(stranger, &task.task_id).await.unwrap().funding_invoice.is_none());
    assert!(world.get(world.requester, &task.task_id).await.unwrap().funding_invoice.is_some());
}

#[tokio::test]
async fn the_times_of_a_task_begin_when_its_invoice_is_paid() {
    let world = World::new().await;
    let task = awaiting(&world).await;
    world.pass(DAY).await;
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::AwaitingFunds);
    world.escrow.pay(&task.task_id);
    world.until(&task.task_id, State::Open).await;
    world.pass(DAY / 2).await;
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Open);
    world.pass(DAY / 2).await;
    world.until(&task.task_id, State::Expired).await;
    let end = end_of(&world, &task.task_id);
    assert_eq!((end.kind, end.transfers.len()), (SettlementKind::Refunded, 0));
    assert_eq!(world.escrow.standing(&task.task_id), Standing::Canceled);
}

#[tokio::test]
async fn an_invoice_that_nobody_pays_cancels_the_task_and_the_same_request_still_gives_it() {
    let world = World::new().await;
    let request = hold_offer(&world.env);
    let task = world.create(request.clone()).await.unwrap();
    let again = world.create(request.clone()).await.unwrap();
    assert_eq!((again.task_id.as_str(), again.state()), (task.task_id.as_str(), State::AwaitingFunds));
    world.escrow.give_back(&task.task_id);
    let task = world.until(&task.task_id, State::Canceled).await;
    assert_eq!(task.note, "the hold invoice was not paid in time");
    assert_eq!(world.attestation.kinds(&task.task_id), []);
    let again = world.create(request).await.unwrap();
    assert_eq!((again.task_id.as_str(), again.state()), (task.task_id.as_str(), State::Canceled));
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn a_task_that_waits_for_its_funds_can_be_cancelled_and_waits_for_the_channel() {
    let world = World::new().await;
    world.escrow.channels(Channels::Slow);
    let task = awaiting(&world).await;
    assert_eq!(cancel(&world, &task.task_id).await.state(), State::Refunding);
    assert_eq!(world.escrow.standing(&task.task_id), Standing::Canceling);
    world.escrow.channels(Channels::Quick);
    world.until(&task.task_id, State::Canceled).await;
    assert_eq!(cancel(&world, &task.task_id).await.state(), State::Canceled);
    assert_eq!(world.attestation.kinds(&task.task_id), []);

    let paid = open(&world).await;
    assert_eq!(cancel(&world, &paid.task_id).await.task_id, paid.task_id);
    world.until(&paid.task_id, State::Canceled).await;
    assert_eq!(world.attestation.kinds(&paid.task_id), [Kind::TermsOffered, Kind::Settlement]);
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn what_is_refused_for_this_rail_is_refused_at_once_with_the_reason() {
    let world = World::new().await;
    let long = CreateTaskRequest {
        open_duration: Some(prost_types::Duration { seconds: 6 * 86_400, nanos: 0 }),
        ..hold_offer(&world.env)
    };
    let outcome = world.create(long.clone()).await;
    let expected = (Code::FailedPrecondition, "HOLD_INVOICE_UNAVAILABLE".to_owned());
    assert_eq!(refusal(outcome.clone()), expected);
    assert_eq!(said(outcome.clone(), "problem"), "durations");
    assert_eq!(
        (said(outcome.clone(), "needed_blocks"), said(outcome, "max_blocks")),
        ("1557".into(), "1000".into())
    );
    assert_eq!(world.count("SELECT count(*) FROM tasks").await, 0);
    // The balance has no such bound.
    let balance =
        CreateTaskRequest { funding: Funding::Balance.into(), request_id: uuid(&world.env), ..long };
    assert_eq!(world.create(balance).await.unwrap().state(), State::Open);

    // What escrow alone knows, it says; the same request may be tried again.
    let request = hold_offer(&world.env);
    world.escrow.refuse_hold(
        "HOLD_INVOICE_UNAVAILABLE",
        vec![("problem", "price".to_owned()), ("least_msat", "5000000".to_owned())],
    );
    let outcome = world.create(request.clone()).await;
    assert_eq!((refusal(outcome.clone()), said(outcome.clone(), "problem")), (expected, "price".to_owned()));
    assert_eq!(said(outcome, "least_msat"), "5000000");
    world.escrow.refuse_hold("QUOTA_EXCEEDED", vec![("limit", "10".to_owned())]);
    let outcome = world.create(request.clone()).await;
    assert_eq!(refusal(outcome.clone()), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    assert_eq!(said(outcome, "limit"), "10");
    assert_eq!(world.create(request).await.unwrap().state(), State::AwaitingFunds);
}

#[tokio::test]
async fn at_the_guard_height_a_task_that_nobody_has_claimed_is_given_back() {
    let world = World::new().await;
    let task = open(&world).await;
    world.escrow.guard(&task.task_id);
    let task = world.until(&task.task_id, State::Expired).await;
    assert!(task.note.contains("lock"), "{}", task.note);
    let end = end_of(&world, &task.task_id);
    assert_eq!((end.kind, end.transfers.len()), (SettlementKind::Refunded, 0));
    assert_eq!(world.escrow.standing(&task.task_id), Standing::Canceled);
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn at_the_guard_height_a_claim_ends_and_a_submission_is_refused() {
    let world = World::new().await;
    let (task, acceptance) = claimed(&world).await;
    world.escrow.guard(&task.task_id);
    let task = world.until(&task.task_id, State::Expired).await;
    let late = world.submit(&world.agent, &acceptance, &acceptance, b"hello").await;
    assert_eq!(refusal(late).0, Code::FailedPrecondition);
    // The agent can still read what became of it.
    let seen = world.get(world.agent.account, &task.task_id).await.unwrap();
    assert!(seen.note.contains("lock"), "{}", seen.note);
    assert_eq!(
        world.attestation.kinds(&task.task_id),
        [Kind::TermsOffered, Kind::TermsAccepted, Kind::Decision, Kind::Settlement]
    );
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn between_the_guard_and_the_end_of_a_claim_a_submission_is_refused_with_the_state() {
    let world = World::new().await;
    let (task, acceptance) = claimed(&world).await;
    // The worker cannot get on, so that the task stays claimed.
    world.sql("UPDATE sagas SET due_us = due_us + 1000000000").await;
    world.sql("UPDATE hold_funding SET guard_reached = true").await;
    let late = world.submit(&world.agent, &acceptance, &acceptance, b"hello").await;
    assert_eq!(refusal(late.clone()), (Code::FailedPrecondition, "TASK_STATE".to_owned()));
    assert_eq!(said(late, "state"), "CLAIMED");
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Claimed);
}

#[tokio::test]
async fn at_the_guard_height_a_result_is_secured_and_then_judged_as_ever() {
    let world = World::new().await;
    let task = submitted(&world).await;
    world.escrow.channels(Channels::Slow);
    world.escrow.guard(&task.task_id);
    poa_testkit::eventually(SOON, "it is being taken", async || {
        world.escrow.standing(&task.task_id) == Standing::Settling
    })
    .await;
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Submitted);
    world.escrow.channels(Channels::Quick);
    poa_testkit::eventually(SOON, "it is secured", async || {
        world.count("SELECT count(*) FROM hold_funding WHERE fate = 2").await == 1
    })
    .await;
    assert_eq!(world.escrow.held(), PRICE);
    // There is no lock any more that would run out: the review takes its time, and silence accepts.
    world.pass(DAY).await;
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn at_the_guard_height_a_rejected_result_is_secured_and_its_refund_is_a_credit() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    let task = submitted(&world).await;
    assert_eq!(reject(&world, &task.task_id).await.state(), State::Rejected);
    world.escrow.guard(&task.task_id);
    poa_testkit::eventually(SOON, "it is secured", async || world.escrow.held() == PRICE).await;
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Rejected);
    world.pass(DAY).await;
    world.until(&task.task_id, State::Expired).await;
    assert_eq!(world.escrow.balance(world.requester), before + PRICE);
    let end = end_of(&world, &task.task_id);
    assert_eq!((end.kind, end.transfers.len()), (SettlementKind::Refunded, 1));
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn an_agent_is_paid_once_the_sats_are_taken_for_good_however_long_that_takes() {
    let world = World::new().await;
    let task = submitted(&world).await;
    world.escrow.channels(Channels::Slow);
    assert_eq!(accept(&world, &task.task_id).await.state(), State::Releasing);
    poa_testkit::eventually(SOON, "it is being taken", async || {
        world.escrow.standing(&task.task_id) == Standing::Settling
    })
    .await;
    // Not yet is no failure: it waits without growing pauses.
    assert_eq!(world.count("SELECT attempts::bigint FROM sagas").await, 0);
    assert_eq!(world.escrow.balance(world.agent.account), 0);
    world.escrow.channels(Channels::Quick);
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn what_is_lost_when_the_agent_is_to_be_paid_ends_the_task_in_a_state_of_its_own() {
    let world = World::new().await;
    world.escrow.channels(Channels::Lossy);
    let task = submitted(&world).await;
    accept(&world, &task.task_id).await;
    let task = world.until(&task.task_id, State::Canceled).await;
    ended_lost(&world, &task);
    // The work was approved, and the chain says so.
    assert_eq!(world.attestation.kinds(&task.task_id), Kind::ALL);
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn what_goes_back_by_itself_ends_the_task_by_the_event_alone() {
    let world = World::new().await;
    // Nobody has delivered: a refund like any other.
    let unclaimed = open(&world).await;
    world.escrow.give_back(&unclaimed.task_id);
    world.until(&unclaimed.task_id, State::Expired).await;
    assert_eq!(end_of(&world, &unclaimed.task_id).kind, SettlementKind::Refunded);
    let (working, _) = claimed(&world).await;
    world.escrow.give_back(&working.task_id);
    world.until(&working.task_id, State::Expired).await;
    // Somebody has delivered.
    let task = submitted(&world).await;
    world.escrow.give_back(&task.task_id);
    let task = world.until(&task.task_id, State::Canceled).await;
    ended_lost(&world, &task);
    let task = submitted(&world).await;
    reject(&world, &task.task_id).await;
    world.escrow.lose(&task.task_id);
    let task = world.until(&task.task_id, State::Canceled).await;
    ended_lost(&world, &task);
    ledger_is_still(&world).await;
}

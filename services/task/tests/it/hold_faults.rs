//! Tasks that a hold invoice funds, where calls fail, events are late, old or lost, and the service ends.

use poa_proto::escrow::v1::escrow::State as Standing;
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{AcceptResultRequest, CancelTaskRequest, CreateTaskRequest, ReleasePolicy};
use proof_of_agent::SettlementKind;
use proof_of_agent::statement::Kind;

use crate::hold_funding::{
    DAY, accept, awaiting, cancel, claimed, end_of, ledger_is_still, reject, submitted,
};
use crate::support::{Channels, FEE, Fault, PRICE, SOON, World, hold_offer, uuid};

#[tokio::test]
async fn old_and_repeated_events_move_nothing_backwards() {
    let world = World::new().await;
    let task = submitted(&world).await;
    world.escrow.guard(&task.task_id);
    poa_testkit::eventually(SOON, "it is secured", async || {
        world.count("SELECT count(*) FROM hold_funding WHERE fate = 2").await == 1
    })
    .await;
    world.escrow.repeat_events();
    for past in [Standing::Awaiting, Standing::Accepted, Standing::Settling, Standing::Canceled] {
        world.escrow.tell_of_the_past(&task.task_id, past);
    }
    let told = i64::try_from(world.escrow.events()).unwrap();
    poa_testkit::eventually(SOON, "all is heard", async || {
        world.count("SELECT convert_from(value, 'UTF8')::bigint FROM consumer_cursors").await == told
    })
    .await;
    let seen = world.get(world.requester, &task.task_id).await.unwrap();
    assert_eq!((seen.state(), seen.funding_invoice.unwrap().paid_msat), (State::Submitted, PRICE));
    assert_eq!(world.count("SELECT count(*) FROM hold_funding WHERE fate = 2 AND guard_reached").await, 1);
    accept(&world, &task.task_id).await;
    world.until(&task.task_id, State::Completed).await;
    world.escrow.repeat_events();
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_event_each_task_asks_by_itself() {
    let world = World::new().await;
    world.escrow.faults.down("events");
    world.escrow.channels(Channels::Slow);
    // Paid, unpaid, cancelled, taken: nobody tells.
    let unpaid = awaiting(&world).await;
    world.escrow.give_back(&unpaid.task_id);
    world.until(&unpaid.task_id, State::Canceled).await;
    let canceled = awaiting(&world).await;
    cancel(&world, &canceled.task_id).await;
    let task = submitted(&world).await;
    accept(&world, &task.task_id).await;
    poa_testkit::eventually(SOON, "it is being taken", async || {
        world.escrow.standing(&task.task_id) == Standing::Settling
    })
    .await;
    world.escrow.channels(Channels::Quick);
    world.until(&task.task_id, State::Completed).await;
    world.until(&canceled.task_id, State::Canceled).await;
    // What went back is found out when it is asked for.
    let lost = submitted(&world).await;
    world.escrow.give_back(&lost.task_id);
    accept(&world, &lost.task_id).await;
    let lost = world.until(&lost.task_id, State::Canceled).await;
    assert!(lost.note.contains("the funding was lost"), "{}", lost.note);
    assert_eq!(end_of(&world, &lost.task_id).kind, SettlementKind::FundingLost);
    ledger_is_still(&world).await;
    // And the stream is opened again, from where it was.
    world.escrow.faults.up("events");
    let told = i64::try_from(world.escrow.events()).unwrap();
    poa_testkit::eventually(SOON, "all is heard", async || {
        world
            .count("SELECT coalesce(max(convert_from(value, 'UTF8')::bigint), 0) FROM consumer_cursors")
            .await
            == told
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_node_makes_no_invoice_the_task_is_funding_and_asks_again() {
    let mut world = World::new().await;
    world.escrow.node(false);
    let task = world.create(hold_offer(&world.env)).await.unwrap();
    assert_eq!(task.state(), State::Funding);
    assert!(task.funding_invoice.is_none());
    world.restart_with(|world| world.escrow.node(true)).await;
    let task = world.until(&task.task_id, State::AwaitingFunds).await;
    assert!(!task.funding_invoice.unwrap().invoice.is_empty());
    world.escrow.pay(&task.task_id);
    world.until(&task.task_id, State::Open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_back_while_the_terms_wait_for_the_log_cancels_the_task() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    world.attestation.faults.down("append");
    let [returned, guarded] = [awaiting(&world).await, awaiting(&world).await];
    for task in [&returned, &guarded] {
        world.escrow.pay(&task.task_id);
    }
    poa_testkit::eventually(SOON, "both are locked", async || {
        world.count("SELECT count(*) FROM task_status WHERE held").await == 2
    })
    .await;
    world.escrow.give_back(&returned.task_id);
    world.escrow.guard(&guarded.task_id);
    // What is locked does not wait for the log.
    poa_testkit::eventually(SOON, "the lock is opened", async || {
        world.escrow.standing(&guarded.task_id) == Standing::Canceled
    })
    .await;
    world.attestation.faults.up("append");
    for task in [returned, guarded] {
        world.until(&task.task_id, State::Canceled).await;
        assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered, Kind::Settlement]);
        assert_eq!(end_of(&world, &task.task_id).kind, SettlementKind::Refunded);
    }
    assert_eq!(world.escrow.balance(world.requester), before);
    ledger_is_still(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_ends_in_any_state_goes_on_where_it_was() {
    let mut world = World::new().await;
    let task = awaiting(&world).await;
    world.restart_with(|world| world.escrow.pay(&task.task_id)).await;
    let task = world.until(&task.task_id, State::Open).await;
    // The guard comes while nobody listens.
    world.restart_with(|world| world.escrow.guard(&task.task_id)).await;
    world.until(&task.task_id, State::Expired).await;

    let (task, _) = claimed(&world).await;
    world.restart_with(|world| world.escrow.give_back(&task.task_id)).await;
    world.until(&task.task_id, State::Expired).await;

    let task = submitted(&world).await;
    world.escrow.channels(Channels::Slow);
    world.restart_with(|world| world.escrow.guard(&task.task_id)).await;
    poa_testkit::eventually(SOON, "it is being taken", async || {
        world.escrow.standing(&task.task_id) == Standing::Settling
    })
    .await;
    world.restart_with(|world| world.escrow.channels(Channels::Quick)).await;
    poa_testkit::eventually(SOON, "it is secured", async || {
        world.count("SELECT count(*) FROM hold_funding WHERE fate = 2").await == 1
    })
    .await;
    reject(&world, &task.task_id).await;
    world.restart_with(|_| {}).await;
    world.pass(DAY).await;
    world.until(&task.task_id, State::Expired).await;

    let task = submitted(&world).await;
    world.escrow.channels(Channels::Slow);
    accept(&world, &task.task_id).await;
    world.restart_with(|world| world.escrow.channels(Channels::Quick)).await;
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);

    world.escrow.channels(Channels::Slow);
    let task = awaiting(&world).await;
    cancel(&world, &task.task_id).await;
    world.restart_with(|world| world.escrow.channels(Channels::Quick)).await;
    world.until(&task.task_id, State::Canceled).await;
    ledger_is_still(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_paid_once_whichever_call_of_this_rail_fails_or_loses_its_answer() {
    let world = World::new().await;
    let mut paid_so_far = 0;
    for call in ["hold", "secure", "capture"] {
        for fault in [Fault::Unavailable, Fault::Lost] {
            world.escrow.faults.plan(call, fault, 5);
            let offer = CreateTaskRequest {
                release_policy: ReleasePolicy::OnAcceptance.into(),
                ..hold_offer(&world.env)
            };
            let task = world.create(offer).await.unwrap();
            world.until(&task.task_id, State::AwaitingFunds).await;
            world.escrow.pay(&task.task_id);
            let task = world.until(&task.task_id, State::Open).await;
            let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
            world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
            if call == "secure" {
                world.escrow.guard(&task.task_id);
                poa_testkit::eventually(SOON, "it is secured", async || world.escrow.held() == PRICE).await;
            }
            accept(&world, &task.task_id).await;
            world.until(&task.task_id, State::Completed).await;
            paid_so_far += PRICE - FEE;
            assert_eq!(world.escrow.balance(world.agent.account), paid_so_far, "{call} {fault:?}");
        }
    }
    ledger_is_still(&world).await;
}

#[tokio::test]
async fn each_verb_twice_with_one_request_id_is_carried_out_once() {
    let world = World::new().await;
    let request =
        CreateTaskRequest { release_policy: ReleasePolicy::OnAcceptance.into(), ..hold_offer(&world.env) };
    let task = world.create(request.clone()).await.unwrap();
    assert_eq!(world.create(request.clone()).await.unwrap().task_id, task.task_id);
    world.escrow.pay(&task.task_id);
    let open = world.until(&task.task_id, State::Open).await;
    assert_eq!(world.create(request).await.unwrap().state(), State::Open);
    let acceptance = world.agent.acceptance(&open.terms, 1);
    let claim = world.agent.claim_with(&task.task_id, &acceptance);
    let submit = world.agent.submit(&acceptance, &acceptance, b"hello");
    let by = world.agent.account;
    for _ in 0..2 {
        world.client().claim_task(world.by(by, claim.clone())).await.unwrap();
    }
    for _ in 0..2 {
        world.client().submit_result(world.by(by, submit.clone())).await.unwrap();
    }
    let accept = AcceptResultRequest { request_id: uuid(&world.env), task_id: task.task_id.clone() };
    for _ in 0..2 {
        world.client().accept_result(world.by(world.requester, accept.clone())).await.unwrap();
    }
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(by), PRICE - FEE);
    assert_eq!(world.attestation.kinds(&task.task_id), Kind::ALL);

    let unpaid = awaiting(&world).await;
    let cancel = CancelTaskRequest { request_id: uuid(&world.env), task_id: unpaid.task_id.clone() };
    for _ in 0..2 {
        world.client().cancel_task(world.by(world.requester, cancel.clone())).await.unwrap();
    }
    world.until(&unpaid.task_id, State::Canceled).await;
    ledger_is_still(&world).await;
}

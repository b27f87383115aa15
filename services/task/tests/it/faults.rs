//! Every step goes wrong in every way, and every task comes to its end.

use std::time::Duration;

use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{CancelTaskRequest, CreateTaskRequest, Task};
use proof_of_agent::Statement;
use proof_of_agent::statement::Kind;

use crate::support::{FEE, Fault, PRICE, SOON, World, offer, state, uuid};

/// More than the tries of one call, so that a drive fails and the worker goes on.
const TIMES: usize = 5;

/// The calls of a paid task's life.
const CALLS: [&str; 7] =
    ["hold", "TermsOffered", "TermsAccepted", "WorkSubmitted", "Decision", "capture", "Settlement"];

fn plan(world: &World, call: &'static str, fault: Fault, times: usize) {
    let faults = match call {
        "hold" | "capture" | "refund" => &world.escrow.faults,
        _ => &world.attestation.faults,
    };
    faults.plan(call, fault, times);
}

/// Claims as the SDK does: the same request until it is answered.
async fn claim(world: &World, task: &Task) -> Statement {
    let acceptance = world.agent.acceptance(&task.terms, 1);
    let request = world.agent.claim_with(&task.task_id, &acceptance);
    poa_testkit::eventually(SOON, "the claim is confirmed", async || {
        world.client().claim_task(world.by(world.agent.account, request.clone())).await.is_ok()
    })
    .await;
    acceptance
}

async fn paid(world: &World) {
    let before = world.escrow.balance(world.requester);
    let task = world.create(offer(&world.env)).await.unwrap();
    let task = world.until(&task.task_id, State::Open).await;
    let acceptance = claim(world, &task).await;
    world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.held(), 0);
    assert_eq!(world.escrow.balance(world.requester), before - PRICE);
    assert_eq!(world.attestation.kinds(&task.task_id).len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_paid_once_whichever_call_fails_or_loses_its_answer() {
    let world = World::new().await;
    let mut paid_so_far = 0;
    for call in CALLS {
        for fault in [Fault::Unavailable, Fault::Lost] {
            plan(&world, call, fault, TIMES);
            paid(&world).await;
            paid_so_far += PRICE - FEE;
            assert_eq!(world.escrow.balance(world.agent.account), paid_so_far, "{call} {fault:?}");
        }
    }
    assert_eq!(world.count("SELECT count(*) FROM sagas").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_is_given_up_and_made_again() {
    let world = World::new().await;
    for call in ["hold", "WorkSubmitted", "capture"] {
        plan(&world, call, Fault::Hang, 1);
        paid(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_was_refused_its_price_ends_although_its_refund_fails_at_first() {
    let world = World::new().await;
    let means = world.escrow.balance(world.requester);
    for fault in [Fault::Unavailable, Fault::Lost] {
        plan(&world, "refund", fault, TIMES);
        let too_much = CreateTaskRequest { price_msat: means + PRICE, ..offer(&world.env) };
        // The refusal is told, or the task as it is where the refund took too long: it ends all the same.
        let _told_either_way = world.create(too_much).await;
        poa_testkit::eventually(SOON, "the task ends", async || {
            world.count("SELECT count(*) FROM sagas").await == 0
        })
        .await;
        assert_eq!(world.escrow.balance(world.requester), means, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_happens_once_whichever_call_fails() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    for call in ["refund", "Settlement"] {
        for fault in [Fault::Unavailable, Fault::Lost] {
            let task = world.open().await;
            plan(&world, call, fault, TIMES);
            let cancel = CancelTaskRequest { request_id: uuid(&world.env), task_id: task.task_id.clone() };
            world.client().cancel_task(world.by(world.requester, cancel)).await.unwrap();
            world.until(&task.task_id, State::Canceled).await;
            assert_eq!(world.escrow.balance(world.requester), before, "{call} {fault:?}");
            assert_eq!(world.attestation.kinds(&task.task_id), [Kind::TermsOffered, Kind::Settlement]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_ends_between_any_two_steps_goes_on_where_it_was() {
    let mut world = World::new().await;
    for call in CALLS {
        let faults = match call {
            "hold" | "capture" => world.escrow.faults.clone(),
            _ => world.attestation.faults.clone(),
        };
        faults.down(call);
        let mut task = world.create(offer(&world.env)).await.unwrap();
        if matches!(call, "hold" | "TermsOffered") {
            assert_eq!(state(&task), State::Funding);
            restart(&mut world, call).await;
            faults.up(call);
            task = world.until(&task.task_id, State::Open).await;
        }
        let acceptance = world.agent.acceptance(&task.terms, 1);
        let request = world.agent.claim_with(&task.task_id, &acceptance);
        let claimed = world.client().claim_task(world.by(world.agent.account, request.clone())).await;
        if call == "TermsAccepted" {
            assert!(claimed.is_err());
            restart(&mut world, call).await;
            faults.up(call);
            world.until(&task.task_id, State::Claimed).await;
            poa_testkit::eventually(SOON, "the acceptance is logged", async || {
                world.attestation.kinds(&task.task_id).len() == 2
            })
            .await;
        }
        poa_testkit::eventually(SOON, "the result is taken", async || {
            world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.is_ok()
        })
        .await;
        if !matches!(call, "hold" | "TermsOffered" | "TermsAccepted") {
            restart(&mut world, call).await;
            faults.up(call);
        }
        world.until(&task.task_id, State::Completed).await;
        assert_eq!(world.escrow.held(), 0, "{call}");
        assert_eq!(world.attestation.kinds(&task.task_id).len(), 6, "{call}");
    }
    let tasks = i64::try_from(CALLS.len()).unwrap();
    assert_eq!(world.escrow.balance(world.agent.account), tasks * (PRICE - FEE));
}

async fn restart(world: &mut World, call: &str) {
    let state = world.count("SELECT count(*) FROM sagas").await;
    assert_eq!(state, 1, "{call}: one task is on its way");
    world.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_in_trouble_does_not_hold_up_the_others() {
    let world = World::new().await;
    world.attestation.faults.down("Settlement");
    let task = world.open().await;
    let (_, acceptance) = world.claim(&world.agent, &task, 1).await;
    let stuck = world.submit(&world.agent, &acceptance, &acceptance, b"hello").await.unwrap();
    assert_eq!(stuck.state(), State::Releasing);
    for _ in 0..5 {
        let started = tokio::time::Instant::now();
        world.open().await;
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    world.attestation.faults.up("Settlement");
    world.until(&task.task_id, State::Completed).await;
}

//! Deadlines on the mesh clock.

use std::time::Duration;

use poa_proto::task::v1::task::State;
use proof_of_agent::{DecisionKind, SettlementKind};

use crate::support::{FEE, PRICE, World};

const DAY: Duration = Duration::from_secs(86_401);

#[tokio::test]
async fn an_offer_that_nobody_takes_expires_and_is_refunded() {
    let world = World::new().await;
    let before = world.escrow.balance(world.requester);
    let task = world.open().await;
    world.pass(DAY).await;
    let task = world.until(&task.task_id, State::Expired).await;
    assert_eq!(world.escrow.balance(world.requester), before);
    let chain = world.attestation.chain(&task.task_id);
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1].body().as_settlement().unwrap().kind, SettlementKind::Refunded);
}

#[tokio::test]
async fn an_offer_whose_last_claim_lapses_after_its_end_expires_with_a_decision() {
    let world = World::new().await;
    let task = world.open().await;
    world.claim(&world.agent, &task, 1).await;
    world.pass(DAY).await;
    let task = world.until(&task.task_id, State::Expired).await;
    let chain = world.attestation.chain(&task.task_id);
    assert_eq!(chain[2].body().as_decision().unwrap().kind, DecisionKind::Expired);
    assert_eq!(chain[3].body().as_settlement().unwrap().kind, SettlementKind::Refunded);
}

#[tokio::test]
async fn a_review_that_passes_in_silence_pays_the_agent() {
    let world = World::new().await;
    let (task, _) = world.submitted().await;
    world.pass(DAY).await;
    world.until(&task.task_id, State::Completed).await;
    assert_eq!(world.escrow.balance(world.agent.account), PRICE - FEE);
    let chain = world.attestation.chain(&task.task_id);
    assert_eq!(chain[4].body().as_decision().unwrap().kind, DecisionKind::DeadlinePassed);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_moves_no_deadline() {
    let world = World::new().await;
    let open = world.open().await;
    let claimed = world.open().await;
    world.claim(&world.agent, &claimed, 1).await;
    let (submitted, _) = world.submitted().await;
    world.clock.advance(DAY);
    // A token that is younger than the jump.
    let again = world.open().await;
    for (task, state) in [(open, State::Open), (claimed, State::Claimed), (submitted, State::Submitted)] {
        assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), state);
    }
    assert_eq!(again.state(), State::Open);
}

#[tokio::test]
async fn the_mesh_clock_stands_still_while_the_service_does() {
    let mut world = World::new().await;
    let task = world.open().await;
    world.lifecycle.stop(Duration::from_secs(10)).await;
    let before = world.count("SELECT now_us FROM mesh_clock").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.count("SELECT now_us FROM mesh_clock").await, before);
    world.restart().await;
    poa_testkit::eventually(crate::support::SOON, "the clock runs", async || {
        world.count("SELECT now_us FROM mesh_clock").await > before
    })
    .await;
    assert_eq!(world.get(world.requester, &task.task_id).await.unwrap().state(), State::Open);
}

//! Block heights: the guard, and what the node gives back by itself.

use std::time::Duration;

use poa_payment::simulated::{ChangeFault, Fault};
use poa_proto::escrow::v1::escrow::State;
use poa_testkit::eventually;
use tonic::Code;

use super::{PRICE, accepted, assert_nothing_moved, awaiting, now, pays, reaches, secure, world};
use crate::chain::{capture, hold, receipts, refund};
use crate::world::{SOON, World, refusal};

async fn guards(world: &World) -> i64 {
    world.count("SELECT count(*) FROM events_published WHERE kind = 'guard'").await
}

#[tokio::test]
async fn the_guard_is_told_once_at_36_blocks_before_the_lowest_expiry() {
    let world = world().await;
    let payer = world.user();
    let (job, invoice) = awaiting(&world, &payer, PRICE).await;
    let later = poa_payment::simulated::Attempt { extra_cltv_blocks: 7, ..pays(PRICE, 1) };
    world.node().pay_invoice_with(&invoice, later).await.unwrap();
    let locked = reaches(&world, &job, State::Accepted).await.hold_invoice.unwrap();
    assert_eq!((locked.expiry_height, locked.guard_height), (800_087, 800_051));
    world.node().mine(50).await.unwrap();
    // A later one is told while the first is not: the worker has seen the height.
    let other = accepted(&world, &payer, PRICE).await;
    assert_eq!(guards(&world).await, 0);
    world.node().mine(1).await.unwrap();
    eventually(SOON, "the guard is told", async || guards(&world).await == 1).await;
    assert_eq!(now(&world, &job).await.state(), State::Accepted, "who works for it decides, not the height");
    world.node().mine(5).await.unwrap();
    refund(&world, &other).await.unwrap();
    reaches(&world, &other, State::Canceled).await;
    assert_eq!(guards(&world).await, 1);
    // In time: what is secured now is taken.
    secure(&world, &job).await.unwrap();
    reaches(&world, &job, State::Held).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn expiry_height_ignored_is_impossible_what_the_node_gives_back_is_never_released() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    // 18 blocks before the expiry the node gives it back, whatever we think.
    world.node().mine(62).await.unwrap();
    reaches(&world, &job, State::Canceled).await;
    let refused = refusal(capture(&world, &job, chain).await);
    assert_eq!(refused, (Code::FailedPrecondition, "ALREADY_REFUNDED".to_owned()));
    assert_eq!(refusal(secure(&world, &job).await).1, "ALREADY_REFUNDED");
    assert_eq!(refund(&world, &job).await.unwrap().escrow.unwrap().state(), State::Canceled);
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn what_the_node_gives_back_although_we_meant_to_take_it_is_lost_and_never_released() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    // The node does not hear of it in time.
    assert!(world.node().script([Fault::Change(ChangeFault::RequestLost); 1_000]));
    capture(&world, &job, chain.clone()).await.unwrap();
    world.node().mine(62).await.unwrap();
    let lost = reaches(&world, &job, State::FundingLost).await;
    assert!(lost.end_time.is_some() && lost.payee_id.is_empty());
    let funding_lost = (Code::FailedPrecondition, "FUNDING_LOST".to_owned());
    assert_eq!(refusal(capture(&world, &job, chain).await), funding_lost);
    assert_eq!(refusal(secure(&world, &job).await), funding_lost);
    assert_eq!(refusal(hold(&world, &job).await), funding_lost);
    assert_eq!(refund(&world, &job).await.unwrap().escrow.unwrap().state(), State::FundingLost);
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn the_simulated_chain_grows_by_itself_and_gives_back_what_nobody_decides_about() {
    let mut world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    world.stop().await;
    world.change(|config| config.lightning.block_ms = 5);
    world.start().await;
    reaches(&world, &job, State::Canceled).await;
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn a_wall_clock_that_jumps_a_day_either_way_moves_no_sats() {
    let world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    let (unpaid, invoice) = awaiting(&world, &payer, PRICE).await;
    let day = Duration::from_secs(24 * 3_600);
    world.clock.set(world.env.now() - day);
    world.node().pay_invoice(&invoice).await.unwrap();
    reaches(&world, &unpaid, State::Accepted).await;
    world.clock.advance(2 * day);
    secure(&world, &unpaid).await.unwrap();
    reaches(&world, &unpaid, State::Held).await;
    assert_eq!(now(&world, &job).await.state(), State::Accepted);
    world.assert_sound().await;
}

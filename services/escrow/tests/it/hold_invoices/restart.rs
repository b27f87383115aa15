//! The service ends in each state, and goes on from its rows.

use poa_payment::simulated::{ChangeFault, Fault, FinalityFault};
use poa_payment::{InvoiceState, Provider as _};
use poa_proto::escrow::v1::escrow::State;
use poa_testkit::eventually;

use super::{
    PRICE, TRUTH, accepted, assert_nothing_moved, awaiting, hash, job, now, reaches, reaches_within, secure,
    world,
};
use crate::chain::{capture, hold, receipts, refund};
use crate::world::{SOON, World, refusal};

async fn restart(world: &mut World) {
    world.stop().await;
    // The node's script is not kept over its own restart.
    world.start().await;
}

#[tokio::test]
async fn state_lost_over_a_restart_an_invoice_that_was_prepared_is_made_after_it() {
    let mut world = world().await;
    let payer = world.user();
    let job = job(&world, &payer, PRICE);
    assert!(world.node().script([Fault::Change(ChangeFault::RequestLost); 1_000]));
    assert_eq!(refusal(hold(&world, &job).await).1, "DEPENDENCY_UNAVAILABLE");
    restart(&mut world).await;
    let made = async || !now(&world, &job).await.hold_invoice.unwrap().invoice.is_empty();
    eventually(TRUTH, "the invoice is made", made).await;
}

#[tokio::test]
async fn state_lost_over_a_restart_what_was_paid_meanwhile_is_seen_by_polling() {
    let mut world = world().await;
    let payer = world.user();
    let (job, invoice) = awaiting(&world, &payer, PRICE).await;
    let node = world.node().clone();
    world.stop().await;
    node.pay_invoice(&invoice).await.unwrap();
    drop(node);
    world.start().await;
    reaches_within(TRUTH, &world, &job, State::Accepted).await;
    restart(&mut world).await;
    let locked = now(&world, &job).await;
    assert_eq!((locked.state(), locked.hold_invoice.unwrap().paid_msat), (State::Accepted, PRICE));
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn state_lost_over_a_restart_the_intent_to_settle_is_carried_out_after_it() {
    let mut world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    assert!(world.node().script([Fault::Change(ChangeFault::RequestLost); 1_000]));
    capture(&world, &job, chain.clone()).await.unwrap();
    restart(&mut world).await;
    reaches_within(TRUTH, &world, &job, State::Held).await;
    capture(&world, &job, chain).await.unwrap();
    assert_eq!(world.balance(&payee).await, (9_500_950, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn work_after_settle_failed_release_lost_is_impossible_a_crash_after_the_settlement_still_releases() {
    let mut world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    capture(&world, &job, chain.clone()).await.unwrap();
    let settling = hash(&now(&world, &job).await);
    eventually(SOON, "the node has settled", async || {
        matches!(world.node().lookup_invoice(settling).await, Ok(Some(InvoiceState::Settled { .. })))
    })
    .await;
    restart(&mut world).await;
    // As Task does: the same call again, until it says so.
    eventually(TRUTH, "it is released", async || {
        let answer = capture(&world, &job, chain.clone()).await.unwrap();
        answer.escrow.unwrap().state() == State::Released
    })
    .await;
    assert_eq!(world.balance(&payee).await, (9_500_950, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn state_lost_over_a_restart_the_intent_to_give_back_is_carried_out_after_it() {
    let mut world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    assert!(world.node().script([Fault::Change(ChangeFault::RequestLost); 1_000]));
    refund(&world, &job).await.unwrap();
    restart(&mut world).await;
    reaches_within(TRUTH, &world, &job, State::Canceled).await;
    assert_eq!(world.node().balance().await.unwrap().incoming.get(), 0);
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn what_the_height_gave_back_while_the_service_was_down_is_known_after_it() {
    let mut world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    let node = world.node().clone();
    world.stop().await;
    node.mine(62).await.unwrap();
    drop(node);
    world.start().await;
    reaches_within(TRUTH, &world, &job, State::Canceled).await;
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn with_another_secret_of_preimages_nothing_is_taken_and_with_the_old_one_it_goes_on() {
    let mut world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    let path = world.keys().join("preimages.secret");
    let secret = std::fs::read(&path).unwrap();
    world.stop().await;
    std::fs::write(&path, [9; 32]).unwrap();
    world.start().await;
    secure(&world, &job).await.unwrap();
    // A refund of another one is carried out by the same worker: it has looked at both.
    let other = accepted(&world, &payer, PRICE).await;
    refund(&world, &other).await.unwrap();
    reaches(&world, &other, State::Canceled).await;
    assert_eq!(now(&world, &job).await.state(), State::Settling);
    world.stop().await;
    std::fs::write(&path, secret).unwrap();
    world.start().await;
    reaches_within(TRUTH, &world, &job, State::Held).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn another_node_in_the_place_of_the_one_that_was_asked_decides_nothing() {
    let mut world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    let (unpaid, _) = awaiting(&world, &payer, PRICE).await;
    let old = world.change_node().await;
    world.clock.advance(std::time::Duration::from_secs(30 * 3_600));
    secure(&world, &job).await.unwrap();
    refund(&world, &unpaid).await.unwrap();
    // The new node is at work.
    let fresh = accepted(&world, &world.again(&payer), PRICE).await;
    assert_eq!(now(&world, &fresh).await.state(), State::Accepted);
    assert_eq!(now(&world, &job).await.state(), State::Settling);
    assert_eq!(now(&world, &unpaid).await.state(), State::Canceling);
    world.start_on(old).await;
    reaches_within(TRUTH, &world, &job, State::Held).await;
    reaches_within(TRUTH, &world, &unpaid, State::Canceled).await;
}

//! The service ends in the middle, and goes on from its rows.

use poa_payment::PaymentHash;
use poa_payment::simulated::{Answer, Fault, PayEffect, Resolution};
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::eventually;

use crate::chain::{capture, held, receipts};
use crate::world::{SOON, world};

#[tokio::test]
async fn a_payment_in_flight_over_a_restart_is_found_out() {
    let mut world = world().await;
    let user = world.rich(1_000_000).await;
    let invoice = world.outside_invoice(&user, 100_000).await;
    let in_flight = Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Never };
    assert!(world.node().script([in_flight]));
    let made = world.withdraw(&user, &invoice, None).await.unwrap();
    let hash = PaymentHash::try_from(made.payment_hash.as_slice()).unwrap();
    eventually(SOON, "it is with the node", async || world.node().payments_taken().await.unwrap() == 1).await;
    world.stop().await;
    world.start().await;
    assert_eq!(world.withdrawal(&user, &made.withdrawal_id).await.state(), State::InFlight);
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_intent_that_was_committed_and_never_sent_is_sent_after_the_restart() {
    let mut world = world().await;
    let user = world.rich(1_000_000).await;
    let invoice = world.outside_invoice(&user, 100_000).await;
    let lost = Fault::Pay { effect: PayEffect::NeverArrives, answer: Answer::Never };
    assert!(world.node().script([lost; 100]));
    let made = world.withdraw(&user, &invoice, None).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::InFlight).await;
    world.stop().await;
    // The node's script is not kept over its own restart.
    world.start().await;
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_deposit_that_is_paid_while_the_service_is_down_is_credited() {
    let mut world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 50_000).await;
    let node = world.node().clone();
    world.stop().await;
    node.pay_invoice(&made.invoice).await.unwrap();
    drop(node);
    world.start().await;
    eventually(SOON, "the deposit is credited", async || world.balance(&user).await == (50_000, 0)).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn what_was_held_before_a_restart_is_released_after_it() {
    let mut world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let job = held(&world, &payer, 100_000).await;
    let chain = receipts(&world, &job, payee.account);
    world.stop().await;
    world.start().await;
    capture(&world, &job, chain).await.unwrap();
    assert_eq!(world.balance(&payee).await, (95_000, 0));
    world.assert_sound().await;
}

//! The payout worker on the node's bad days: paid once, or the sats are back, and nothing in between is guessed.

use std::time::Duration;

use poa_payment::simulated::{Answer, Fault, PayEffect, Resolution};
use poa_payment::{FailureReason, PaymentHash};
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::eventually;

use crate::world::{SOON, User, World, world, world_with};

fn hash(bytes: &[u8]) -> PaymentHash {
    PaymentHash::try_from(bytes).unwrap()
}

async fn begin(world: &World, user: &User, faults: impl IntoIterator<Item = Fault>) -> (String, PaymentHash) {
    let invoice = world.outside_invoice(user, 100_000).await;
    assert!(world.node().script(faults));
    let made = world.withdraw(user, &invoice, Some(1_000)).await.unwrap();
    (made.withdrawal_id, hash(&made.payment_hash))
}

fn pay(effect: PayEffect, answer: Answer) -> Fault {
    Fault::Pay { effect, answer }
}

#[tokio::test]
async fn a_payment_that_settles_late_is_waited_for() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let (id, hash) = begin(&world, &user, [pay(PayEffect::StaysInFlight, Answer::Given)]).await;
    world.reaches(&user, &id, State::InFlight).await;
    assert_eq!(world.balance(&user).await, (899_000, 101_000));
    world.assert_sound().await;
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    assert_eq!(world.reaches(&user, &id, State::Succeeded).await.fee_msat, 100);
    assert_eq!(world.balance(&user).await, (899_900, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_that_fails_is_given_back_whole() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let (id, _) = begin(&world, &user, [pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Given)]).await;
    let failed = world.reaches(&user, &id, State::Failed).await;
    assert_eq!(failed.failure, "no_route");
    assert!(failed.end_time.is_some() && failed.preimage.is_empty());
    assert_eq!(world.balance(&user).await, (1_000_000, 0));
    // By itself, too: a limit of nothing finds no route.
    let invoice = world.outside_invoice(&user, 100_000).await;
    let made = world.withdraw(&user, &invoice, Some(0)).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Failed).await;
    assert_eq!(world.balance(&user).await, (1_000_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_or_never_comes_is_no_failure() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    for answer in [Answer::Lost, Answer::Never] {
        let (id, _) = begin(&world, &user, [pay(PayEffect::Usual, answer)]).await;
        world.reaches(&user, &id, State::Succeeded).await;
    }
    assert_eq!(world.node().payments_taken().await.unwrap(), 2);
    assert_eq!(world.balance(&user).await, (799_800, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_request_that_never_arrived_is_sent_again_under_the_same_hash() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let faults = [pay(PayEffect::NeverArrives, Answer::Lost), pay(PayEffect::NeverArrives, Answer::Lost)];
    let (id, _) = begin(&world, &user, faults).await;
    world.reaches(&user, &id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    assert_eq!(world.count("SELECT dispatches::bigint FROM withdrawals").await, 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_the_node_never_heard_of_is_given_back_long_after_its_invoice() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    // More losses than there are looks before the clock moves on.
    let lost = std::iter::repeat_n(pay(PayEffect::NeverArrives, Answer::Lost), 1_000);
    let (id, _) = begin(&world, &user, lost).await;
    world.reaches(&user, &id, State::InFlight).await;
    assert_eq!(world.balance(&user).await, (899_000, 101_000));
    world.clock.advance(Duration::from_secs(3_601));
    let user = world.again(&user);
    assert_eq!(world.reaches(&user, &id, State::Failed).await.failure, "expired");
    assert_eq!(world.balance(&user).await, (1_000_000, 0));
    assert_eq!(world.node().payments_taken().await.unwrap(), 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn absence_never_refunds_while_the_margin_runs() {
    let world = world_with(|config| config.withdrawals.lost_margin_seconds = 3_600).await;
    let user = world.rich(1_000_000).await;
    let lost = std::iter::repeat_n(pay(PayEffect::NeverArrives, Answer::Lost), 1_000);
    let (id, _) = begin(&world, &user, lost).await;
    world.reaches(&user, &id, State::InFlight).await;
    // A day later by the wall clock, and a moment later by our own: a jump.
    world.clock.advance(Duration::from_secs(24 * 3_600));
    let user = world.again(&user);
    let looked = "SELECT count(*) FROM withdrawals WHERE failures_seen > 0 OR state <> 'dispatched'";
    for _ in 0..20 {
        world.fund(&user, 1_000).await;
        assert_eq!(world.count(looked).await, 0);
    }
    assert_eq!(world.balance(&user).await, (919_000, 101_000));
    assert_eq!(world.withdrawal(&user, &id).await.state(), State::InFlight);
}

#[tokio::test]
async fn what_expires_before_there_is_room_is_given_back_while_the_room_stays_taken() {
    let world = world_with(|config| config.withdrawals.max_in_flight = 1).await;
    let user = world.rich(1_000_000).await;
    let (stuck, hash) = begin(&world, &user, [pay(PayEffect::StaysInFlight, Answer::Given)]).await;
    world.reaches(&user, &stuck, State::InFlight).await;
    let (waiting, _) = begin(&world, &user, []).await;
    assert_eq!(world.balance(&user).await, (798_000, 202_000));
    world.clock.advance(Duration::from_secs(3_601));
    let user = world.again(&user);
    assert_eq!(world.reaches(&user, &waiting, State::Failed).await.failure, "expired");
    assert_eq!(world.withdrawal(&user, &stuck).await.state(), State::InFlight);
    assert_eq!(world.balance(&user).await, (899_000, 101_000));
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    world.reaches(&user, &stuck, State::Succeeded).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_failure_after_a_second_dispatch_waits_until_the_first_can_no_longer_arrive() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let lost = pay(PayEffect::NeverArrives, Answer::Lost);
    let failed = pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Given);
    let (id, _) = begin(&world, &user, [lost, failed]).await;
    eventually(SOON, "the second dispatch has failed", async || {
        world.node().payments_taken().await.unwrap() == 1
    })
    .await;
    // The deadline of both is ten minutes away.
    let moved = "SELECT count(*) FROM withdrawals WHERE failures_seen > 0 OR state <> 'dispatched'";
    for _ in 0..20 {
        world.fund(&user, 1_000).await;
        assert_eq!(world.count(moved).await, 0);
    }
    world.clock.advance(Duration::from_secs(601));
    let user = world.again(&user);
    assert_eq!(world.reaches(&user, &id, State::Failed).await.failure, "no_route");
    assert_eq!(world.balance(&user).await, (1_020_000, 0));
    assert_eq!(world.count("SELECT dispatches::bigint FROM withdrawals").await, 2);
    world.assert_sound().await;
}

//! What the node says, and what it does not say.

use std::time::Duration;

use poa_payment::simulated::{Answer, Fault, LookupFault, PayEffect, Resolution};
use poa_payment::{FailureReason, PaymentHash, Provider as _};
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{ReplaceWithdrawalInvoiceRequest, Withdrawal};
use poa_testkit::eventually;
use tokio::time::Instant;

use crate::world::{SOON, User, World, with, world, world_with};

const AMOUNT: i64 = 100_000;
/// The limit of the fee, and what the simulated route takes.
const LIMIT: i64 = 1_000;
const FEE: i64 = 100;

fn pay(effect: PayEffect, answer: Answer) -> Fault {
    Fault::Pay { effect, answer }
}

async fn begin(world: &World, user: &User) -> Withdrawal {
    let invoice = world.outside_invoice(user, AMOUNT).await;
    world.withdraw(user, &invoice, Some(LIMIT)).await.unwrap()
}

fn hash(made: &Withdrawal) -> PaymentHash {
    PaymentHash::try_from(made.payment_hash.as_slice()).unwrap()
}

/// Time in which the worker looks several times.
async fn looks(world: &World) {
    let other = world.user();
    for _ in 0..10 {
        world.fund(&other, 1_000).await;
    }
}

#[tokio::test]
async fn a_failed_lookup_is_not_taken_for_a_failed_payment() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let lookups =
        [LookupFault::NoAnswer, LookupFault::NoAnswer, LookupFault::NotFound, LookupFault::NoAnswer];
    assert!(world.node().script([pay(PayEffect::StaysInFlight, Answer::Lost)]));
    assert!(world.node().script(lookups.into_iter().cycle().take(400).map(Fault::LookupPayment)));
    let made = begin(&world, &user).await;
    world.reaches(&user, &made.withdrawal_id, State::InFlight).await;
    looks(&world).await;
    assert_eq!(world.withdrawal(&user, &made.withdrawal_id).await.state(), State::InFlight);
    assert_eq!(world.balance(&user).await, (1_000_000 - AMOUNT - LIMIT, AMOUNT + LIMIT));
    world.node().resolve_payment(hash(&made), Resolution::Settles).await.unwrap();
    // The rest of the lies are told first.
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_timeout_is_not_taken_for_failure_and_then_paid_again() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    // Our patience ends long before the node's.
    assert!(world.node().script([pay(PayEffect::StaysInFlight, Answer::Never)]));
    let made = begin(&world, &user).await;
    eventually(SOON, "we have given the answer up", async || {
        world.count("SELECT count(*) FROM withdrawals WHERE state = 'dispatched'").await == 1
            && world.node().payments_taken().await.unwrap() == 1
    })
    .await;
    looks(&world).await;
    assert_eq!(world.withdrawal(&user, &made.withdrawal_id).await.state(), State::InFlight);
    world.node().resolve_payment(hash(&made), Resolution::Settles).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    looks(&world).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1, "one payment");
    assert_eq!(world.balance(&user).await, (1_000_000 - AMOUNT - FEE, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_endless_send_stalls_nobody() {
    // Whoever waited for the send would wait for ten minutes, and this test with him.
    let world = world_with(|config| config.withdrawals.call_timeout_ms = 600_000).await;
    let user = world.rich(10_000_000).await;
    let mut alone = Vec::new();
    for _ in 0..20 {
        alone.push(paid_within(&world, &user).await);
    }
    assert!(world.node().script([pay(PayEffect::StaysInFlight, Answer::Never); 5]));
    let mut endless = Vec::new();
    for _ in 0..5 {
        endless.push(begin(&world, &user).await);
    }
    eventually(SOON, "they are with the node", async || world.node().payments_taken().await.unwrap() == 25)
        .await;
    let mut beside = Vec::new();
    for _ in 0..20 {
        beside.push(paid_within(&world, &user).await);
    }
    let slowest = |times: &[Duration]| times.iter().max().copied().unwrap_or_default();
    let (alone, beside) = (slowest(&alone), slowest(&beside));
    eprintln!("the slowest of 20 payouts: alone {alone:?}, beside five endless ones {beside:?}");
    assert!(beside < alone * 5 + Duration::from_secs(2), "{alone:?} became {beside:?}");
    for made in &endless {
        assert_eq!(world.withdrawal(&user, &made.withdrawal_id).await.state(), State::InFlight);
    }
}

async fn paid_within(world: &World, user: &User) -> Duration {
    let since = Instant::now();
    let made = begin(world, user).await;
    world.reaches(user, &made.withdrawal_id, State::Succeeded).await;
    since.elapsed()
}

#[tokio::test]
async fn an_unroutable_payout_frees_the_funds_and_takes_a_new_invoice() {
    let world = world().await;
    let user = world.rich(AMOUNT + LIMIT).await;
    assert!(world.node().script([pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Lost)]));
    let made = begin(&world, &user).await;
    assert_eq!(world.reaches(&user, &made.withdrawal_id, State::Failed).await.failure, "no_route");
    assert_eq!(world.balance(&user).await, (AMOUNT + LIMIT, 0), "all of it is free");
    let request = ReplaceWithdrawalInvoiceRequest {
        request_id: world.request_id(),
        withdrawal_id: made.withdrawal_id.clone(),
        invoice: world.outside_invoice(&user, AMOUNT).await,
        fee_limit_msat: Some(LIMIT),
    };
    let answer = world.escrow().replace_withdrawal_invoice(with(&user.token, request)).await.unwrap();
    let next = answer.into_inner().withdrawal.unwrap();
    world.reaches(&user, &next.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.balance(&user).await, (LIMIT - FEE, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_fee_does_not_drain_the_node_since_the_limit_is_reserved_and_passed() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let before = world.node().balance().await.unwrap().spendable.get();
    // One msat less than the route takes: nothing is paid, and nothing is lost.
    let invoice = world.outside_invoice(&user, AMOUNT).await;
    let tight = world.withdraw(&user, &invoice, Some(FEE - 1)).await.unwrap();
    assert_eq!(world.reaches(&user, &tight.withdrawal_id, State::Failed).await.failure, "no_route");
    assert_eq!(world.node().balance().await.unwrap().spendable.get(), before);
    // While it is in flight amount and limit are set aside, here and at the node.
    assert!(world.node().script([pay(PayEffect::StaysInFlight, Answer::Given)]));
    let invoice = world.outside_invoice(&user, AMOUNT).await;
    let made = world.withdraw(&user, &invoice, Some(FEE)).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::InFlight).await;
    assert_eq!(world.balance(&user).await, (1_000_000 - AMOUNT - FEE, AMOUNT + FEE));
    assert_eq!(world.node().balance().await.unwrap().outgoing.get(), AMOUNT + FEE);
    world.node().resolve_payment(hash(&made), Resolution::Settles).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    let after = world.node().balance().await.unwrap();
    assert_eq!((after.spendable.get(), after.outgoing.get()), (before - AMOUNT - FEE, 0));
    assert_eq!(world.balance(&user).await, (1_000_000 - AMOUNT - FEE, 0), "and the user has paid all of it");
    world.assert_sound().await;
}

#[tokio::test]
async fn not_found_never_refunds_what_is_settled_later() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    assert!(world.node().script([pay(PayEffect::StaysInFlight, Answer::Lost)]));
    assert!(world.node().script([Fault::LookupPayment(LookupFault::NotFound); 6]));
    let made = begin(&world, &user).await;
    // Sent again the node says that it has it, and then denies it for long: nothing is sent any more.
    let dispatches = "SELECT dispatches::bigint FROM withdrawals WHERE node_knew";
    eventually(SOON, "the node has told", async || {
        world.count("SELECT count(*) FROM withdrawals WHERE node_knew").await == 1
    })
    .await;
    let sent = world.count(dispatches).await;
    world.clock.advance(Duration::from_secs(7_200));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let user = world.again(&user);
    assert_eq!(world.count(dispatches).await, sent);
    assert_eq!(world.withdrawal(&user, &made.withdrawal_id).await.state(), State::InFlight);
    assert_eq!(world.balance(&user).await.1, AMOUNT + LIMIT, "nothing is given back");
    world.node().resolve_payment(hash(&made), Resolution::Settles).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.assert_sound().await;
}

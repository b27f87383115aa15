//! Automatic payouts: from a balance on all of it goes to the payout destination, once.

use std::time::Duration;

use poa_payment::FailureReason;
use poa_payment::simulated::{Answer, Fault, PayEffect};
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{
    GetPayoutDestinationRequest, ListWithdrawalsRequest, SetPayoutDestinationRequest, Withdrawal,
};
use poa_testkit::{HttpsAnswer, eventually};

use crate::payee::{ALICE, Payee};
use crate::world::{SOON, User, World, with, world_with};

/// From which balance on, in msat.
const THRESHOLD: i64 = 100_000;

async fn world_of(payee: &Payee) -> World {
    world_with(|config| {
        payee.known_to(config);
        config.payouts.automatic_poll_ms = 20;
    })
    .await
}

async fn pay_out_to(world: &World, user: &User, address: &str) {
    let request = SetPayoutDestinationRequest {
        request_id: world.request_id(),
        lightning_address: address.to_owned(),
        automatic_threshold_msat: THRESHOLD,
    };
    world.escrow().set_payout_destination(with(&user.token, request)).await.unwrap();
}

async fn withdrawals(world: &World, user: &User) -> Vec<Withdrawal> {
    let request = ListWithdrawalsRequest { page_size: 50, page_token: String::new() };
    let user = world.again(user);
    world.escrow().list_withdrawals(with(&user.token, request)).await.unwrap().into_inner().withdrawals
}

async fn problem(world: &World, user: &User) -> String {
    let user = world.again(user);
    let request = with(&user.token, GetPayoutDestinationRequest {});
    let answer = world.escrow().get_payout_destination(request).await.unwrap().into_inner();
    answer.destination.unwrap().automatic_problem
}

#[tokio::test]
async fn a_balance_at_the_threshold_is_paid_out_whole_and_the_next_one_again() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.user();
    pay_out_to(&world, &user, ALICE).await;
    world.fund(&user, THRESHOLD - 1_000).await;
    for round in 1..=3 {
        let deposit = world.deposit(&user, 10_000).await;
        world.pay(&user, &deposit.invoice).await.unwrap();
        eventually(SOON, "it is paid out", async || {
            let made = withdrawals(&world, &user).await;
            made.len() == round && made.iter().all(|row| row.state() == State::Succeeded)
        })
        .await;
        let (available, held) = world.balance(&user).await;
        // What the route did not take of the fee limit, and less than a sat.
        assert!(held == 0 && available < 6_000, "{available}");
        let left = world.deposit(&user, THRESHOLD - available - 1_000).await;
        world.pay(&user, &left.invoice).await.unwrap();
        eventually(SOON, "it is credited", async || world.balance(&user).await.0 == THRESHOLD - 1_000).await;
    }
    let made = withdrawals(&world, &user).await;
    assert_eq!(made.len(), 3, "below the threshold nothing goes");
    assert!(made.iter().all(|row| row.automatic && row.lightning_address == ALICE));
    assert_eq!(problem(&world, &user).await, "");
    world.assert_sound().await;
}

#[tokio::test]
async fn an_attempt_that_fails_is_told_and_made_again_later() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let user = world.rich(200_000).await;
    payee.lnurl.script(|_, _| Some(HttpsAnswer::json("{}").with_status(404)));
    pay_out_to(&world, &user, ALICE).await;
    eventually(SOON, "the problem is told", async || problem(&world, &user).await.contains("no such name"))
        .await;
    let asked = payee.lnurl.https().requests();
    assert!(problem(&world, &user).await.starts_with("2026-01-01 00:00 UTC"));
    // Not before its time.
    for _ in 0..10 {
        world.fund(&world.rich(1_000).await, 1_000).await;
    }
    assert_eq!(payee.lnurl.https().requests(), asked);
    // It is found, and the node finds no route.
    payee.lnurl.script(|_, _| None);
    assert!(
        world
            .node()
            .script([Fault::Pay { effect: PayEffect::Fails(FailureReason::NoRoute), answer: Answer::Given }])
    );
    for clock in [&world.clock, &payee.clock] {
        clock.advance(Duration::from_secs(61));
    }
    eventually(SOON, "the failure is told", async || problem(&world, &user).await.contains("no_route")).await;
    assert_eq!(world.balance(&user).await, (200_000, 0));
    for clock in [&world.clock, &payee.clock] {
        clock.advance(Duration::from_secs(121));
    }
    eventually(SOON, "it is paid out", async || {
        let made = withdrawals(&world, &user).await;
        made.len() == 2 && made[0].state() == State::Succeeded && made[1].state() == State::Failed
    })
    .await;
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_pay_out_once() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    let replica = world.replica().await;
    let mut users = Vec::new();
    for _ in 0..6 {
        let user = world.rich(200_000).await;
        pay_out_to(&world, &user, ALICE).await;
        users.push(user);
    }
    for user in &users {
        eventually(SOON, "it is paid out", async || {
            withdrawals(&replica, user).await.iter().any(|row| row.state() == State::Succeeded)
        })
        .await;
        assert_eq!(withdrawals(&world, user).await.len(), 1);
    }
    let paid = world.node().payments_taken().await.unwrap();
    assert_eq!(paid, users.len());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payout_takes_what_the_payee_and_the_caps_allow_at_a_time() {
    let payee = Payee::start().await;
    let world = world_with(|config| {
        payee.known_to(config);
        config.payouts.automatic_poll_ms = 20;
        config.withdrawals.max_msat_per_hour = 600_000;
    })
    .await;
    let user = world.rich(1_000_000).await;
    pay_out_to(&world, &user, ALICE).await;
    eventually(SOON, "as much as the cap", async || withdrawals(&world, &user).await.len() == 1).await;
    // With its fee limit.
    assert_eq!(withdrawals(&world, &user).await[0].amount_msat, 594_000);
    eventually(SOON, "the cap is told", async || problem(&world, &user).await.contains("600000 msat")).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn paused_nothing_is_paid_out_and_nobody_is_asked() {
    let payee = Payee::start().await;
    let world = world_of(&payee).await;
    world.pause(true, "a test").await;
    let user = world.rich(200_000).await;
    pay_out_to(&world, &user, ALICE).await;
    // Passes enough for it to have been tried.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((payee.lnurl.https().requests(), withdrawals(&world, &user).await.len()), (0, 0));
    world.pause(false, "the test goes on").await;
    // The pause is not held against the account: it is due at once.
    eventually(SOON, "it is paid out", async || !withdrawals(&world, &user).await.is_empty()).await;
    world.assert_sound().await;
}

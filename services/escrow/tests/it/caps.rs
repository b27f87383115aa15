//! How much may leave in an hour and in a day, and how much to one payee at a time.

use std::time::Duration;

use poa_payment::PaymentHash;
use poa_payment::simulated::{Answer, Fault, PayEffect, Resolution};
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::eventually;
use tonic::Code;

use crate::world::{SOON, User, World, fact, refusal, world_with};

const HOUR: Duration = Duration::from_secs(3_600);

async fn out(world: &World, user: &User, msat: i64) -> Result<String, tonic::Status> {
    let invoice = world.outside_invoice(&world.again(user), msat).await;
    Ok(world.withdraw(&world.again(user), &invoice, Some(1_000)).await?.withdrawal_id)
}

#[tokio::test]
async fn one_account_withdraws_so_much_in_an_hour_and_in_a_day() {
    let world = world_with(|config| {
        // The fee counts: a tenth of a per cent once it is paid, and until then the limit.
        config.withdrawals.max_msat_per_hour = 302_000;
        config.withdrawals.max_msat_per_day = 403_000;
    })
    .await;
    let (user, other) = (world.rich(2_000_000).await, world.rich(2_000_000).await);
    out(&world, &user, 200_000).await.unwrap();
    out(&world, &user, 100_000).await.unwrap();
    let refused = out(&world, &user, 5_000).await;
    assert_eq!(
        (fact(refused.clone(), "limit"), fact(refused.clone(), "span")),
        ("302000".into(), "hour".into())
    );
    assert_eq!(refusal(refused.clone()), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    let details = tonic_types::StatusExt::get_error_details(&refused.unwrap_err());
    assert!(details.retry_info().is_some());
    // Another account has its own.
    out(&world, &other, 300_000).await.unwrap();
    world.clock.advance(HOUR);
    out(&world, &user, 100_000).await.unwrap();
    let refused = out(&world, &user, 5_000).await;
    assert_eq!((fact(refused.clone(), "limit"), fact(refused, "span")), ("403000".into(), "day".into()));
    world.clock.advance(23 * HOUR);
    out(&world, &user, 200_000).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_accounts_together_withdraw_so_much_whichever_server_they_ask() {
    let world = world_with(|config| config.withdrawals.max_msat_per_hour_of_all = 505_000).await;
    let replica = world.replica().await;
    let mut users = Vec::new();
    for _ in 0..4 {
        users.push(world.rich(1_000_000).await);
    }
    let mut invoices = Vec::new();
    for _ in 0..16 {
        invoices.push(world.outside_invoice(&users[0], 100_000).await);
    }
    let calls = invoices.iter().enumerate().map(|(place, invoice)| {
        let server = if place % 2 == 0 { &world } else { &replica };
        server.withdraw(&users[place % 4], invoice, Some(1_000))
    });
    let answers = futures_util::future::join_all(calls).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 5);
    for refused in refused {
        assert_eq!(fact(refused.clone(), "limit"), "505000");
        assert_eq!(refusal(refused).1, "QUOTA_EXCEEDED");
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn the_largest_fee_counts_as_long_as_the_fee_is_not_known() {
    let world = world_with(|config| config.withdrawals.max_msat_per_hour = 100_000).await;
    let user = world.rich(2_000_000).await;
    // An invoice whose route would take all that the payer allows.
    let invoice = world.outside_invoice(&user, 1_000).await;
    let refused = world.withdraw(&user, &invoice, Some(500_000)).await;
    assert_eq!(refusal(refused).1, "QUOTA_EXCEEDED");
    world.withdraw(&user, &invoice, Some(99_000)).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn what_failed_counts_against_no_cap_and_what_goes_to_another_account_against_the_own_one() {
    let world = world_with(|config| {
        config.withdrawals.max_msat_per_hour = 102_000;
        config.withdrawals.max_msat_per_hour_of_all = 52_000;
    })
    .await;
    let (user, payee) = (world.rich(2_000_000).await, world.user());
    // No route within a limit of nothing.
    let invoice = world.outside_invoice(&user, 50_000).await;
    let failed = world.withdraw(&user, &invoice, Some(0)).await.unwrap();
    world.reaches(&user, &failed.withdrawal_id, State::Failed).await;
    // To oneself nothing leaves.
    let deposit = world.deposit(&user, 500_000).await;
    let inside = world.withdraw(&user, &deposit.invoice, None).await.unwrap();
    assert!(world.reaches(&user, &inside.withdrawal_id, State::Succeeded).await.internal);
    let deposit = world.deposit(&payee, 500_000).await;
    assert_eq!(refusal(world.withdraw(&user, &deposit.invoice, None).await).1, "QUOTA_EXCEEDED");
    let deposit = world.deposit(&payee, 50_000).await;
    let inside = world.withdraw(&user, &deposit.invoice, Some(0)).await.unwrap();
    world.reaches(&user, &inside.withdrawal_id, State::Succeeded).await;
    // It has not left the platform.
    out(&world, &user, 50_000).await.unwrap();
    assert_eq!(refusal(out(&world, &user, 5_000).await).1, "QUOTA_EXCEEDED");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_cap_of_nothing_is_none() {
    let world = world_with(|config| {
        config.withdrawals.max_msat_per_hour = 0;
        config.withdrawals.max_msat_per_day = 0;
        config.withdrawals.max_msat_per_hour_of_all = 0;
        config.withdrawals.max_msat_per_day_of_all = 0;
    })
    .await;
    let user = world.rich(2_000_000).await;
    out(&world, &user, 1_900_000).await.unwrap();
}

#[tokio::test]
async fn a_payee_who_holds_keeps_his_own_waiting_and_nobody_else() {
    let world = world_with(|config| config.withdrawals.max_in_flight_per_payee = 2).await;
    let (user, other) = (world.rich(2_000_000).await, world.rich(2_000_000).await);
    let holds = Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given };
    assert!(world.node().script([holds, holds]));
    let mut held = Vec::new();
    for _ in 0..2 {
        let invoice = world.outside_invoice(&user, 10_000).await;
        held.push(world.withdraw(&user, &invoice, None).await.unwrap());
    }
    for row in &held {
        world.reaches(&user, &row.withdrawal_id, State::InFlight).await;
    }
    // All wallets outside are one node here; what waits for it stays reserved, however much it is.
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(out(&world, &user, 10_000).await.unwrap());
    }
    let deposit = world.deposit(&user, 5_000).await;
    let inside = world.withdraw(&other, &deposit.invoice, None).await.unwrap();
    world.reaches(&other, &inside.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 2);
    for id in &waiting {
        assert_eq!(world.withdrawal(&user, id).await.state(), State::Reserved);
    }
    let hash = PaymentHash::try_from(held[0].payment_hash.as_slice()).unwrap();
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    eventually(SOON, "the rest goes out one after the other", async || {
        world.node().payments_taken().await.unwrap() == 7
    })
    .await;
    world.assert_sound().await;
}

#[test]
fn the_defaults_bound_what_a_thief_can_take() {
    let config = poa_escrow::Config::default().withdrawals;
    assert!(config.max_msat_per_hour > 0 && config.max_msat_per_hour < config.max_msat_per_day);
    assert!(
        config.max_msat_per_hour_of_all > 0
            && config.max_msat_per_hour_of_all < config.max_msat_per_day_of_all
    );
}

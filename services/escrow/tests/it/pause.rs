//! PausePayouts: once it is answered nothing new is sent, and what was sent is found out as ever.

use std::time::Duration;

use poa_payment::PaymentHash;
use poa_payment::simulated::{Answer, Fault, PayEffect, Resolution};
use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{CreateWithdrawalRequest, PausePayoutsRequest};
use poa_testkit::eventually;
use sqlx::Connection as _;
use tonic::Code;

use crate::world::{SOON, refusal, with, world, world_with};

#[tokio::test]
async fn paused_no_withdrawal_is_taken_and_a_repeat_is_answered_as_ever() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let request = CreateWithdrawalRequest {
        request_id: world.request_id(),
        invoice: world.outside_invoice(&user, 10_000).await,
        ..Default::default()
    };
    let ask = async |request: CreateWithdrawalRequest| {
        world.escrow().create_withdrawal(with(&user.token, request)).await
    };
    let first = ask(request.clone()).await.unwrap().into_inner().withdrawal.unwrap();
    world.reaches(&user, &first.withdrawal_id, State::Succeeded).await;
    let switch = world.pause(true, "the node looks odd").await;
    assert!(switch.paused && switch.reason == "the node looks odd" && switch.change_time.is_some());
    let paused = (Code::Unavailable, "PAYOUTS_PAUSED".to_owned());
    let invoice = world.outside_invoice(&user, 10_000).await;
    assert_eq!(refusal(world.withdraw(&user, &invoice, None).await), paused);
    assert_eq!(
        ask(request).await.unwrap().into_inner().withdrawal.unwrap().withdrawal_id,
        first.withdrawal_id
    );
    // The same again changes nothing, not even the time.
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.pause(true, "the node looks odd").await, switch);
    let other = world.pause(true, "it still does").await;
    assert!(other.change_time.unwrap().seconds > switch.change_time.unwrap().seconds);
    assert!(!world.pause(false, "it is fine").await.paused);
    let made = world.withdraw(&user, &invoice, None).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn paused_nothing_that_waits_is_sent_and_what_was_sent_comes_to_its_end() {
    let world = world_with(|config| config.withdrawals.max_in_flight = 1).await;
    let (user, payee) = (world.rich(1_000_000).await, world.user());
    assert!(world.node().script([Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given }]));
    let sent = world.outside_invoice(&user, 100_000).await;
    let sent = world.withdraw(&user, &sent, None).await.unwrap();
    world.reaches(&user, &sent.withdrawal_id, State::InFlight).await;
    let waiting = world.outside_invoice(&user, 50_000).await;
    let waiting = world.withdraw(&user, &waiting, None).await.unwrap();
    world.pause(true, "a test").await;
    let hash = PaymentHash::try_from(sent.payment_hash.as_slice()).unwrap();
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    world.reaches(&user, &sent.withdrawal_id, State::Succeeded).await;
    // There is room now, and time enough for the worker to find it.
    for _ in 0..20 {
        world.fund(&payee, 1_000).await;
        assert_eq!(world.withdrawal(&user, &waiting.withdrawal_id).await.state(), State::Reserved);
    }
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.pause(false, "the test goes on").await;
    world.reaches(&user, &waiting.withdrawal_id, State::Succeeded).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn paused_what_the_node_never_heard_of_is_not_sent_again() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let lost = Fault::Pay { effect: PayEffect::NeverArrives, answer: Answer::Lost };
    assert!(world.node().script([lost; 2_000]));
    let invoice = world.outside_invoice(&user, 100_000).await;
    let made = world.withdraw(&user, &invoice, None).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::InFlight).await;
    world.pause(true, "a test").await;
    let told = world.count("SELECT dispatches::bigint FROM withdrawals").await;
    for _ in 0..20 {
        world.fund(&user, 1_000).await;
        assert_eq!(world.count("SELECT dispatches::bigint FROM withdrawals").await, told);
    }
    world.pause(false, "the test goes on").await;
    eventually(SOON, "it is sent again", async || {
        world.count("SELECT dispatches::bigint FROM withdrawals").await > told
    })
    .await;
}

#[tokio::test]
async fn no_intent_is_committed_after_a_pause_is_and_a_pause_waits_for_those_before() {
    let world = world().await;
    let (user, other) = (world.rich(10_000_000).await, world.user());
    let mut invoices = Vec::new();
    for _ in 0..40 {
        invoices.push(world.outside_invoice(&user, 10_000).await);
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    let withdrawing = async {
        for invoice in &invoices {
            match world.withdraw(&user, invoice, None).await {
                Ok(_) => {}
                Err(refused) => assert_eq!(refusal::<()>(Err(refused)).1, "PAYOUTS_PAUSED"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let switching = async {
        let mut sql = world.sql().await;
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            world.pause(true, "now").await;
            let told = "SELECT coalesce(sum(dispatches), 0)::bigint, count(*) FROM withdrawals";
            let paused: (i64, i64) = sqlx::query_as(told).fetch_one(&mut sql).await.unwrap();
            for _ in 0..5 {
                let still: (i64, i64) = sqlx::query_as(told).fetch_one(&mut sql).await.unwrap();
                assert_eq!(still, paused, "something began while payouts were paused");
            }
            world.pause(false, "go on").await;
            // Time for some of them.
            world.fund(&other, 1_000).await;
        }
        sql.close().await.unwrap();
    };
    tokio::join!(withdrawing, switching);
    eventually(SOON, "everything that was taken is paid", async || {
        world.count("SELECT count(*) FROM withdrawals WHERE state <> 'succeeded'").await == 0
    })
    .await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_server_that_starts_paused_waits_for_the_operator() {
    let mut world = world().await;
    let user = world.rich(1_000_000).await;
    world.stop().await;
    world.change(|config| config.withdrawals.start_paused = true);
    world.start().await;
    let invoice = world.outside_invoice(&user, 10_000).await;
    assert_eq!(refusal(world.withdraw(&user, &invoice, None).await).1, "PAYOUTS_PAUSED");
    // What is there already stays, with its reason.
    world.pause(true, "restored from a backup").await;
    world.stop().await;
    world.start().await;
    assert_eq!(world.pause(true, "restored from a backup").await.reason, "restored from a backup");
    world.pause(false, "everything is imported").await;
    let made = world.withdraw(&user, &invoice, None).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
}

#[tokio::test]
async fn only_an_operator_pauses_payouts_and_says_why() {
    let world = world().await;
    let user = world.user();
    let request = |reason: &str| PausePayoutsRequest { paused: Some(true), reason: reason.to_owned() };
    let mut admin = EscrowAdminServiceClient::new(world.admin_channel());
    let refused = admin.pause_payouts(with(&user.token, request("mine"))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    let token = std::fs::read_to_string(world.keys().join("admin.token")).unwrap();
    for incomplete in [request(""), PausePayoutsRequest { paused: None, ..request("which?") }] {
        let refused = admin.pause_payouts(with(token.trim(), incomplete)).await;
        assert_eq!(refusal(refused).1, "FIELDS_INVALID");
    }
}

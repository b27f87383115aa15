//! Crashes and restarts in every state, and at every moment.

use std::time::Duration;

use poa_payment::simulated::{Answer, Fault, PayEffect, Resolution};
use poa_payment::{FailureReason, PaymentHash};
use poa_proto::escrow::v1::withdrawal::State;
use poa_testkit::eventually;
use tokio::time::Instant;

use crate::payee::{ALICE, Payee};
use crate::world::{SOON, User, World, with, world, world_with};

/// How long the truth may take after a restart.
const TRUTH_WITHIN: Duration = Duration::from_secs(5);

async fn begin(world: &World, user: &User, fault: Option<Fault>) -> (String, PaymentHash) {
    let invoice = world.outside_invoice(user, 100_000).await;
    assert!(world.node().script(fault));
    let made = world.withdraw(user, &invoice, Some(1_000)).await.unwrap();
    (made.withdrawal_id, PaymentHash::try_from(made.payment_hash.as_slice()).unwrap())
}

/// Waits for the end that is the truth, no longer than it may take.
async fn truth(world: &World, user: &User, id: &str, state: State) {
    let since = Instant::now();
    world.reaches(user, id, state).await;
    assert!(since.elapsed() < TRUTH_WITHIN, "{state:?} took {:?}", since.elapsed());
}

#[tokio::test]
async fn state_is_not_lost_over_a_restart_in_any_state() {
    let mut world = world_with(|config| config.withdrawals.max_in_flight = 5).await;
    let (user, payee) = (world.rich(10_000_000).await, world.user());
    let pay = |effect, answer| Some(Fault::Pay { effect, answer });
    let (settles, settles_hash) = begin(&world, &user, pay(PayEffect::StaysInFlight, Answer::Given)).await;
    world.reaches(&user, &settles, State::InFlight).await;
    let (fails, fails_hash) = begin(&world, &user, pay(PayEffect::StaysInFlight, Answer::Never)).await;
    world.reaches(&user, &fails, State::InFlight).await;
    // Told, and taken by nobody.
    assert!(
        world.node().script([Fault::Pay { effect: PayEffect::NeverArrives, answer: Answer::Never }; 200])
    );
    let (lost, _) = begin(&world, &user, None).await;
    world.reaches(&user, &lost, State::InFlight).await;
    let (stays, stays_hash) = begin(&world, &user, None).await;
    world.reaches(&user, &stays, State::InFlight).await;
    // There is no room for these.
    let (reserved, _) = begin(&world, &user, None).await;
    let inside = world.deposit(&payee, 30_000).await;
    let inside = world.withdraw(&user, &inside.invoice, None).await.unwrap().withdrawal_id;
    world.crash();
    world.start().await;
    world.node().resolve_payment(settles_hash, Resolution::Settles).await.unwrap();
    world.node().resolve_payment(fails_hash, Resolution::Fails(FailureReason::Timeout)).await.unwrap();
    truth(&world, &user, &settles, State::Succeeded).await;
    truth(&world, &user, &fails, State::Failed).await;
    truth(&world, &user, &lost, State::Succeeded).await;
    truth(&world, &user, &inside, State::Succeeded).await;
    truth(&world, &user, &stays, State::Succeeded).await;
    truth(&world, &user, &reserved, State::Succeeded).await;
    let _taken_late = world.node().resolve_payment(stays_hash, Resolution::Settles).await;
    assert_eq!(world.node().payments_taken().await.unwrap(), 5);
    world.assert_sound().await;
    // And at rest nothing moves over another one.
    let rest = world.balance(&user).await;
    world.crash();
    world.start().await;
    assert_eq!(world.balance(&user).await, rest);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_re_resolved_address_that_gives_a_new_hash_is_paid_once_wherever_it_crashes() {
    const MOMENTS: u32 = 24;
    let payee = Payee::start().await;
    let mut world = world_with(|config| payee.known_to(config)).await;
    let user = world.rich(10_000_000).await;
    let mut before = 0;
    for moment in 0..MOMENTS {
        let request = world.send_request(ALICE, 100_000);
        let (mut client, token) = (world.escrow(), user.token.clone());
        let asked = request.clone();
        let caller =
            tokio::spawn(async move { client.create_withdrawal(with(&token, asked)).await.map(|_| ()) });
        // From before the first question to after the payment: later by a little each time.
        tokio::time::sleep(Duration::from_millis(3) * moment).await;
        world.crash();
        let _whatever_was_heard = caller.await.unwrap();
        world.start().await;
        let made = world.escrow().create_withdrawal(with(&user.token, request)).await.unwrap();
        let id = made.into_inner().withdrawal.unwrap().withdrawal_id;
        world.reaches(&user, &id, State::Succeeded).await;
        before += 1;
        assert_eq!(world.node().payments_taken().await.unwrap(), before, "one payment each");
    }
    let given = payee.lnurl.invoices();
    eprintln!(
        "{MOMENTS} payouts to an address, crashed at as many moments: {given} invoices, {before} payments"
    );
    assert!(given >= u64::from(MOMENTS));
    assert_eq!(world.balance(&user).await, (10_000_000 - 100_100 * i64::from(MOMENTS), 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_transfer_within_the_ledger_is_made_once_wherever_it_crashes() {
    const MOMENTS: u32 = 24;
    let mut world = world().await;
    let (user, payee) = (world.rich(10_000_000).await, world.user());
    for moment in 0..MOMENTS {
        let deposit = world.deposit(&payee, 10_000).await;
        let made = world.withdraw(&user, &deposit.invoice, Some(500)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2) * moment).await;
        world.crash();
        world.start().await;
        let paid = world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
        assert!(paid.internal);
    }
    assert_eq!(world.balance(&user).await, (10_000_000 - 10_000 * i64::from(MOMENTS), 0));
    assert_eq!(world.balance(&payee).await, (10_000 * i64::from(MOMENTS), 0));
    assert_eq!(world.node().payments_taken().await.unwrap(), 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_automatic_payout_is_made_once_wherever_it_crashes() {
    use poa_proto::escrow::v1::SetPayoutDestinationRequest;
    const MOMENTS: u32 = 16;
    let payee = Payee::start().await;
    let mut world = world_with(|config| {
        payee.known_to(config);
        config.payouts.automatic_poll_ms = 10;
    })
    .await;
    for moment in 0..MOMENTS {
        let user = world.rich(200_000).await;
        let request = SetPayoutDestinationRequest {
            request_id: world.request_id(),
            lightning_address: ALICE.to_owned(),
            automatic_threshold_msat: 150_000,
        };
        world.escrow().set_payout_destination(with(&user.token, request)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3) * moment).await;
        world.crash();
        world.start().await;
        eventually(SOON, "it is paid out", async || {
            let (available, held) = world.balance(&user).await;
            held == 0 && available < 150_000
        })
        .await;
    }
    let many = i64::from(MOMENTS);
    assert_eq!(world.count("SELECT count(*) FROM withdrawals WHERE state = 'succeeded'").await, many);
    assert_eq!(world.node().payments_taken().await.unwrap(), usize::try_from(many).unwrap());
    world.assert_sound().await;
}

//! The service on the nodes that its configuration names: stand-ins of an LND and a phoenixd, over their real interfaces.

use std::time::Duration;

use poa_common::Msat;
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{CreateDepositRequest, ReturnWithdrawalRequest, Withdrawal};
use poa_testkit::phoenixd::{Arrival, Endpoint, OutsideInvoice, Phoenixd, Trouble};
use poa_testkit::{LndOutsideInvoice, LndStandIn, env, eventually};
use tonic::{Code, Status};

use crate::world::{SOON, User, World, refusal, with, world_on_its_node};
use poa_escrow::config::ProviderKind;

/// What is deposited and what is paid out, in msat.
const DEPOSIT: i64 = 100_000_000;
const PAYOUT: i64 = 10_000_000;

/// What a phoenixd takes of a payment of [`PAYOUT`]: 4 sat and 0.4 %.
const PHOENIXD_FEE: i64 = 44_000;

async fn on_lnd() -> (World, LndStandIn) {
    let (env, _) = env(11);
    let lnd = LndStandIn::start(env).await;
    let options = lnd.options();
    let world = world_on_its_node(|config| {
        config.lightning.provider = ProviderKind::Lnd;
        config.lightning.lnd.endpoint = options.endpoint;
        config.lightning.lnd.tls_cert = options.tls_cert;
        config.lightning.lnd.invoices_macaroon = options.macaroons.invoices;
        config.lightning.lnd.payouts_macaroon = options.macaroons.payouts;
        config.lightning.lnd.reconciliation_macaroon = options.macaroons.reconciliation;
        config.withdrawals.call_timeout_ms = 5_000;
    })
    .await;
    (world, lnd)
}

async fn on_phoenixd() -> (World, Phoenixd) {
    let (env, _) = env(12);
    let phoenixd = Phoenixd::start(env).await;
    let world = world_on_its_node(|config| {
        config.lightning.provider = ProviderKind::Phoenixd;
        config.lightning.phoenixd.url = phoenixd.url();
        config.lightning.phoenixd.password_file = phoenixd.password_file();
        config.lightning.phoenixd.limited_password_file = Some(phoenixd.limited_password_file());
        config.withdrawals.call_timeout_ms = 5_000;
    })
    .await;
    (world, phoenixd)
}

/// Somebody whose deposit was paid from outside.
async fn credited(world: &World, pay: impl FnOnce(&str)) -> User {
    let user = world.user();
    let deposit = world.deposit(&user, DEPOSIT).await;
    pay(&deposit.invoice);
    eventually(SOON, "the deposit is credited", async || world.balance(&user).await.0 == DEPOSIT).await;
    user
}

/// The ledger is sound, and the node agrees with it.
async fn assert_agreed(world: &World) {
    world.assert_sound().await;
    let request = poa_proto::escrow::v1::GetReconciliationRequest { full: true };
    let answer = world.admin().get_reconciliation(world.as_operator(request)).await.unwrap();
    let found = answer.into_inner().reconciliation.unwrap();
    assert!(found.clean, "{found:#?}");
}

async fn give_back(world: &World, id: &str) -> Result<Withdrawal, Status> {
    let request =
        ReturnWithdrawalRequest { withdrawal_id: id.to_owned(), reason: "the payee has nothing".to_owned() };
    let answer = world.admin().return_withdrawal(world.as_operator(request)).await?;
    Ok(answer.into_inner().withdrawal.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn sats_come_in_and_go_out_through_an_lnd() {
    let (world, lnd) = on_lnd().await;
    let user = credited(&world, |invoice| lnd.pay(invoice).unwrap()).await;
    let outside = lnd.outside_invoice(LndOutsideInvoice::of(Msat::new(PAYOUT)));
    let made = world.withdraw(&user, &outside, None).await.unwrap();
    let paid = world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.balance(&user).await, (DEPOSIT - PAYOUT - paid.fee_msat, 0));
    assert_eq!(lnd.payments_begun(), 1);
    assert_agreed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sats_come_in_and_go_out_through_a_phoenixd() {
    let (world, phoenixd) = on_phoenixd().await;
    let user = credited(&world, |invoice| phoenixd.pay_from_outside(invoice).unwrap()).await;
    let outside = phoenixd.outside_invoice(OutsideInvoice::of_sat(10_000));
    let made = world.withdraw(&user, &outside, None).await.unwrap();
    let paid = world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(paid.fee_msat, PHOENIXD_FEE);
    assert_eq!(world.balance(&user).await, (DEPOSIT - PAYOUT - PHOENIXD_FEE, 0));
    assert_agreed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_costs_is_the_depositors_and_fee_credit_ends_deposits() {
    let (world, phoenixd) = on_phoenixd().await;
    let user = world.user();
    let deposit = world.deposit(&user, DEPOSIT).await;
    let costly = Arrival { liquidity_fee_sat: 7_000, ..Arrival::default() };
    phoenixd.pay_from_outside_with(&deposit.invoice, costly).unwrap();
    eventually(SOON, "what is left is credited", async || {
        world.balance(&user).await.0 == DEPOSIT - 7_000_000
    })
    .await;
    let deposit = world.deposit(&user, 1_000_000).await;
    let credit = Arrival { becomes_fee_credit: true, ..Arrival::default() };
    phoenixd.pay_from_outside_with(&deposit.invoice, credit).unwrap();
    // What cannot be spent must not be promised to anybody else.
    eventually(SOON, "no deposit is taken", async || {
        let request = CreateDepositRequest { request_id: world.request_id(), amount_msat: 1_000_000 };
        world.escrow().create_deposit(with(&user.token, request)).await.is_err()
    })
    .await;
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_left_no_trace_is_given_back_by_an_operator_and_not_before_it_is_over() {
    let (world, phoenixd) = on_phoenixd().await;
    let user = credited(&world, |invoice| phoenixd.pay_from_outside(invoice).unwrap()).await;
    let outside = phoenixd.outside_invoice(OutsideInvoice::of_sat(10_000));
    // The start has asked whether the password may send.
    let before = phoenixd.requests("POST /payinvoice");
    phoenixd.trouble(Endpoint::PayInvoice, [Trouble::LostBefore]);
    let made = world.withdraw(&user, &outside, None).await.unwrap();
    eventually(SOON, "it was asked for", async || phoenixd.requests("POST /payinvoice") > before).await;
    let id = made.withdrawal_id;
    let refused = refusal(give_back(&world, &id).await);
    assert_eq!(refused.0, Code::FailedPrecondition, "{refused:?}");
    world.clock.advance(Duration::from_secs(3_600) + Duration::from_secs(3_600));
    // A phoenixd that does not know a payment proves nothing: it stays, whatever time goes by.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let user = world.again(&user);
    let stays = world.withdrawal(&user, &id).await;
    assert_eq!(stays.state(), State::InFlight, "{stays:?}");
    assert_eq!(phoenixd.requests("POST /payinvoice"), before + 1);
    let returned = give_back(&world, &id).await.unwrap();
    assert_eq!((returned.state(), returned.failure.as_str()), (State::Failed, "returned_by_operator"));
    assert_eq!(world.balance(&user).await, (DEPOSIT, 0));
    // Said again it is the same.
    assert_eq!(give_back(&world, &id).await.unwrap(), returned);
    assert_agreed(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_is_given_back_by_nobody() {
    let (world, phoenixd) = on_phoenixd().await;
    let user = credited(&world, |invoice| phoenixd.pay_from_outside(invoice).unwrap()).await;
    let outside = phoenixd.outside_invoice(OutsideInvoice::of_sat(10_000));
    let made = world.withdraw(&user, &outside, None).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, State::Succeeded).await;
    let refused = refusal(give_back(&world, &made.withdrawal_id).await);
    assert_eq!(refused.0, Code::FailedPrecondition, "{refused:?}");
    assert_agreed(&world).await;
}

//! An invoice of our own node's that is a deposit here: paid within the ledger, and nothing is sent.

use poa_payment::PaymentHash;
use poa_payment::simulated::{ChangeFault, Fault, LookupFault};
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{Deposit, GetDepositRequest, deposit, ledger_entry};
use poa_testkit::eventually;
use tonic::Code;

use crate::world::{SOON, User, World, fact, refusal, with, world, world_with};

async fn read(world: &World, user: &User, deposit_id: &str) -> Deposit {
    let request = GetDepositRequest { deposit_id: deposit_id.to_owned() };
    world.escrow().get_deposit(with(&user.token, request)).await.unwrap().into_inner().deposit.unwrap()
}

#[tokio::test]
async fn a_deposit_of_another_account_is_paid_by_a_transfer_with_no_fee_and_no_preimage() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let deposit = world.deposit(&payee, 300_000).await;
    let made = world.withdraw(&payer, &deposit.invoice, Some(2_000)).await.unwrap();
    let paid = world.reaches(&payer, &made.withdrawal_id, State::Succeeded).await;
    assert!(paid.internal && paid.preimage.is_empty());
    assert_eq!((paid.amount_msat, paid.fee_limit_msat, paid.fee_msat), (300_000, 2_000, 0));
    assert_eq!(world.balance(&payer).await, (700_000, 0));
    assert_eq!(world.balance(&payee).await, (300_000, 0));
    let settled = read(&world, &payee, &deposit.deposit_id).await;
    assert_eq!((settled.state(), settled.credited_msat), (deposit::State::Settled, 300_000));
    assert_eq!(world.node().payments_taken().await.unwrap(), 0);
    // Nobody outside can pay it any more.
    assert_eq!(fact(world.pay(&payer, &deposit.invoice).await, "problem"), "not-open");
    use ledger_entry::Kind;
    let entries = world.entries(&payer).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind()).collect();
    assert_eq!(kinds, [Kind::WithdrawReturn, Kind::Transfer, Kind::WithdrawReserve, Kind::Deposit]);
    assert_eq!(entries[1].subject_id, made.withdrawal_id);
    let entries = world.entries(&payee).await;
    assert_eq!((entries[0].kind(), entries[0].available_delta_msat), (Kind::Transfer, 300_000));
    assert_eq!(entries[0].subject_id, deposit.deposit_id);
    world.assert_sound().await;
}

#[tokio::test]
async fn paying_ones_own_deposit_changes_nothing_but_the_deposit() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let deposit = world.deposit(&user, 300_000).await;
    let made = world.withdraw(&user, &deposit.invoice, None).await.unwrap();
    assert!(world.reaches(&user, &made.withdrawal_id, State::Succeeded).await.internal);
    assert_eq!(world.balance(&user).await, (1_000_000, 0));
    assert_eq!(read(&world, &user, &deposit.deposit_id).await.state(), deposit::State::Settled);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_asked_until_it_does() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let deposit = world.deposit(&payee, 300_000).await;
    // The poll of deposits takes some of these, too.
    let lost = [
        Fault::Change(ChangeFault::RequestLost),
        Fault::Change(ChangeFault::AnswerLost),
        Fault::LookupInvoice(LookupFault::NoAnswer),
        Fault::LookupInvoice(LookupFault::Stale),
        Fault::LookupInvoice(LookupFault::NotFound),
    ];
    assert!(world.node().script(lost));
    let made = world.withdraw(&payer, &deposit.invoice, None).await.unwrap();
    world.reaches(&payer, &made.withdrawal_id, State::Succeeded).await;
    assert_eq!(world.balance(&payee).await, (300_000, 0));
    // The cancelled invoice was seen by the poll, and the deposit was not given up by it.
    assert_eq!(read(&world, &payee, &deposit.deposit_id).await.state(), deposit::State::Settled);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_deposit_that_waits_for_the_ledger_is_not_given_up_when_its_invoice_is_cancelled() {
    let world = world_with(|config| config.deposits.poll_ms = 10).await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    for _ in 0..10 {
        let deposit = world.deposit(&payee, 10_000).await;
        let made = world.withdraw(&payer, &deposit.invoice, None).await.unwrap();
        world.reaches(&payer, &made.withdrawal_id, State::Succeeded).await;
        assert_eq!(read(&world, &payee, &deposit.deposit_id).await.state(), deposit::State::Settled);
    }
    assert_eq!(world.balance(&payee).await, (100_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_invoice_of_our_own_that_is_no_open_deposit_is_refused() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let refused = async |invoice: &str| {
        let refused = world.withdraw(&world.again(&user), invoice, None).await;
        assert_eq!(refusal(refused.clone()), (Code::InvalidArgument, "INVOICE_REFUSED".to_owned()));
        fact(refused, "problem")
    };
    // Of our node, and of no deposit.
    let hold = poa_payment::NewHoldInvoice {
        hash: PaymentHash::new([5; 32]),
        invoice: poa_payment::NewInvoice {
            amount: poa_common::Msat::new(5_000),
            description_hash: [1; 32],
            expiry: std::time::Duration::from_secs(600),
            min_final_cltv: None,
        },
    };
    let hold = poa_payment::HoldInvoices::add(world.node(), hold).await.unwrap();
    assert_eq!(refused(&hold.bolt11).await, "own-node");
    let paid = world.deposit(&user, 5_000).await;
    world.pay(&user, &paid.invoice).await.unwrap();
    eventually(SOON, "it is credited", async || world.balance(&user).await.0 == 1_005_000).await;
    assert_eq!(refused(&paid.invoice).await, "not-open");
    let late = world.deposit(&user, 5_000).await;
    world.clock.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(refused(&late.invoice).await, "expired");
    assert_eq!(world.count("SELECT count(*) FROM withdrawals").await, 0);
}

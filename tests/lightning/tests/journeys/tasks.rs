//! Tasks that a hold invoice funds, from the invoice to the receipt.

use poa_common::Network;
use poa_payment::{PaymentHash, Preimage};
use poa_sdk::api::escrow::escrow;
use poa_sdk::api::task::Task;
use poa_sdk::api::task::task::State;
use poa_sdk::receipts::{Outcome, Policy, Rail, Statement};

use super::market::{Asked, FEE, Market, PRICE};

/// What a wallet pays beyond the price, in sat.
const SURPLUS_SAT: u64 = 123;
/// The largest part of a payment in two, in sat.
const PART_SAT: u64 = 12_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_hold_invoice_funds_a_task_and_is_settled_when_its_result_is_accepted() {
    let market = Market::open().await;
    let paid = i64::try_from(SURPLUS_SAT).unwrap() * 1_000 + PRICE.get();
    let before = market.outside_balance().await;

    let (task, asked) = market.hire().await;
    invoice_is_for_the_terms(&market, &task, &asked).await;
    market.lock(&asked).await;
    is_locked(&market, &task, &asked, PRICE.get()).await;
    market.work(&task.task_id).await;
    assert_eq!(account(&market).await, (0, (0, 0)), "the ledger knows nothing of what is locked");
    market.alice.accept_result(&task.task_id).await.unwrap();
    is_paid(&market, &task, &asked).await;
    assert_eq!(market.balance(&market.bob).await, ((PRICE.get() - FEE.get()), 0));
    assert_eq!(market.balance(&market.alice).await, (0, 0));
    market.outside_balance_becomes(before - PRICE.get()).await;
    receipt_verifies(&market, &task).await;

    // Again, by a wallet that pays more, in two parts: what is more is Alice's once the sats are ours.
    let known = account(&market).await;
    let (task, asked) = market.hire().await;
    let sat = u64::try_from(PRICE.get() / 1_000).unwrap() + SURPLUS_SAT;
    let (a, b) = (market.network.a(), market.network.b());
    b.pay_other(&asked.bolt11, sat, PART_SAT, a).await.unwrap();
    is_locked(&market, &task, &asked, paid).await;
    market.work(&task.task_id).await;
    assert_eq!(account(&market).await, known);
    market.alice.accept_result(&task.task_id).await.unwrap();
    is_paid(&market, &task, &asked).await;
    assert_eq!(market.balance(&market.bob).await, (2 * (PRICE.get() - FEE.get()), 0));
    assert_eq!(market.balance(&market.alice).await, (paid - PRICE.get(), 0));
    market.outside_balance_becomes(before - PRICE.get() - paid).await;
    receipt_verifies(&market, &task).await;
    market.books_are_right().await;
}

/// Invoice and preimage together will prove a payment for exactly these terms.
async fn invoice_is_for_the_terms(market: &Market, task: &Task, asked: &Asked) {
    let decoded = market.network.b().lncli(&["decodepayreq", &asked.bolt11]).await.unwrap();
    let terms = Statement::parse(&task.terms).unwrap().digest();
    assert_eq!(decoded["description_hash"], terms.to_string());
    assert_eq!(decoded["num_msat"], PRICE.get().to_string());
    assert_eq!(decoded["destination"], market.network.a().key.as_str());
}

/// What the ledger knows of Alice.
async fn account(market: &Market) -> (usize, (i64, i64)) {
    (market.movements(&market.alice).await, market.balance(&market.alice).await)
}

/// The sats are locked, and anyone may claim the task.
async fn is_locked(market: &Market, task: &Task, asked: &Asked, paid: i64) {
    let open = market.task_becomes(&task.task_id, State::Open).await;
    let invoice = open.funding_invoice.unwrap();
    assert_eq!(invoice.paid_msat, paid);
    assert!(0 < invoice.guard_height && invoice.guard_height < invoice.expiry_height, "{invoice:?}");
    let escrow = market.escrow_becomes(task, escrow::State::Accepted).await;
    assert_eq!(hex(&escrow.hold_invoice.unwrap().payment_hash), asked.hash);
    assert_eq!(market.network.a().invoice_state(&asked.hash).await.unwrap(), "ACCEPTED");
}

/// The sats are ours, and the payer has the proof of it.
async fn is_paid(market: &Market, task: &Task, asked: &Asked) {
    market.task_becomes(&task.task_id, State::Completed).await;
    let escrow = market.alice.escrow(&task.escrow_id).await.unwrap();
    assert_eq!(escrow.state(), escrow::State::Released);
    assert_eq!((escrow.amount_msat, escrow.fee_msat), (PRICE.get(), FEE.get()));
    market.our_invoice_becomes(&asked.hash, "SETTLED").await;
    market.outside_payment_becomes(&asked.hash, "SUCCEEDED").await;
    let payments = market.network.b().lncli(&["listpayments"]).await.unwrap();
    let payments = payments["payments"].as_array().unwrap();
    let payment = payments.iter().find(|payment| payment["payment_hash"] == asked.hash.as_str()).unwrap();
    let preimage: Preimage = payment["payment_preimage"].as_str().unwrap().parse().unwrap();
    assert_eq!(preimage.hash(), asked.hash.parse().unwrap());
}

/// The receipt says: paid, in these sats, on this rail.
async fn receipt_verifies(market: &Market, task: &Task) {
    let policy = Policy { require_paid: true, network: Some(Network::Regtest), ..Policy::default() };
    let (bundle, verified) = market.receipt(task, policy).await;
    assert_eq!(verified.network, Network::Regtest);
    let Outcome::Paid { amount, fee, payee_net, .. } = verified.outcome else {
        panic!("{:?}", verified.outcome)
    };
    assert_eq!((amount, fee, payee_net.get()), (PRICE, FEE, PRICE.get() - FEE.get()));
    let last = bundle.entries.last().unwrap().envelope.open().unwrap();
    assert_eq!(last.body().as_settlement().unwrap().rail, Rail::HoldInvoice);
}

fn hex(bytes: &[u8]) -> String {
    PaymentHash::new(bytes.try_into().unwrap()).to_hex()
}

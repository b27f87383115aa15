//! Sats in and out: deposits, and withdrawals to payees who take, hold, refuse and are nowhere.

use poa_common::Msat;
use poa_payment::Preimage;
use poa_payment::simulated::{Options, OutsideInvoice, SimulatedNode};
use poa_sdk::api::escrow::ReplaceWithdrawalInvoiceRequest;
use poa_sdk::api::escrow::withdrawal::State;
use poa_sdk::system_env;

use super::market::{Market, until};

/// Not a whole number of sats.
const DEPOSIT: Msat = Msat::new(123_456_789);
const AMOUNT: Msat = Msat::new(20_000_001);

/// A hold invoice of the outside wallet's, with its secret.
pub(crate) async fn held_outside(market: &Market) -> (Preimage, String) {
    let preimage = Preimage::new(system_env().random());
    let bolt11 = market.network.b().hold_invoice(&preimage.hash().to_hex(), AMOUNT).await;
    (preimage, bolt11)
}

/// Waits until the outside wallet holds our payment.
pub(crate) async fn until_held_outside(market: &Market, preimage: &Preimage) {
    let hash = preimage.hash().to_hex();
    until("the payee holds it", async || {
        market.network.b().invoice_state(&hash).await.ok().filter(|state| state == "ACCEPTED")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn sats_come_in_and_go_out_to_the_msat_and_payees_who_hold_keep_nobody_waiting() {
    let market = Market::open().await;
    let alice = &market.alice;
    market.deposit(alice, DEPOSIT).await;
    let bolt11 = market.network.b().invoice(AMOUNT).await;
    let before = market.outside_balance().await;
    let withdrawal = market.withdraw(alice, &bolt11).await.unwrap();
    let paid = market.withdrawal_becomes(alice, &withdrawal.withdrawal_id, State::Succeeded).await;
    let preimage = Preimage::new(paid.preimage.as_slice().try_into().unwrap());
    assert_eq!(preimage.hash().as_bytes().as_slice(), paid.payment_hash);
    assert!(paid.fee_msat <= paid.fee_limit_msat, "{paid:?}");
    let hash = preimage.hash().to_hex();
    assert_eq!(market.network.b().invoice_state(&hash).await.unwrap(), "SETTLED");
    market.outside_balance_becomes(before + AMOUNT.get()).await;
    let left = DEPOSIT.get() - AMOUNT.get() - paid.fee_msat;
    assert_eq!(market.balance(alice).await, (left, 0));
    let again = market.withdraw(alice, &bolt11).await.unwrap_err();
    assert_eq!(again.reason(), "INVOICE_ALREADY_USED");
    payees_may_hold_or_be_nowhere(&market, left).await;
    market.books_are_right().await;
}

/// Payees who hold or are nowhere keep nobody waiting, and none of Alice's means.
async fn payees_may_hold_or_be_nowhere(market: &Market, means: i64) {
    let (alice, b) = (&market.alice, market.network.b());
    let (first, bolt11) = held_outside(market).await;
    let settles = market.withdraw(alice, &bolt11).await.unwrap();
    let (second, bolt11) = held_outside(market).await;
    let cancels = market.withdraw(alice, &bolt11).await.unwrap();
    until_held_outside(market, &first).await;
    until_held_outside(market, &second).await;

    // Others go on meanwhile.
    let (gone, nowhere) = (market.network.folder().join(first.hash().to_hex()), OutsideInvoice::of(AMOUNT));
    let (gone, _) = SimulatedNode::open(&Options::new(gone), poa_chassis::system_env()).unwrap();
    let nowhere = gone.outside_invoice(nowhere).await.unwrap();
    let nowhere = market.withdraw(alice, &nowhere.bolt11).await.unwrap();
    let quick = market.withdraw(alice, &b.invoice(AMOUNT).await).await.unwrap();
    let quick = market.withdrawal_becomes(alice, &quick.withdrawal_id, State::Succeeded).await;
    let failed = market.withdrawal_becomes(alice, &nowhere.withdrawal_id, State::Failed).await;
    assert!(!failed.failure.is_empty() && failed.preimage.is_empty(), "{failed:?}");
    let mut held = 0;
    for withdrawal in [&settles, &cancels] {
        let now = alice.withdrawal(&withdrawal.withdrawal_id).await.unwrap();
        assert_eq!(now.state(), State::InFlight, "{now:?}");
        held += now.amount_msat + now.fee_limit_msat;
    }
    let spent = AMOUNT.get() + quick.fee_msat;
    assert_eq!(market.balance(alice).await, (means - spent - held, held), "the failed one's are back");

    b.settle(&first.to_hex()).await.unwrap();
    b.cancel(&second.hash().to_hex()).await.unwrap();
    let settled = market.withdrawal_becomes(alice, &settles.withdrawal_id, State::Succeeded).await;
    assert_eq!(settled.preimage, first.as_bytes());
    market.withdrawal_becomes(alice, &cancels.withdrawal_id, State::Failed).await;
    let spent = spent + AMOUNT.get() + settled.fee_msat;
    assert_eq!(market.balance(alice).await, (means - spent, 0));

    // What could not be paid to one is paid to another.
    let replacement = alice.replace_withdrawal_invoice(ReplaceWithdrawalInvoiceRequest {
        withdrawal_id: failed.withdrawal_id.clone(),
        invoice: b.invoice(AMOUNT).await,
        ..ReplaceWithdrawalInvoiceRequest::default()
    });
    let replacement = replacement.await.unwrap();
    assert_eq!(replacement.replaces, failed.withdrawal_id);
    let paid = market.withdrawal_becomes(alice, &replacement.withdrawal_id, State::Succeeded).await;
    assert_eq!(market.balance(alice).await, (means - spent - AMOUNT.get() - paid.fee_msat, 0));
}

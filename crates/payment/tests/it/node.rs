//! What the simulated node does by itself: expiry, heights, fees, the faucet's manners.

use std::time::Duration;

use poa_common::Msat;
use poa_payment::simulated::{Attempt, FaucetError, OutsideInvoice};
use poa_payment::{
    Error, FailureReason, HoldInvoices, InvoiceState, NewHoldInvoice, NewInvoice, Outcome, PayIntent, Payer,
    Provider, Refusal,
};

use crate::support::{AMOUNT, FEE, Fixture};

#[tokio::test]
async fn an_expired_invoice_is_cancelled_and_cannot_be_paid() {
    let fixture = Fixture::new(20);
    let invoice = fixture.invoice().await;
    fixture.clock.advance(599);
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Open);
    fixture.clock.advance(1);
    let error = fixture.node.pay_invoice(&invoice.bolt11).await.unwrap_err();
    assert!(matches!(error, FaucetError::NotOpen { state: "canceled" }), "{error:?}");
    // A clock that goes back brings nothing back.
    fixture.clock.advance(-600);
    assert_eq!(fixture.state(invoice.hash).await, InvoiceState::Canceled);
}

#[tokio::test]
async fn an_expired_outside_invoice_is_not_paid_but_never_speaks_over_a_payment() {
    let fixture = Fixture::new(21);
    let (paid, late) = (fixture.outside().await, fixture.outside().await);
    let first = fixture.payer.pay(paid.clone()).await;
    fixture.clock.advance(3_600);
    let deadline = fixture.env.now() + Duration::from_secs(60);
    let again = fixture.payer.pay(PayIntent { deadline, ..paid }).await;
    assert_eq!(again, first);
    let refused = fixture.payer.pay(PayIntent { deadline, ..late }).await;
    assert_eq!(refused, Outcome::NotSent(Refusal::Expired));
}

#[tokio::test]
async fn an_accepted_invoice_is_given_back_before_its_htlcs_time_out() {
    let fixture = Fixture::new(22);
    let preimage = fixture.preimage();
    let invoice = NewInvoice { min_final_cltv: Some(100), ..fixture.request() };
    let hold = fixture.node.add(NewHoldInvoice { hash: preimage.hash(), invoice }).await.unwrap();
    let height = fixture.node.info().await.unwrap().height;
    let attempt = Attempt { amount: None, parts: 3, extra_cltv_blocks: 5 };
    let state = fixture.node.pay_invoice_with(&hold.bolt11, attempt).await.unwrap();
    assert_eq!(state, InvoiceState::Accepted { paid: AMOUNT, parts: 3, lowest_expiry_height: height + 105 });
    // Its time to be paid may pass: the sats are locked already.
    fixture.clock.advance(86_400);
    fixture.node.mine(105 - 19).await.unwrap();
    assert_eq!(fixture.state(hold.hash).await, state);
    fixture.node.mine(1).await.unwrap();
    assert_eq!(fixture.state(hold.hash).await, InvoiceState::Canceled);
    let late = fixture.node.settle(preimage).await;
    assert!(matches!(late, Err(Error::WrongState { state: "canceled" })), "{late:?}");
    assert_eq!(fixture.node.balance().await.unwrap().incoming, Msat::ZERO);
}

#[tokio::test]
async fn a_payer_may_overpay_up_to_twice_and_never_underpay() {
    let fixture = Fixture::new(23);
    let invoice = fixture.invoice().await;
    for amount in [AMOUNT.get() - 1, AMOUNT.get() * 2 + 1, 0, -1, i64::MAX] {
        let attempt = Attempt { amount: Some(Msat::new(amount)), ..Attempt::default() };
        let error = fixture.node.pay_invoice_with(&invoice.bolt11, attempt).await.unwrap_err();
        assert!(matches!(error, FaucetError::WrongAmount { .. }), "{amount}: {error:?}");
    }
    let twice = Msat::new(AMOUNT.get() * 2);
    let attempt = Attempt { amount: Some(twice), ..Attempt::default() };
    let state = fixture.node.pay_invoice_with(&invoice.bolt11, attempt).await.unwrap();
    assert!(matches!(state, InvoiceState::Settled { paid, .. } if paid == twice), "{state:?}");
}

#[tokio::test]
async fn the_faucet_cannot_pour_more_than_all_bitcoin_and_the_node_lives_on() {
    let fixture = Fixture::new(32);
    let half = NewInvoice { amount: Msat::new(Msat::SUPPLY.get() / 2), ..fixture.request() };
    let first = fixture.node.create_invoice(half.clone()).await.unwrap();
    fixture.node.pay_invoice(&first.bolt11).await.unwrap();
    let second = fixture.node.create_invoice(half).await.unwrap();
    let error = fixture.node.pay_invoice(&second.bolt11).await.unwrap_err();
    assert!(matches!(error, FaucetError::Supply), "{error:?}");
    let small = fixture.invoice().await;
    fixture.node.pay_invoice(&small.bolt11).await.unwrap();
}

#[tokio::test]
async fn the_faucet_pays_this_nodes_invoices_alone() {
    let (fixture, other) = (Fixture::new(24), Fixture::new(25));
    let foreign = other.invoice().await;
    let outside = fixture.outside().await.bolt11;
    for bolt11 in [&foreign.bolt11, &outside] {
        let error = fixture.node.pay_invoice(bolt11).await.unwrap_err();
        assert!(matches!(error, FaucetError::NotOurs), "{error:?}");
    }
    assert!(matches!(fixture.node.pay_invoice("lnsb1nonsense").await, Err(FaucetError::Decode(_))));
    // A QR code is in upper case.
    let own = fixture.invoice().await;
    fixture.node.pay_invoice(&own.bolt11.to_uppercase()).await.unwrap();
}

#[tokio::test]
async fn the_route_costs_a_tenth_of_a_per_cent_and_never_more_than_the_limit() {
    let fixture = Fixture::new(26);
    let enough = PayIntent { fee_limit: FEE, ..fixture.outside().await };
    assert!(matches!(fixture.payer.pay(enough).await, Outcome::Settled { fee, .. } if fee == FEE));
    let before = fixture.spendable().await;
    let short = PayIntent { fee_limit: Msat::new(FEE.get() - 1), ..fixture.outside().await };
    assert_eq!(fixture.payer.pay(short).await, Outcome::Failed(FailureReason::NoRoute));
    assert_eq!(fixture.spendable().await, before);
}

#[tokio::test]
async fn another_simulated_nodes_wallet_can_be_paid_and_its_node_cannot() {
    let (fixture, other) = (Fixture::new(27), Fixture::new(28));
    let wallet = other.outside().await;
    assert_eq!(fixture.payer.pay(wallet).await.as_str(), "settled");
    // Nobody here knows the preimage of another node's own invoice.
    let node = other.invoice().await;
    assert_eq!(fixture.payer.pay(fixture.intent(&node)).await, Outcome::Failed(FailureReason::NoRoute));
}

#[tokio::test]
async fn what_cannot_be_afforded_fails_and_moves_nothing() {
    let fixture = Fixture::new(29);
    let before = fixture.node.balance().await.unwrap();
    let wanted = OutsideInvoice::of(before.spendable);
    let invoice = fixture.node.outside_invoice(wanted).await.unwrap();
    let outcome = fixture.payer.pay(fixture.intent(&invoice)).await;
    assert_eq!(outcome, Outcome::Failed(FailureReason::InsufficientBalance));
    assert_eq!(fixture.node.balance().await.unwrap(), before);
}

#[tokio::test]
async fn a_payee_that_could_hold_for_days_is_refused() {
    let fixture = Fixture::new(30);
    for (min_final_cltv, outcome) in [(432, "settled"), (433, "not_sent")] {
        let wanted = OutsideInvoice { min_final_cltv, ..OutsideInvoice::of(AMOUNT) };
        let invoice = fixture.node.outside_invoice(wanted).await.unwrap();
        assert_eq!(fixture.payer.pay(fixture.intent(&invoice)).await.as_str(), outcome);
    }
}

#[tokio::test]
async fn an_expiry_or_a_delta_out_of_range_is_refused() {
    let fixture = Fixture::new(31);
    let good = fixture.request();
    for expiry in
        [Duration::ZERO, Duration::from_millis(1_500), Duration::from_secs(366 * 86_400), Duration::MAX]
    {
        let answer = fixture.node.create_invoice(NewInvoice { expiry, ..good.clone() }).await;
        assert!(matches!(answer, Err(Error::Invalid(_))), "{expiry:?}: {answer:?}");
    }
    for delta in [0, 23, 2_017, u16::MAX] {
        let answer =
            fixture.node.create_invoice(NewInvoice { min_final_cltv: Some(delta), ..good.clone() }).await;
        assert!(matches!(answer, Err(Error::Invalid(_))), "{delta}: {answer:?}");
    }
}

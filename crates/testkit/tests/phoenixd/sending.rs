//! Payments: sent once, in whole sats, for the fee that phoenixd takes, and nothing is waited for that others hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use poa_common::Msat;
use poa_payment::{FailureReason, Outcome, PayIntent, Payer as _, Provider as _, Refusal};
use poa_testkit::eventually;
use poa_testkit::phoenixd::{Effect, OutsideInvoice, Resolution};

use crate::support::{AMOUNT, FEE, Fixture, PATIENCE, SATS, settled};

#[tokio::test]
async fn the_fee_is_the_one_that_was_taken_to_the_msat() {
    let fixture = Fixture::new(1).await;
    // The answer to the payment says 4 sat, the row says the truth.
    let intent = fixture.intent(&fixture.phoenixd.outside_invoice(OutsideInvoice::of_sat(123)));
    assert_eq!(settled(&fixture.pay(&intent).await, intent.hash), Some(Msat::new(4_492)));
    let intent = fixture.outside();
    let before = fixture.phoenixd.balance_msat();
    assert_eq!(settled(&fixture.pay(&intent).await, intent.hash), Some(FEE));
    assert_eq!(before - fixture.phoenixd.balance_msat(), AMOUNT.checked_add(FEE).unwrap().get());
}

#[tokio::test]
async fn what_cannot_be_paid_is_refused_before_the_node_is_asked() {
    let fixture = Fixture::new(2).await;
    let of = |invoice| fixture.intent(&fixture.phoenixd.outside_invoice(invoice));
    let usual = OutsideInvoice::of_sat(SATS);
    let too_little = Msat::new(FEE.get() - 1);
    let cases = [
        // The caller has not set aside what it will take.
        (PayIntent { fee_limit: too_little, ..of(usual) }, Refusal::Mismatch),
        // It sends whole sats.
        (of(OutsideInvoice { amount_msat: Some(10_000_001), ..usual }), Refusal::Mismatch),
        (of(OutsideInvoice { amount_msat: None, ..usual }), Refusal::Amountless),
        (of(OutsideInvoice { min_final_cltv: 433, ..usual }), Refusal::CltvTooLong),
        (of(OutsideInvoice { expiry_seconds: 0, ..usual }), Refusal::Expired),
        (PayIntent { deadline: fixture.env.now(), ..of(usual) }, Refusal::DeadlinePassed),
    ];
    for (intent, refusal) in cases {
        assert_eq!(fixture.pay(&intent).await, Outcome::NotSent(refusal));
    }
    fixture.phoenixd.set_chain("mainnet");
    assert_eq!(fixture.pay(&of(usual)).await, Outcome::NotSent(Refusal::WrongNetwork));
    assert_eq!(fixture.asked(), 0);
    fixture.phoenixd.set_chain("testnet3");
    let exact = PayIntent { fee_limit: FEE, ..of(OutsideInvoice { min_final_cltv: 432, ..usual }) };
    assert_eq!(settled(&fixture.pay(&exact).await, exact.hash), Some(FEE));
}

#[tokio::test]
async fn a_hash_that_the_node_knows_gets_its_outcome_before_any_check() {
    let fixture = Fixture::new(3).await;
    let intent = fixture.outside();
    assert!(settled(&fixture.pay(&intent).await, intent.hash).is_some());
    fixture.clock.advance(Duration::from_secs(7_200));
    let spoiled = PayIntent { bolt11: "lnbc1".to_owned(), amount: Msat::ZERO, ..intent.clone() };
    for intent in [intent, spoiled] {
        assert!(settled(&fixture.pay(&intent).await, intent.hash).is_some());
    }
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_workers_on_one_payment_ask_once() {
    let fixture = Fixture::new(4).await;
    let intent = fixture.outside();
    let outcomes = join_all((0..64).map(|_| fixture.payer.pay(intent.clone()))).await;
    assert!(outcomes.iter().all(|outcome| settled(outcome, intent.hash).is_some()), "{outcomes:?}");
    assert_eq!((fixture.asked(), fixture.phoenixd.attempts_of(*intent.hash.as_bytes())), (1, 1));
}

#[tokio::test]
async fn a_payee_that_holds_is_answered_in_flight_and_keeps_nobody_waiting() {
    let fixture = Fixture::new(5).await;
    fixture.phoenixd.effects([Effect::StaysPending]);
    let held = fixture.outside();
    assert_eq!(fixture.pay(&held).await, Outcome::InFlight);
    let other = fixture.outside();
    assert!(settled(&fixture.pay(&other).await, other.hash).is_some());
    assert_eq!(fixture.pay(&held).await, Outcome::InFlight);

    fixture.phoenixd.resolve(*held.hash.as_bytes(), Resolution::Settles);
    let outcome = fixture.node.lookup_payment(held.hash).await;
    assert_eq!(settled(&outcome, held.hash), Some(FEE));
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test]
async fn a_failure_says_why_and_is_the_end_although_phoenixd_would_try_again() {
    let fixture = Fixture::new(6).await;
    let texts = [
        ("not enough funds in wallet to afford payment", FailureReason::InsufficientBalance),
        ("recipient node rejected the payment", FailureReason::IncorrectDetails),
        ("routing fees are insufficient", FailureReason::NoRoute),
        ("wallet restarted while a payment was ongoing", FailureReason::Error),
        ("a text of a later version", FailureReason::Error),
    ];
    for (text, reason) in texts {
        fixture.phoenixd.effects([Effect::Fails(text.to_owned())]);
        let intent = fixture.outside();
        assert_eq!(fixture.pay(&intent).await, Outcome::Failed(reason), "{text}");
        for _ in 0..3 {
            assert!(matches!(fixture.pay(&intent).await, Outcome::Failed(_)));
        }
        assert_eq!(fixture.phoenixd.attempts_of(*intent.hash.as_bytes()), 1, "{text}");
    }
}

#[tokio::test]
async fn a_node_without_its_peer_fails_a_payment_for_good() {
    let fixture = Fixture::new(7).await;
    fixture.phoenixd.set_connected(false);
    let intent = fixture.outside();
    assert_eq!(fixture.pay(&intent).await, Outcome::Failed(FailureReason::Error));
    fixture.phoenixd.set_connected(true);
    assert!(matches!(fixture.pay(&intent).await, Outcome::Failed(_)));
    assert_eq!(fixture.phoenixd.payments_of(*intent.hash.as_bytes()), 0);
}

#[tokio::test]
async fn a_caller_that_is_dropped_neither_cancels_nor_repeats() {
    let fixture = Fixture::new(8).await;
    for round in 0..20 {
        let intent = fixture.outside();
        let (payer, sent) = (Arc::clone(&fixture.payer), intent.clone());
        let call = tokio::spawn(async move { payer.pay(sent).await });
        // At another place each time.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        call.abort();
        // Where it was dropped before it was looked at, this is the first.
        eventually(PATIENCE, "the payment ends", async || {
            settled(&fixture.pay(&intent).await, intent.hash).is_some()
        })
        .await;
        assert_eq!(fixture.phoenixd.attempts_of(*intent.hash.as_bytes()), 1, "round {round}");
    }
}

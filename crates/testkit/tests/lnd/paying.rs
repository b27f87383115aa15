//! Payments on a bad day: at most one per hash, and no doubt that is taken for an end.

use std::time::Duration;

use poa_common::Msat;
use poa_payment::{Doubt, FailureReason, Outcome, PayIntent, Payer, Place, Provider, Refusal};
use poa_testkit::{LndEffect, LndFault, LndOutsideInvoice, PaymentPlan, eventually};
use tonic::Code;

use crate::support::{AMOUNT, Fixture, PATIENCE};

const NOT_FOUND: LndEffect = LndEffect::Answers(Code::NotFound, "payment isn't initiated");
const NO_ANSWER: Outcome = Outcome::Unknown(Doubt::NoAnswer);

fn fault(method: &'static str, effect: LndEffect) -> LndFault {
    LndFault { method, effect }
}

async fn until(fixture: &Fixture, intent: &PayIntent, expected: &str) {
    eventually(PATIENCE, expected, async || {
        fixture.node.lookup_payment(intent.hash).await.as_str() == expected
    })
    .await;
}

#[tokio::test]
async fn a_payee_that_holds_is_not_waited_for_and_may_settle_days_later() {
    let fixture = Fixture::new(1).await;
    fixture.lnd.plan([PaymentPlan::PayeeHolds]);
    let intent = fixture.intent();
    let before = fixture.node.balance().await.unwrap();
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::InFlight);
    let during = fixture.node.balance().await.unwrap();
    assert_eq!(during.outgoing, Msat::new(10_010_000));
    assert_eq!(during.spendable, before.spendable.checked_sub(during.outgoing).unwrap());

    // The invoice expires while the payment is in flight: a real node would now refuse the same invoice.
    fixture.clock.advance(Duration::from_secs(86_400));
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::InFlight);
    // A reason to fail is announced before the HTLC is back: not an end.
    fixture.lnd.announce_failure(intent.hash, FailureReason::IncorrectDetails);
    assert_eq!(fixture.node.lookup_payment(intent.hash).await, Outcome::InFlight);
    fixture.lnd.resolve_payment(intent.hash, Ok(()));
    until(&fixture, &intent, "settled").await;
    assert_eq!(fixture.lnd.payments_begun(), 1);
}

#[tokio::test]
async fn each_failure_of_a_payment_has_its_reason_and_the_hash_is_not_sent_again() {
    let fixture = Fixture::new(2).await;
    for reason in [
        FailureReason::Timeout,
        FailureReason::NoRoute,
        FailureReason::Error,
        FailureReason::IncorrectDetails,
        FailureReason::InsufficientBalance,
        FailureReason::Canceled,
    ] {
        fixture.lnd.plan([PaymentPlan::Fails(reason)]);
        let intent = fixture.intent();
        fixture.payer.pay(intent.clone()).await;
        until(&fixture, &intent, "failed").await;
        assert_eq!(fixture.node.lookup_payment(intent.hash).await, Outcome::Failed(reason));
        // A real node would send it anew.
        let begun = fixture.lnd.payments_begun();
        assert_eq!(fixture.payer.pay(intent).await, Outcome::Failed(reason));
        assert_eq!(fixture.lnd.payments_begun(), begun);
    }
}

#[tokio::test]
async fn what_the_node_cannot_pay_fails_by_its_own_word() {
    let fixture = Fixture::new(3).await;
    let unreachable =
        fixture.intent_for(LndOutsideInvoice { reachable: false, ..LndOutsideInvoice::of(AMOUNT) });
    let too_much = fixture.intent_for(LndOutsideInvoice::of(Msat::new(6_000_000_000)));
    let too_cheap = PayIntent { fee_limit: Msat::new(9_999), ..fixture.intent() };
    for (intent, reason) in [
        (unreachable, FailureReason::NoRoute),
        (PayIntent { fee_limit: Msat::new(60_000_000), ..too_much }, FailureReason::InsufficientBalance),
        (too_cheap, FailureReason::NoRoute),
    ] {
        fixture.payer.pay(intent.clone()).await;
        until(&fixture, &intent, "failed").await;
        assert_eq!(fixture.node.lookup_payment(intent.hash).await, Outcome::Failed(reason));
    }
}

#[tokio::test]
async fn a_payee_that_could_hold_our_sats_for_days_is_refused() {
    let fixture = Fixture::new(4).await;
    let intent = |min_final_cltv| {
        fixture.intent_for(LndOutsideInvoice { min_final_cltv, ..LndOutsideInvoice::of(AMOUNT) })
    };
    assert_eq!(fixture.payer.pay(intent(433)).await, Outcome::NotSent(Refusal::CltvTooLong));
    assert_eq!(fixture.lnd.calls("SendPaymentV2"), 0);
    let allowed = intent(432);
    fixture.payer.pay(allowed.clone()).await;
    until(&fixture, &allowed, "settled").await;
}

#[tokio::test]
async fn an_expired_invoice_is_refused_where_the_hash_is_not_known() {
    let fixture = Fixture::new(5).await;
    let intent = fixture.intent();
    fixture.clock.advance(Duration::from_secs(3_600));
    let intent = PayIntent { deadline: fixture.env.now() + Duration::from_secs(60), ..intent };
    assert_eq!(fixture.payer.pay(intent).await, Outcome::NotSent(Refusal::Expired));
    assert_eq!(fixture.lnd.calls("SendPaymentV2"), 0);
}

#[tokio::test]
async fn a_refusal_of_the_node_counts_only_where_it_still_does_not_know_the_hash() {
    let fixture = Fixture::new(6).await;
    let table = [
        ("invoice expired. Valid until 2026-11-22 09:02:56 +0000 UTC", Refusal::Expired),
        ("self-payments not allowed", Refusal::OwnInvoice),
        ("invoice not for current active network 'regtest'", Refusal::WrongNetwork),
        ("checksum failed. Expected aaaaaa, got bbbbbb.", Refusal::Malformed),
        ("amount must be specified when paying a zero amount invoice", Refusal::Amountless),
        ("amount must not be specified when paying a non-zero amount invoice", Refusal::Mismatch),
    ];
    for (text, refusal) in table {
        fixture.lnd.script([fault("SendPaymentV2", LndEffect::Answers(Code::Unknown, text))]);
        assert_eq!(fixture.payer.pay(fixture.intent()).await, Outcome::NotSent(refusal), "{text}");
    }
    // The same words, and the payment is under way: the node did not find it at first.
    let intent = fixture.intent();
    fixture.lnd.plan([PaymentPlan::PayeeHolds]);
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::InFlight);
    fixture.lnd.script([
        fault("TrackPaymentV2", NOT_FOUND),
        fault("SendPaymentV2", LndEffect::Answers(Code::Unknown, table[0].0)),
    ]);
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::InFlight);
    // And where the second look fails, nothing is known.
    fixture.lnd.script([
        fault("TrackPaymentV2", NOT_FOUND),
        fault("SendPaymentV2", LndEffect::Answers(Code::Unknown, table[0].0)),
        fault("TrackPaymentV2", LndEffect::Answers(Code::Internal, "internal server error")),
    ]);
    assert_eq!(fixture.payer.pay(intent).await, NO_ANSWER);
}

#[tokio::test]
async fn a_hash_that_the_node_knows_after_all_is_looked_up_and_not_sent() {
    let fixture = Fixture::new(7).await;
    for plan in [PaymentPlan::Usual, PaymentPlan::PayeeHolds] {
        fixture.lnd.plan([plan]);
        let intent = fixture.intent();
        fixture.payer.pay(intent.clone()).await;
        let expected = if plan == PaymentPlan::Usual { "settled" } else { "in_flight" };
        until(&fixture, &intent, expected).await;
        let begun = fixture.lnd.payments_begun();
        fixture.lnd.script([fault("TrackPaymentV2", NOT_FOUND)]);
        assert_eq!(fixture.payer.pay(intent).await.as_str(), expected);
        assert_eq!(fixture.lnd.payments_begun(), begun);
    }
    fixture
        .lnd
        .script([fault("SendPaymentV2", LndEffect::Answers(Code::AlreadyExists, "payment already exists"))]);
    assert_eq!(fixture.payer.pay(fixture.intent()).await, Outcome::Unknown(Doubt::NotFound));
}

#[tokio::test]
async fn a_lookup_that_fails_sends_nothing_and_says_nothing() {
    let fixture = Fixture::impatient(8).await;
    let intent = fixture.intent();
    for effect in [
        LndEffect::Answers(Code::Unavailable, ""),
        LndEffect::Answers(Code::Internal, "internal server error"),
        LndEffect::Answers(Code::Unknown, "payment isn't initiated"),
        LndEffect::RequestLost,
        LndEffect::Hangs,
    ] {
        fixture.lnd.script([fault("TrackPaymentV2", effect)]);
        assert_eq!(fixture.payer.pay(intent.clone()).await, NO_ANSWER, "{effect:?}");
        fixture.lnd.script([fault("TrackPaymentV2", effect)]);
        assert_eq!(fixture.node.lookup_payment(intent.hash).await, NO_ANSWER, "{effect:?}");
    }
    assert_eq!(fixture.lnd.calls("SendPaymentV2"), 0);
    fixture.payer.pay(intent.clone()).await;
    until(&fixture, &intent, "settled").await;
}

#[tokio::test]
async fn a_dispatch_whose_answer_is_lost_is_in_doubt_and_paid_once() {
    let fixture = Fixture::impatient(9).await;
    for (effect, arrived) in [
        (LndEffect::AnswerLost, true),
        (LndEffect::DoneAndHangs, true),
        (LndEffect::RequestLost, false),
        (LndEffect::Hangs, false),
        (LndEffect::Answers(Code::Unknown, "something new"), false),
        (LndEffect::Answers(Code::Internal, "internal server error"), false),
    ] {
        let intent = fixture.intent();
        let begun = fixture.lnd.payments_begun();
        fixture.lnd.script([fault("SendPaymentV2", effect)]);
        assert_eq!(fixture.payer.pay(intent.clone()).await, NO_ANSWER, "{effect:?}");
        eventually(PATIENCE, "the node again", async || fixture.node.info().await.is_ok()).await;
        let found = fixture.node.lookup_payment(intent.hash).await;
        assert_eq!(found == Outcome::Unknown(Doubt::NotFound), !arrived, "{effect:?}: {found:?}");
        fixture.payer.pay(intent.clone()).await;
        until(&fixture, &intent, "settled").await;
        assert_eq!(fixture.lnd.payments_begun(), begun + 1, "{effect:?}");
    }
}

#[tokio::test]
async fn a_dropped_call_leaves_the_payment_as_it_is() {
    let fixture = Fixture::new(10).await;
    fixture.lnd.plan([PaymentPlan::PayeeHolds]);
    let intent = fixture.intent();
    let mut call = fixture.payer.pay(intent.clone());
    // One poll, and the caller is gone.
    let _ = futures_util::poll!(&mut call);
    drop(call);
    until(&fixture, &intent, "in_flight").await;
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::InFlight);
    fixture.lnd.resolve_payment(intent.hash, Err(FailureReason::IncorrectDetails));
    until(&fixture, &intent, "failed").await;
    assert_eq!(fixture.lnd.payments_begun(), 1);
}

#[tokio::test]
async fn a_node_that_forgot_a_payment_is_in_doubt_and_does_not_say_failed() {
    let fixture = Fixture::new(11).await;
    fixture.lnd.plan([PaymentPlan::PayeeHolds]);
    let intent = fixture.intent();
    fixture.payer.pay(intent.clone()).await;
    fixture.lnd.forget_payment(intent.hash);
    assert_eq!(fixture.node.lookup_payment(intent.hash).await, Outcome::Unknown(Doubt::NotFound));
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_payment_loses_nothing() {
    let fixture = Fixture::new(12).await;
    fixture.lnd.plan([PaymentPlan::PayeeHolds]);
    let intent = fixture.intent();
    fixture.payer.pay(intent.clone()).await;
    fixture.lnd.stop();
    assert_eq!(fixture.payer.pay(intent.clone()).await, NO_ANSWER);
    fixture.lnd.resolve_payment(intent.hash, Ok(()));
    fixture.lnd.start_again();
    until(&fixture, &intent, "settled").await;
    assert_eq!(fixture.payer.pay(intent).await.as_str(), "settled");
    assert_eq!(fixture.lnd.payments_begun(), 1);
}

#[tokio::test]
async fn payments_are_listed_in_the_order_in_which_they_were_begun_whatever_became_of_them() {
    let fixture = Fixture::new(13).await;
    fixture.lnd.plan([
        PaymentPlan::Usual,
        PaymentPlan::PayeeHolds,
        PaymentPlan::Fails(FailureReason::NoRoute),
        PaymentPlan::Usual,
    ]);
    let mut intents = Vec::new();
    for _ in 0..4 {
        let intent = fixture.intent();
        fixture.payer.pay(intent.clone()).await;
        intents.push(intent);
    }
    let mut listed = Vec::new();
    let mut after = Place::START;
    loop {
        let page = fixture.node.list_payments(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.place;
        listed.extend(page);
    }
    let found: Vec<_> = listed.iter().map(|payment| (payment.hash, payment.outcome.as_str())).collect();
    let expected = ["settled", "in_flight", "failed", "settled"];
    let expected: Vec<_> = intents.iter().map(|intent| intent.hash).zip(expected).collect();
    assert_eq!(found, expected);
    assert!(listed.iter().all(|payment| payment.amount == AMOUNT));
}

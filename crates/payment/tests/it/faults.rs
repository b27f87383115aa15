//! The bad days that a caller must survive, on demand.

use std::time::Duration;

use futures_util::StreamExt;
use poa_payment::simulated::{Answer, ChangeFault, Fault, HintFault, LookupFault, PayEffect, Resolution};
use poa_payment::{Cursor, Doubt, Error, InvoiceState, Outcome, Payer, Provider};

use crate::support::{AMOUNT, FEE, Fixture, PATIENCE};

/// How long a call that hangs is given before the test believes it.
const BRIEFLY: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_payment_whose_answer_was_lost_is_paid_once() {
    let fixture = Fixture::new(10);
    let before = fixture.spendable().await;
    let intent = fixture.outside().await;
    assert!(fixture.node.script([Fault::Pay { effect: PayEffect::Usual, answer: Answer::Lost }]));
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::Unknown(Doubt::NoAnswer));
    assert_eq!(fixture.payer.pay(intent).await.as_str(), "settled");
    assert_eq!(fixture.node.payments_taken().await.unwrap(), 1);
    let spent = before.checked_sub(fixture.spendable().await).unwrap();
    assert_eq!(spent, AMOUNT.checked_add(FEE).unwrap());
}

#[tokio::test]
async fn a_payment_that_never_arrived_is_unknown_and_then_not_found() {
    let fixture = Fixture::new(11);
    let intent = fixture.outside().await;
    assert!(fixture.node.script([Fault::Pay { effect: PayEffect::NeverArrives, answer: Answer::Given }]));
    assert_eq!(fixture.payer.pay(intent.clone()).await, Outcome::Unknown(Doubt::NoAnswer));
    assert_eq!(fixture.node.lookup_payment(intent.hash).await, Outcome::Unknown(Doubt::NotFound));
    assert_eq!(fixture.node.payments_taken().await.unwrap(), 0);
}

#[tokio::test]
async fn lookups_flap_before_a_late_settlement_shows() {
    let fixture = Fixture::new(12);
    let intent = fixture.outside().await;
    assert!(fixture.node.script([
        Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Lost },
        Fault::LookupPayment(LookupFault::NotFound),
        Fault::LookupPayment(LookupFault::NoAnswer),
        Fault::LookupPayment(LookupFault::Stale),
    ]));
    let heard = fixture.payer.pay(intent.clone()).await;
    fixture.node.resolve_payment(intent.hash, Resolution::Settles).await.unwrap();
    let mut seen = vec![heard.as_str()];
    for _ in 0..4 {
        seen.push(fixture.node.lookup_payment(intent.hash).await.as_str());
    }
    assert_eq!(seen, ["unknown", "unknown", "unknown", "in_flight", "settled"]);
    // It has ended: nothing can end it again.
    assert!(fixture.node.resolve_payment(intent.hash, Resolution::Settles).await.is_err());
}

#[tokio::test]
async fn a_call_that_hangs_holds_nobody_else_up() {
    let fixture = Fixture::new(13);
    let (slow, quick) = (fixture.outside().await, fixture.outside().await);
    assert!(fixture.node.script([Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Never }]));
    let hung = tokio::time::timeout(BRIEFLY, fixture.payer.pay(slow.clone())).await;
    assert!(hung.is_err());
    assert_eq!(fixture.payer.pay(quick).await.as_str(), "settled");
    assert_eq!(fixture.node.lookup_payment(slow.hash).await, Outcome::InFlight);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_was_made_and_a_lost_request_was_not() {
    let fixture = Fixture::new(14);
    let invoice = fixture.invoice().await;
    for (fault, after) in
        [(ChangeFault::RequestLost, InvoiceState::Open), (ChangeFault::AnswerLost, InvoiceState::Canceled)]
    {
        assert!(fixture.node.script([Fault::Change(fault)]));
        let error = fixture.node.cancel_invoice(invoice.hash).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer(_)) && !error.certainly_not_applied());
        assert_eq!(fixture.state(invoice.hash).await, after);
    }
}

#[tokio::test]
async fn an_invoices_lookup_flaps_and_the_truth_comes_back() {
    let fixture = Fixture::new(15);
    let invoice = fixture.invoice().await;
    fixture.node.pay_invoice(&invoice.bolt11).await.unwrap();
    let faults = [LookupFault::NotFound, LookupFault::Stale, LookupFault::NoAnswer, LookupFault::Hangs];
    assert!(fixture.node.script(faults.map(Fault::LookupInvoice)));
    assert_eq!(fixture.node.lookup_invoice(invoice.hash).await.unwrap(), None);
    assert_eq!(fixture.node.lookup_invoice(invoice.hash).await.unwrap(), Some(InvoiceState::Open));
    assert!(fixture.node.lookup_invoice(invoice.hash).await.is_err());
    assert!(tokio::time::timeout(BRIEFLY, fixture.node.lookup_invoice(invoice.hash)).await.is_err());
    assert_eq!(fixture.state(invoice.hash).await.as_str(), "settled");
}

#[tokio::test]
async fn hints_come_twice_out_of_order_or_never() {
    let fixture = Fixture::new(16);
    let mut invoices = Vec::new();
    for _ in 0..4 {
        let invoice = fixture.invoice().await;
        fixture.node.pay_invoice(&invoice.bolt11).await.unwrap();
        invoices.push(invoice.hash);
    }
    assert!(fixture.node.script([HintFault::Duplicate, HintFault::Delay, HintFault::Lose].map(Fault::Hint)));
    let hints = fixture.node.watch_invoices(Cursor::start()).take(4).map(|hint| hint.hash);
    let heard: Vec<_> = tokio::time::timeout(PATIENCE, hints.collect()).await.unwrap();
    assert_eq!(heard, [invoices[0], invoices[0], invoices[3], invoices[1]]);
}

#[tokio::test]
async fn a_stream_of_hints_wakes_up_survives_as_a_cursor_and_ends_with_the_node() {
    let fixture = Fixture::new(17);
    let mut hints = fixture.node.watch_invoices(Cursor::start());
    let invoice = fixture.invoice().await;
    let (hint, _) =
        tokio::join!(hints.next(), async { fixture.node.pay_invoice(&invoice.bolt11).await.unwrap() });
    let cursor = hint.unwrap().cursor;

    let fixture = fixture.restart().await;
    assert_eq!(tokio::time::timeout(PATIENCE, hints.next()).await.unwrap(), None);
    let mut hints = fixture.node.watch_invoices(cursor);
    let invoice = fixture.invoice().await;
    fixture.node.cancel_invoice(invoice.hash).await.unwrap();
    let hint = tokio::time::timeout(PATIENCE, hints.next()).await.unwrap().unwrap();
    assert_eq!(hint.hash, invoice.hash);
}

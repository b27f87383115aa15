//! A restart in each state, and what a crash may leave in the file.

use std::fs;

use poa_payment::simulated::{Answer, Fault, OpenError, PayEffect, Resolution, SimulatedNode};
use poa_payment::{
    Error, FailureReason, HoldInvoices, InvoiceState, NewHoldInvoice, Outcome, Payer, Provider,
};

use crate::support::{FEE, Fixture, options};

const WAITS: Fault = Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given };

#[tokio::test]
async fn an_invoice_in_each_state_is_the_same_after_a_restart() {
    let fixture = Fixture::new(1);
    let open = fixture.invoice().await;
    let settled = fixture.invoice().await;
    fixture.node.pay_invoice(&settled.bolt11).await.unwrap();
    let canceled = fixture.invoice().await;
    fixture.node.cancel_invoice(canceled.hash).await.unwrap();
    let preimage = fixture.preimage();
    let order = NewHoldInvoice { hash: preimage.hash(), invoice: fixture.request() };
    let accepted = fixture.node.add(order).await.unwrap();
    fixture.node.pay_invoice(&accepted.bolt11).await.unwrap();

    let mut before = Vec::new();
    for invoice in [&open, &settled, &canceled, &accepted] {
        before.push((invoice.hash, fixture.state(invoice.hash).await));
    }
    let (id, info) = (fixture.node.id(), fixture.node.info().await.unwrap());
    let balance = fixture.node.balance().await.unwrap();

    let fixture = fixture.restart().await;
    for (hash, state) in before {
        assert_eq!(fixture.state(hash).await, state);
    }
    assert_eq!((fixture.node.id(), fixture.node.info().await.unwrap()), (id, info));
    assert_eq!(fixture.node.balance().await.unwrap(), balance);
    // And each goes on from where it was.
    fixture.node.pay_invoice(&open.bolt11).await.unwrap();
    fixture.node.settle(preimage).await.unwrap();
    assert_eq!(fixture.state(accepted.hash).await.as_str(), "settled");
}

#[tokio::test]
async fn a_payment_in_each_state_is_the_same_after_a_restart() {
    let fixture = Fixture::new(2);
    let settled = fixture.outside().await;
    fixture.payer.pay(settled.clone()).await;
    let failed = fixture.outside().await;
    let fails = PayEffect::Fails(FailureReason::IncorrectDetails);
    assert!(fixture.node.script([Fault::Pay { effect: fails, answer: Answer::Given }, WAITS]));
    fixture.payer.pay(failed.clone()).await;
    let waiting = fixture.outside().await;
    assert_eq!(fixture.payer.pay(waiting.clone()).await, Outcome::InFlight);
    let balance = fixture.node.balance().await.unwrap();

    let fixture = fixture.restart().await;
    assert!(
        matches!(fixture.node.lookup_payment(settled.hash).await, Outcome::Settled { fee, .. } if fee == FEE)
    );
    assert_eq!(
        fixture.node.lookup_payment(failed.hash).await,
        Outcome::Failed(FailureReason::IncorrectDetails)
    );
    assert_eq!(fixture.node.lookup_payment(waiting.hash).await, Outcome::InFlight);
    assert_eq!(fixture.node.balance().await.unwrap(), balance);

    // The hash is remembered: dispatching once more sends nothing.
    assert_eq!(fixture.payer.pay(waiting.clone()).await, Outcome::InFlight);
    fixture.node.resolve_payment(waiting.hash, Resolution::Settles).await.unwrap();
    assert_eq!(fixture.payer.pay(waiting).await.as_str(), "settled");
    assert_eq!(fixture.payer.pay(failed).await.as_str(), "failed");
    assert_eq!(fixture.node.payments_taken().await.unwrap(), 3);
}

#[tokio::test]
async fn a_payment_that_was_dispatched_before_a_crash_ends_after_the_start() {
    let fixture = Fixture::new(3);
    let intent = fixture.outside().await;
    let first = fixture.payer.pay(intent.clone()).await;
    let file = fixture.file();
    let (env, folder) = fixture.stop();
    // The last line says how the payment ended: without it the crash came before that.
    let text = fs::read_to_string(&file).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    fs::write(&file, &text[..cut + 10]).unwrap();

    let (node, payer) = SimulatedNode::open(&options(&folder), env).unwrap();
    assert_eq!(node.lookup_payment(intent.hash).await, first);
    assert_eq!(payer.pay(intent).await, first);
    assert_eq!(node.payments_taken().await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_opener_is_refused_with_a_clear_error() {
    let fixture = Fixture::new(4);
    let error = SimulatedNode::open(&fixture.options(), fixture.env.clone()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().ends_with("node.journal is in use by another process"), "{error}");
}

#[tokio::test]
async fn a_damaged_line_in_the_middle_is_refused() {
    let fixture = Fixture::new(5);
    for _ in 0..3 {
        fixture.invoice().await;
    }
    let file = fixture.file();
    let (env, folder) = fixture.stop();
    let good = fs::read(&file).unwrap();
    let line_starts: Vec<_> =
        good.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1).collect();
    // A flipped bit in the second line from the end, that line removed, and a file of something else.
    let place = line_starts[line_starts.len() - 3];
    let mut flipped = good.clone();
    flipped[place + 40] ^= 1;
    let removed = [&good[..place], &good[line_starts[line_starts.len() - 2]..]].concat();
    let more = [&removed[..], &removed[place..]].concat();
    for bytes in [flipped, more, b"PK\x03\x04\n".to_vec()] {
        fs::write(&file, bytes).unwrap();
        let error = SimulatedNode::open(&options(&folder), env.clone()).unwrap_err();
        assert!(matches!(error, OpenError::File { .. }), "{error:?}");
    }
    fs::write(&file, good).unwrap();
    SimulatedNode::open(&options(&folder), env).unwrap();
}

#[tokio::test]
async fn a_dropped_call_is_carried_out_or_not_at_all() {
    let mut fixture = Fixture::new(6);
    for _ in 0..50 {
        let invoice = fixture.invoice().await;
        // One poll, and the caller is gone.
        let mut call = fixture.node.cancel_invoice(invoice.hash);
        let _ = futures_util::poll!(&mut call);
        drop(call);
        fixture = fixture.restart().await;
        match fixture.state(invoice.hash).await {
            InvoiceState::Canceled => {}
            InvoiceState::Open => fixture.node.cancel_invoice(invoice.hash).await.unwrap(),
            other => panic!("{other:?}"),
        }
        let paid = fixture.node.pay_invoice(&invoice.bolt11).await;
        assert!(paid.is_err(), "{paid:?}");
    }
    assert!(matches!(fixture.node.cancel_invoice(fixture.preimage().hash()).await, Err(Error::NotFound)));
}

//! Two who want opposite things at once: exactly one gets it.

use futures_util::future::join_all;
use poa_payment::{HoldInvoices, InvoiceState, NewHoldInvoice, Payer, Provider};

use crate::support::{AMOUNT, FEE, Fixture};

/// Races of each kind. More add little: the node takes one decision at a time.
const ROUNDS: usize = 600;
/// Workers on one payment.
const WORKERS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invoice_is_cancelled_or_paid_and_never_both() {
    let fixture = Fixture::new(40);
    let (mut paid, mut canceled) = (0, 0);
    for round in 0..ROUNDS {
        let before = fixture.spendable().await;
        let invoice = fixture.invoice().await;
        let (node, hash) = (fixture.node.clone(), invoice.hash);
        let cancel = async move { node.cancel_invoice(hash).await };
        let (node, text) = (fixture.node.clone(), invoice.bolt11.clone());
        let pay = async move { node.pay_invoice(&text).await };
        // One clearly first, the other clearly first, and both at once.
        let (cancel, pay) = match round % 3 {
            0 => (cancel.await, pay.await),
            1 => {
                let pay = pay.await;
                (cancel.await, pay)
            }
            _ => {
                let (cancel, pay) = (tokio::spawn(cancel), tokio::spawn(pay));
                (cancel.await.unwrap(), pay.await.unwrap())
            }
        };
        let after = fixture.spendable().await;
        match fixture.state(invoice.hash).await {
            InvoiceState::Settled { .. } => {
                paid += 1;
                assert!(pay.is_ok() && cancel.is_err(), "round {round}: {pay:?} {cancel:?}");
                assert_eq!(after, before.checked_add(AMOUNT).unwrap(), "round {round}");
            }
            InvoiceState::Canceled => {
                canceled += 1;
                assert!(pay.is_err() && cancel.is_ok(), "round {round}: {pay:?} {cancel:?}");
                assert_eq!(after, before, "round {round}");
            }
            other => panic!("round {round}: {other:?}"),
        }
    }
    assert!(paid >= ROUNDS / 3 && canceled >= ROUNDS / 3, "{paid} paid, {canceled} cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_invoice_is_settled_or_given_back_and_never_both() {
    let fixture = Fixture::new(41);
    for round in 0..ROUNDS {
        let preimage = fixture.preimage();
        let hash = preimage.hash();
        let invoice = fixture.node.add(NewHoldInvoice { hash, invoice: fixture.request() }).await.unwrap();
        fixture.node.pay_invoice(&invoice.bolt11).await.unwrap();
        let before = fixture.spendable().await;
        let node = fixture.node.clone();
        let settle = tokio::spawn(async move { node.settle(preimage).await });
        let node = fixture.node.clone();
        let cancel = tokio::spawn(async move { node.cancel(hash).await });
        let (settle, cancel) = (settle.await.unwrap(), cancel.await.unwrap());
        assert_ne!(settle.is_ok(), cancel.is_ok(), "round {round}: {settle:?} {cancel:?}");
        let gained = fixture.spendable().await != before;
        assert_eq!(gained, settle.is_ok(), "round {round}");
        assert_eq!(fixture.state(hash).await.as_str() == "settled", gained, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_workers_on_one_payment_send_it_once() {
    let fixture = Fixture::new(42);
    let before = fixture.spendable().await;
    let intent = fixture.outside().await;
    let outcomes = join_all((0..WORKERS).map(|_| fixture.payer.pay(intent.clone()))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_str() == "settled"), "{outcomes:?}");
    assert_eq!(fixture.node.payments_taken().await.unwrap(), 1);
    let spent = before.checked_sub(fixture.spendable().await).unwrap();
    assert_eq!(spent, AMOUNT.checked_add(FEE).unwrap());
}

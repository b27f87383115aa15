//! A node that is not ready, that restarts, and that cannot be reached.

use std::time::Duration;

use poa_common::Network;
use poa_payment::lnd::Trouble;
use poa_payment::{Chain, Doubt, Error, Outcome, Payer, PaymentHash, Provider};
use poa_testkit::{Direction, LndEffect, LndFault, LndStartup, eventually};
use tonic::Code;

use crate::support::{Fixture, PATIENCE};

#[tokio::test]
async fn each_state_of_a_start_says_what_to_do_and_leaves_payments_in_doubt() {
    let fixture = Fixture::new(1).await;
    let table = [
        (
            LndStartup::WaitingToStart,
            "lnd opens its database, or waits to lead its cluster, and serves nothing until then",
        ),
        (LndStartup::NonExisting, "lnd has no wallet: make one with `lncli create`"),
        (
            LndStartup::Locked,
            "lnd's wallet is locked: `lncli unlock`, or let lnd do it with wallet-unlock-password-file",
        ),
        (LndStartup::Unlocked, "lnd is starting, and not ready yet"),
    ];
    for (state, text) in table {
        fixture.lnd.set_startup(state);
        let trouble = fixture.node.ready(Duration::ZERO).await.unwrap_err();
        assert_eq!(trouble.to_string(), text);
        let Err(Error::NoAnswer(Some(source))) = fixture.node.info().await else { panic!("an answer") };
        assert_eq!(source.to_string(), text);
        assert_eq!(fixture.payer.pay(fixture.intent()).await, Outcome::Unknown(Doubt::NoAnswer));
        let hash = PaymentHash::new([1; 32]);
        assert_eq!(fixture.node.lookup_payment(hash).await, Outcome::Unknown(Doubt::NoAnswer));
    }
    assert_eq!(fixture.lnd.calls("SendPaymentV2"), 0);
    // Calls are answered in this state, but the channels are not up.
    fixture.lnd.set_startup(LndStartup::RpcActive);
    assert!(matches!(fixture.node.ready(Duration::ZERO).await, Err(Trouble::Starting)));
}

#[tokio::test]
async fn waiting_ends_when_the_wallet_is_unlocked() {
    let fixture = Fixture::new(2).await;
    fixture.lnd.set_startup(LndStartup::Locked);
    let node = fixture.node.clone();
    let waiting = tokio::spawn(async move { node.ready(PATIENCE).await });
    eventually(PATIENCE, "a look at the state", async || fixture.lnd.calls("GetState") > 0).await;
    assert!(!waiting.is_finished());
    fixture.lnd.set_startup(LndStartup::ServerActive);
    let info = waiting.await.unwrap().unwrap();
    assert_eq!((info.network, info.chain), (Network::Regtest, Chain::Regtest));
}

#[tokio::test]
async fn a_node_that_is_down_when_it_is_opened_is_found_when_it_comes() {
    let fixture = Fixture::new(3).await;
    fixture.lnd.stop();
    let (node, payer) = fixture.lnd.open();
    assert!(matches!(node.ready(Duration::ZERO).await, Err(Trouble::Unreachable(_))));
    assert_eq!(payer.pay(fixture.intent()).await, Outcome::Unknown(Doubt::NoAnswer));
    fixture.lnd.start_again();
    node.ready(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_restart_costs_at_most_the_calls_that_it_cut() {
    let fixture = Fixture::new(4).await;
    let invoice = fixture.node.create_invoice(fixture.request()).await.unwrap();
    let intent = fixture.intent();
    fixture.payer.pay(intent.clone()).await;
    for _ in 0..3 {
        fixture.lnd.stop();
        assert!(matches!(fixture.node.lookup_invoice(invoice.hash).await, Err(Error::NoAnswer(_))));
        fixture.lnd.start_again();
        eventually(PATIENCE, "an answer", async || fixture.node.info().await.is_ok()).await;
        assert_eq!(fixture.state(invoice.hash).await.as_str(), "open");
        assert_eq!(fixture.node.lookup_payment(intent.hash).await.as_str(), "settled");
    }
}

#[tokio::test]
async fn a_node_that_says_nothing_is_given_up_on() {
    let fixture = Fixture::impatient(5).await;
    fixture.node.info().await.unwrap();
    fixture.lnd.proxy().pause(Direction::ToClient);
    let Err(Error::NoAnswer(Some(source))) = fixture.node.info().await else { panic!("an answer") };
    assert_eq!(source.to_string(), "lnd did not answer within 1s");
    fixture.lnd.proxy().heal();
    eventually(PATIENCE, "an answer", async || fixture.node.info().await.is_ok()).await;
}

#[tokio::test]
async fn a_network_whose_sats_are_neither_money_nor_private_is_refused() {
    let fixture = Fixture::new(6).await;
    for (network, expected) in [
        ("mainnet", Some((Network::Mainnet, Chain::Bitcoin))),
        ("regtest", Some((Network::Regtest, Chain::Regtest))),
        ("simnet", Some((Network::Regtest, Chain::Simnet))),
        ("testnet", None),
        ("testnet4", None),
        ("signet", None),
        ("Mainnet", None),
    ] {
        fixture.lnd.set_network(network);
        match (fixture.node.info().await, expected) {
            (Ok(info), Some(expected)) => assert_eq!((info.network, info.chain), expected),
            (Err(Error::Unsupported(_)), None) => {}
            other => panic!("{network}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_node_without_the_subservers_is_told_so() {
    let fixture = Fixture::new(7).await;
    let missing = LndEffect::Answers(Code::Unimplemented, "unknown service invoicesrpc.Invoices");
    fixture.lnd.script([LndFault { method: "LookupInvoiceV2", effect: missing }]);
    let Err(Error::NoAnswer(Some(source))) = fixture.node.lookup_invoice(PaymentHash::new([1; 32])).await
    else {
        panic!("an answer")
    };
    assert_eq!(
        source.to_string(),
        "this lnd was built without invoicesrpc or routerrpc: take a release build"
    );
}

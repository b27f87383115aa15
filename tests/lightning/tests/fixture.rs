//! The network itself: what the other tests take for granted.

use std::time::Duration;

use poa_common::Msat;
use poa_lightning::{Which, network};
use poa_testkit::eventually;

const AMOUNT: Msat = Msat::new(50_000_000);
const SOON: Duration = Duration::from_secs(30);
/// SHA-256 of 32 bytes of 0x11 and of 0x22.
const PREIMAGES: [(&str, &str); 2] = [
    (
        "1111111111111111111111111111111111111111111111111111111111111111",
        "02d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc",
    ),
    (
        "2222222222222222222222222222222222222222222222222222222222222222",
        "9f72ea0cf49536e3c66c787f705186df9a4378083753ae9536d65b3ad7fcddc4",
    ),
];

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn each_side_pays_the_other_and_a_node_that_was_away_can_again() {
    let network = network().await;
    let (a, b) = (network.a(), network.b());
    b.pay(&a.invoice(AMOUNT).await, a).await.unwrap();
    a.pay(&b.invoice(AMOUNT).await, b).await.unwrap();
    network.restart(Which::A).await;
    b.pay(&a.invoice(AMOUNT).await, a).await.unwrap();
    network.kill(Which::B).await;
    let refused = b.lncli(&["getinfo"]).await.unwrap_err();
    assert!(refused.contains("connection refused"), "{refused}");
    network.start(Which::B).await;
    a.pay(&b.invoice(AMOUNT).await, b).await.unwrap();
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn the_outside_node_holds_a_payment_until_it_settles_or_cancels() {
    let network = network().await;
    let (a, b) = (network.a(), network.b());
    for ((preimage, hash), settled) in PREIMAGES.into_iter().zip([true, false]) {
        a.pay(&b.hold_invoice(hash, AMOUNT).await, b).await.unwrap();
        assert_eq!(b.invoice_state(hash).await.unwrap(), "ACCEPTED");
        assert_eq!(a.payment_status(hash).await.unwrap(), "IN_FLIGHT");
        let expected = if settled {
            b.settle(preimage).await.unwrap();
            "SUCCEEDED"
        } else {
            b.cancel(hash).await.unwrap();
            "FAILED"
        };
        let ended = async || a.payment_status(hash).await.is_some_and(|status| status == expected);
        eventually(SOON, "the payment ends", ended).await;
    }
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn blocks_come_when_they_are_asked_for() {
    let network = network().await;
    let height = async || network.a().lncli(&["getinfo"]).await.unwrap()["block_height"].as_u64().unwrap();
    let before = height().await;
    network.mine(3).await;
    assert_eq!(height().await, before + 3);
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_baked_macaroon_allows_its_calls_and_no_other() {
    let network = network().await;
    let macaroon = network.bake("info", &["uri:/lnrpc.Lightning/GetInfo"]).await;
    let a = network.a();
    assert_eq!(a.lncli_with(&macaroon, &["getinfo"]).await.unwrap()["identity_pubkey"], a.key.as_str());
    let refused = a.lncli_with(&macaroon, &["channelbalance"]).await.unwrap_err();
    assert!(refused.ends_with("permission denied"), "{refused}");
}

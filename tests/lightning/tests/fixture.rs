//! The network itself: what the other tests take for granted.

use poa_lightning::{Which, network};
use poa_payment::Preimage;
use poa_testkit::eventually;

use crate::support::{AMOUNT, SOON};

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
    for settles in [true, false] {
        let preimage = Preimage::new(poa_chassis::system_env().random());
        let hash = preimage.hash().to_hex();
        a.pay(&b.hold_invoice(&hash, AMOUNT).await, b).await.unwrap();
        assert_eq!(b.invoice_state(&hash).await.unwrap(), "ACCEPTED");
        assert_eq!(a.payment_status(&hash).await.unwrap(), "IN_FLIGHT");
        let expected = if settles {
            b.settle(&preimage.to_hex()).await.unwrap();
            "SUCCEEDED"
        } else {
            b.cancel(&hash).await.unwrap();
            "FAILED"
        };
        let ended = async || a.payment_status(&hash).await.is_some_and(|status| status == expected);
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

//! Who the provider takes for its node: the certificate that is pinned, and the macaroons.

use std::path::Path;
use std::time::Duration;

use poa_lightning::{LndWorld, Which};
use poa_payment::lnd::{LndNode, MacaroonFiles, Options, Trouble};

use crate::support::SOON;

/// Enough for an answer, and no more: what is looked for does not pass.
const BRIEFLY: Duration = Duration::from_secs(1);

async fn refusal(options: &Options) -> Trouble {
    let (node, _payer) = LndNode::open(options, poa_chassis::system_env()).unwrap();
    node.ready(BRIEFLY).await.unwrap_err()
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn another_nodes_certificate_or_macaroon_is_refused_by_name() {
    let world = LndWorld::new().await;
    let b = world.network.b();
    let ours = world.network.options().await;
    let other_certificate = Options { tls_cert: b.certificate.clone(), ..ours.clone() };
    let refused = refusal(&other_certificate).await;
    assert!(matches!(refused, Trouble::Certificate(_)), "{refused:?}");
    let other_node = Options::new(format!("https://{}", b.rpc), &b.certificate, ours.macaroons.clone());
    let refused = refusal(&other_node).await;
    assert!(matches!(refused, Trouble::MacaroonRefused), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_macaroon_in_the_place_of_another_lacks_what_is_asked() {
    let world = LndWorld::new().await;
    let ours = world.network.options().await;
    let MacaroonFiles { invoices, payouts, reconciliation: _ } = ours.macaroons.clone();
    let swapped = MacaroonFiles { reconciliation: invoices.clone(), invoices, payouts };
    let refused = refusal(&Options { macaroons: swapped, ..ours }).await;
    assert!(matches!(refused, Trouble::PermissionDenied), "{refused:?}");
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_certificate_that_the_node_has_made_anew_counts_from_the_next_connection_on() {
    let world = LndWorld::new().await;
    let certificate = &world.network.a().certificate;
    let before = std::fs::read(certificate).unwrap();
    let (info, old) = (world.node.ready(SOON).await.unwrap(), copy(&before, certificate));
    world.network.stop(Which::A).await;
    std::fs::remove_file(certificate).unwrap();
    std::fs::remove_file(certificate.with_extension("key")).unwrap();
    world.network.start(Which::A).await;
    assert_ne!(std::fs::read(certificate).unwrap(), before);
    assert_eq!(world.node.ready(SOON).await.unwrap().node, info.node);
    let refused = refusal(&Options { tls_cert: old, ..world.network.options().await }).await;
    assert!(matches!(refused, Trouble::Certificate(_)), "{refused:?}");
}

fn copy(bytes: &[u8], beside: &Path) -> std::path::PathBuf {
    let copy = beside.with_file_name("tls.cert.before");
    std::fs::write(&copy, bytes).unwrap();
    copy
}

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn a_node_that_starts_is_waited_for() {
    let world = LndWorld::new().await;
    let options = world.network.options().await;
    world.network.stop(Which::A).await;
    let (node, _payer) = LndNode::open(&options, poa_chassis::system_env()).unwrap();
    let away = node.ready(BRIEFLY).await.unwrap_err();
    assert!(matches!(away, Trouble::Unreachable(_)), "{away:?}");
    let (ready, ()) = tokio::join!(node.ready(SOON), world.network.start(Which::A));
    assert_eq!(ready.unwrap().node.to_hex(), world.network.a().key);
}

//! Somebody outside with Lightning addresses: a wallet of the simulated network behind a real HTTPS host.

use poa_common::Msat;
use poa_escrow::Config;
use poa_payment::simulated::{Options, OutsideInvoice, SimulatedNode};
use poa_testkit::{LnurlServer, TestClock};
use tempfile::TempDir;

/// The hosts that it speaks for.
pub(crate) const HOSTS: [&str; 2] = ["pay.example", "other.example"];
/// One of its addresses.
pub(crate) const ALICE: &str = "alice@pay.example";

pub(crate) struct Payee {
    pub(crate) lnurl: LnurlServer,
    /// The wallet's own clock: its invoices expire by it.
    pub(crate) clock: TestClock,
    folder: TempDir,
}

// === impl Payee ===

impl Payee {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (env, clock) = poa_testkit::env(99);
        let (wallet, _cannot_send) =
            SimulatedNode::open(&Options::new(folder.path().join("wallet.journal")), env).unwrap();
        let lnurl = LnurlServer::start(&HOSTS, move |amount, description_hash| {
            let wallet = wallet.clone();
            let wanted = OutsideInvoice {
                description_hash: Some(description_hash),
                ..OutsideInvoice::of(Msat::new(amount))
            };
            async move { wallet.outside_invoice(wanted).await.unwrap().bolt11 }
        })
        .await;
        std::fs::write(folder.path().join("roots.pem"), lnurl.https().roots()).unwrap();
        Self { lnurl, clock, folder }
    }

    /// Lets a service find it.
    pub(crate) fn known_to(&self, config: &mut Config) {
        config.egress.simulated_server = Some(self.lnurl.https().address());
        config.egress.simulated_roots = Some(self.folder.path().join("roots.pem"));
    }
}

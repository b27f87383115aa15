//! A stand-in for an LND node: its gRPC contract over TLS, its rules, codes and texts, in memory, with everything on demand
//! that a real node does on a bad day only. It is no node: no channel, no chain, no sats.

mod access;
mod certificate;
mod faults;
mod outside;
mod payments;
mod server;
mod services;
mod state;
mod updates;
mod wallet;

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poa_common::Env;
use poa_payment::lnd::contract::lnrpc::WalletState;
use poa_payment::lnd::{LndNode, LndPayer, MacaroonFiles, Options, Role};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use self::access::Macaroons;
use self::certificate::Pem;
use self::faults::Script;
use self::state::Node;
use crate::FaultProxy;

pub use certificate::LndCertificate;
pub use faults::{LndEffect, LndFault, PaymentPlan};
pub use outside::LndOutsideInvoice;
pub use poa_payment::lnd::contract::lnrpc::WalletState as LndStartup;
pub use state::LndAttempt;

/// The stand-in. What it knows outlives its server; it ends when it is dropped.
pub struct LndStandIn {
    shared: Arc<Shared>,
    env: Env,
    folder: TempDir,
    running: Mutex<Running>,
}

/// The server that runs, or ran last.
struct Running {
    server: JoinHandle<()>,
    pem: Pem,
}

/// What the server and the hand that scripts it share.
struct Shared {
    node: Mutex<Node>,
    startup: Mutex<WalletState>,
    script: Script,
    macaroons: Macaroons,
    proxy: FaultProxy,
}

// === impl Shared ===

impl Shared {
    fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn startup(&self) -> WalletState {
        *self.startup.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) {
        self.proxy.cut();
    }
}

// === impl LndStandIn ===

impl LndStandIn {
    /// A node with a self-signed certificate, whose clock and randomness are the environment's. It can send 5,000,000 sats.
    ///
    /// # Panics
    /// Where the machine has no loopback port, socket or temporary folder to give.
    pub async fn start(env: Env) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let proxy = FaultProxy::to_unix(folder.path().join("lnd.sock")).await;
        let shared = Arc::new(Shared {
            node: Mutex::new(Node::new(env.clone())),
            startup: Mutex::new(WalletState::ServerActive),
            script: Script::default(),
            macaroons: Macaroons::default(),
            proxy,
        });
        let pem = LndCertificate::SelfSigned.make();
        std::fs::write(folder.path().join("tls.cert"), &pem.certificate).expect("a writable folder");
        let server = server::serve(&shared, &folder.path().join("lnd.sock"), &pem);
        let node = Self { shared, env, folder, running: Mutex::new(Running { server, pem }) };
        // In the order of their numbers, which `permissions_used` relies on.
        for role in Role::ALL {
            node.bake(role.as_str(), role.permissions());
        }
        node
    }

    /// How a client finds it.
    pub fn options(&self) -> Options {
        let file = |name: &str| self.folder.path().join(name);
        let macaroons = MacaroonFiles {
            invoices: file("invoices.macaroon"),
            payouts: file("payouts.macaroon"),
            reconciliation: file("reconciliation.macaroon"),
        };
        Options::new(format!("https://{}", self.shared.proxy.address()), file("tls.cert"), macaroons)
    }

    /// A client of it.
    ///
    /// # Panics
    /// Where the client refuses the files that were written for it.
    pub fn open(&self) -> (LndNode, LndPayer) {
        LndNode::open(&self.options(), self.env.clone()).expect("files of our own")
    }

    /// Writes a macaroon with these permissions to `<name>.macaroon`.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn bake(&self, name: &str, permissions: &[&str]) -> PathBuf {
        let (_, bytes) = self.shared.macaroons.bake(self.env.random(), permissions);
        let file = self.folder.path().join(format!("{name}.macaroon"));
        std::fs::write(&file, bytes).expect("a writable folder");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a file of our own");
        file
    }

    /// The permissions of a role's macaroon that calls have needed so far.
    pub fn permissions_used(&self, role: Role) -> BTreeSet<String> {
        let number = Role::ALL.iter().position(|known| *known == role);
        let calls = self.shared.script.calls().into_iter();
        calls.filter(|call| call.macaroon == number).map(|call| format!("uri:{}", call.path)).collect()
    }

    /// How often a method was called, whatever came of it.
    pub fn calls(&self, method: &str) -> usize {
        let calls = self.shared.script.calls();
        calls.iter().filter(|call| call.path.ends_with(&format!("/{method}"))).count()
    }

    /// Adds faults for the calls to come, each for the next call of its method.
    pub fn script(&self, faults: impl IntoIterator<Item = LndFault>) {
        self.shared.script.extend(faults);
    }

    /// What is between the client and the server: pauses, delays, cuts.
    pub fn proxy(&self) -> &FaultProxy {
        &self.shared.proxy
    }

    /// How far the node has come: before `ServerActive` it refuses nearly everything.
    pub fn set_startup(&self, state: LndStartup) {
        *self.shared.startup.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The server is gone: connections are reset, and new ones refused.
    pub fn stop(&self) {
        self.running().server.abort();
        self.shared.proxy.refuse(true);
        self.shared.proxy.cut();
    }

    /// The server is there again, on the same port, with the same certificate and all that the node knew.
    ///
    /// # Panics
    /// Where the socket cannot be bound.
    pub fn start_again(&self) {
        let mut running = self.running();
        running.server.abort();
        running.server = server::serve(&self.shared, &self.folder.path().join("lnd.sock"), &running.pem);
        self.shared.proxy.refuse(false);
    }

    /// The node makes itself a new certificate and restarts. The file that clients read is written by
    /// [`publish_certificate`](Self::publish_certificate).
    ///
    /// # Panics
    /// As [`start_again`](Self::start_again).
    pub fn renew_certificate(&self, certificate: LndCertificate) {
        self.stop();
        self.running().pem = certificate.make();
        self.start_again();
    }

    /// Writes the certificate of the server to the file that clients read.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn publish_certificate(&self) {
        let certificate = self.running().pem.certificate.clone();
        std::fs::write(self.folder.path().join("tls.cert"), certificate).expect("a writable folder");
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LndStandIn {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for LndStandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LndStandIn").field(&self.shared.proxy.address()).finish()
    }
}

//! A phoenixd that is none: a real HTTP server with the answers, texts and habits of version 0.8.0, as far as a provider
//! meets them, and a world outside that pays and is paid. The real one opens its port only once it has reached its peer, and
//! cannot run without a network.
//!
//! Its invoices are real BOLT11 on testnet (`lntb`), so that nothing in a test looks like real money. Its state lives as long
//! as it does: [`Phoenixd::stop`] and [`Phoenixd::start_again`] are what a restart is.

mod answers;
mod api;
mod money;
mod outside;
mod pay;
mod rows;
mod script;
mod server;
mod state;
mod wallet;
mod webhooks;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poa_common::Env;
use tempfile::TempDir;
use tokio::sync::watch;

pub use outside::{Arrival, OutsideInvoice, Resolution, Withheld};
pub use script::{Effect, Endpoint, Trouble};

use self::script::Script;
use self::server::Server;
use self::state::State;

/// `http-password`.
const FULL: &str = "full-access-password";
/// `http-password-limited-access`.
const LIMITED: &str = "limited-access-password";
/// `webhook-secret`: hexadecimal, and used as the text that it is.
const WEBHOOK_SECRET: &str = "4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d4b1d";

/// The stand-in. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Phoenixd {
    shared: Arc<Shared>,
    server: Mutex<Option<Server>>,
    address: SocketAddr,
    folder: TempDir,
}

/// What the server's tasks and the test share.
#[derive(Debug)]
struct Shared {
    env: Env,
    state: Mutex<State>,
    script: Script,
    /// Rises with every change: whoever waits for a payment's end looks again.
    changed: watch::Sender<u64>,
    /// How often each path was asked for, as `POST /payinvoice`.
    requests: Mutex<BTreeMap<String, usize>>,
    webhooks: Mutex<Vec<String>>,
}

// === impl Phoenixd ===

impl Phoenixd {
    /// Starts one with five million sats and this clock and randomness.
    ///
    /// # Panics
    /// Where no loopback port is free.
    pub async fn start(env: Env) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the passwords");
        for (name, password) in [("full", FULL), ("limited", LIMITED)] {
            let path = folder.path().join(name);
            fs::write(&path, format!("{password}\n")).expect("a password file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of one's own");
        }
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(&env)),
            env,
            script: Script::default(),
            changed: watch::Sender::new(0),
            requests: Mutex::default(),
            webhooks: Mutex::default(),
        });
        let server = Server::start(Arc::clone(&shared), SocketAddr::from(([127, 0, 0, 1], 0))).await;
        Self { address: server.address(), shared, server: Mutex::new(Some(server)), folder }
    }

    /// Where it listens, such as `127.0.0.1:40123`. The same after a restart.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file with the password that may do everything.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("full")
    }

    /// The file with the password that cannot send.
    pub fn limited_password_file(&self) -> PathBuf {
        self.folder.path().join("limited")
    }

    /// What its webhooks are signed with.
    pub fn webhook_secret(&self) -> &'static str {
        WEBHOOK_SECRET
    }

    /// Calls this URL for each payment that is received from now on.
    pub fn add_webhook(&self, url: impl Into<String>) {
        self.shared.webhooks.lock().unwrap_or_else(PoisonError::into_inner).push(url.into());
    }

    /// The process ends: every connection breaks, and no new one is taken.
    pub fn stop(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// No new connection is taken, and those that there are live on. [`Phoenixd::start_again`] ends both.
    pub async fn close_port(&self) {
        let closed = self.server.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Server::close);
        if let Some(closed) = closed {
            closed.await;
        }
    }

    /// It runs again, on the same port, with what it knew.
    ///
    /// # Panics
    /// Where another program has taken the port.
    pub async fn start_again(&self) {
        self.stop();
        let server = Server::start(Arc::clone(&self.shared), self.address).await;
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// The next requests to this endpoint meet these troubles, one each.
    pub fn trouble(&self, endpoint: Endpoint, troubles: impl IntoIterator<Item = Trouble>) {
        self.shared.script.add(endpoint, troubles);
    }

    /// The next payments go like this, one each; without a word they succeed at once where they can.
    pub fn effects(&self, effects: impl IntoIterator<Item = Effect>) {
        self.shared.script.add_effects(effects);
    }

    /// The requests that were held back ([`Trouble::Late`]) arrive now.
    pub fn release(&self) {
        self.shared.script.release();
    }

    /// How often a path was asked for, such as `POST /payinvoice` or `GET /getinfo`.
    pub fn requests(&self, what: &str) -> usize {
        let requests = self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|(path, _)| path.starts_with(what)).map(|(_, count)| count).sum()
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        u64::try_from(self.env.now().unix_timestamp_nanos() / 1_000_000).expect("a clock after 1970")
    }

    /// Wakes whoever waits for a change.
    fn notify(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

//! The network of this test process.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use poa_payment::lnd::{MacaroonFiles, Options, Role};
use tokio::sync::{Mutex, MutexGuard};

use crate::node::Node;
use crate::script::{self, Held};

/// Where a network stands already. Whoever began it ends it.
const STANDING: &str = "POA_LIGHTNING_NETWORK";

static NETWORK: OnceLock<Network> = OnceLock::new();
/// Tests count sats and end nodes: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Two lnd nodes with channels between them, and their chain.
#[derive(Debug)]
pub struct Network {
    folder: PathBuf,
    a: Node,
    b: Node,
    _held: Option<Held>,
}

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Ours.
    A,
    /// Everybody else's.
    B,
}

/// The network, to the exclusion of every other test.
#[derive(Debug)]
pub struct Exclusive {
    network: &'static Network,
    _turn: MutexGuard<'static, ()>,
}

/// The network of this process, begun if it is not there, once no other test has it.
///
/// # Panics
/// Where it does not come up.
pub async fn network() -> Exclusive {
    let turn = TURN.lock().await;
    let network = tokio::task::spawn_blocking(|| NETWORK.get_or_init(Network::begin))
        .await
        .expect("the network comes up");
    Exclusive { network, _turn: turn }
}

// === impl Network ===

impl Network {
    fn begin() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one setting of this crate, read in this one place"
        )]
        let (folder, held) = match std::env::var(STANDING) {
            Ok(folder) => (PathBuf::from(folder), None),
            Err(_unset) => {
                let (folder, held) = script::hold();
                (folder, Some(held))
            }
        };
        let settings = std::fs::read_to_string(folder.join("network.env")).expect("network.env");
        let settings: HashMap<&str, &str> =
            settings.lines().filter_map(|line| line.split_once('=')).collect();
        Self { a: Node::new(&settings, 'A'), b: Node::new(&settings, 'B'), folder, _held: held }
    }

    /// Our node: what a provider or a mesh is connected to.
    pub fn a(&self) -> &Node {
        &self.a
    }

    /// Everybody else's node: it pays our invoices and makes those that we pay.
    pub fn b(&self) -> &Node {
        &self.b
    }

    /// Where it stands. Files that are put here go with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Blocks; returns when the running nodes have seen them.
    pub async fn mine(&self, blocks: u32) {
        self.strike("mine", &[blocks.to_string()]).await;
    }

    /// Ends a node in order, as an upgrade does.
    pub async fn stop(&self, which: Which) {
        self.strike("stop", &[which.name()]).await;
    }

    /// Ends a node at once, as a loss of power does.
    pub async fn kill(&self, which: Which) {
        self.strike("kill", &[which.name()]).await;
    }

    /// Begins a node that has ended; returns when its channels work.
    pub async fn start(&self, which: Which) {
        self.strike("start", &[which.name()]).await;
    }

    /// Ends a node in order and begins it again; returns when its channels work.
    pub async fn restart(&self, which: Which) {
        self.strike("restart", &[which.name()]).await;
    }

    /// A macaroon of our node with these permissions alone, such as `uri:/package.Service/Method`.
    pub async fn bake(&self, name: &str, permissions: &[&str]) -> PathBuf {
        let list = self.folder.join(format!("{name}.permissions"));
        std::fs::write(&list, permissions.join("\n") + "\n").expect("a list of permissions");
        let list = list.to_string_lossy().into_owned();
        let path = self.strike("bake", &["a".to_owned(), name.to_owned(), list]).await;
        PathBuf::from(path)
    }

    /// How a provider is connected to our node: with its own certificate, and a macaroon per role.
    pub async fn options(&self) -> Options {
        let bake = async |role: Role| self.bake(role.as_str(), role.permissions()).await;
        let macaroons = MacaroonFiles {
            invoices: bake(Role::Invoices).await,
            payouts: bake(Role::Payouts).await,
            reconciliation: bake(Role::Reconciliation).await,
        };
        Options::new(format!("https://{}", self.a.rpc), &self.a.certificate, macaroons)
    }

    async fn strike(&self, verb: &str, arguments: &[String]) -> String {
        script::run(verb, &self.folder, arguments).await
    }
}

// === impl Which ===

impl Which {
    fn name(self) -> String {
        match self {
            Self::A => "a".to_owned(),
            Self::B => "b".to_owned(),
        }
    }
}

// === impl Exclusive ===

impl Deref for Exclusive {
    type Target = Network;

    fn deref(&self) -> &Network {
        self.network
    }
}

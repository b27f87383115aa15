//! Chooses the Lightning node, and parts what may observe from what may send.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::BuildError;
use poa_common::Env;
use poa_payment::lnd::{self, LndNode, MacaroonFiles};
use poa_payment::phoenixd::{self, PhoenixdNode};
use poa_payment::simulated::{OpenError, Options, SimulatedNode};
use poa_payment::{Info, Provider};
use tokio::time::Instant;

use crate::config::{LightningConfig, LndConfig, PhoenixdConfig, ProviderKind};
pub use crate::worker::dispatch::Dispatcher;

/// The simulated node's file in its folder.
const NODE_FILE: &str = "node.journal";
/// For how long a node that is not up is asked before the log says why.
const ASK_FOR: Duration = Duration::from_secs(10);
/// How often a replica in waiting looks whether the node is free.
const STANDBY_EVERY: Duration = Duration::from_millis(250);

/// A node: its receiving side for everyone, its sending side for the payout worker alone.
pub struct Lightning {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) dispatcher: Dispatcher,
    /// The world outside of the simulated network; none on any other.
    pub(crate) faucet: Option<SimulatedNode>,
}

// === impl Lightning ===

impl Lightning {
    /// Opens the node that the configuration names.
    ///
    /// # Errors
    /// Where it cannot be opened: its file is damaged, or in use by another process.
    pub async fn open(config: &LightningConfig, env: Env) -> Result<Self, BuildError> {
        match config.provider {
            ProviderKind::Simulated => {
                let (node, dispatcher) = take_turn(config, env).await?;
                Ok(Self::simulated(node, dispatcher))
            }
            ProviderKind::Lnd => {
                let (node, payer) = LndNode::open(&lnd_options(&config.lnd), env)?;
                let ask = |patience| node.ready(patience);
                is_up(config, "lnd", ask, lnd::Trouble::passes).await?;
                Ok(Self::of(node, Dispatcher::new(payer)))
            }
            ProviderKind::Phoenixd => {
                let (node, payer) = PhoenixdNode::open(&phoenixd_options(&config.phoenixd), env)?;
                let ask = |patience| node.ready(patience);
                is_up(config, "phoenixd", ask, phoenixd::Trouble::passes).await?;
                payer.check().await?;
                Ok(Self::of(node, Dispatcher::new(payer)))
            }
        }
    }

    /// A node that moves sats.
    fn of(node: impl Provider, dispatcher: Dispatcher) -> Self {
        Self { provider: Arc::new(node), dispatcher, faucet: None }
    }

    /// A simulated node that is open already, for tests that script its faults.
    pub fn simulated(node: SimulatedNode, dispatcher: Dispatcher) -> Self {
        Self { provider: Arc::new(node.clone()), dispatcher, faucet: Some(node) }
    }
}

/// Opens the simulated node, as soon as it is this process's turn.
async fn take_turn(config: &LightningConfig, env: Env) -> Result<(SimulatedNode, Dispatcher), BuildError> {
    let mut waiting = false;
    loop {
        match open_simulated(&config.data_dir, env.clone()).await? {
            Ok(opened) => return Ok(opened),
            Err(OpenError::InUse { .. }) if config.standby => {
                if !waiting {
                    tracing::info!("standing by: another process has the simulated node");
                }
                waiting = true;
                tokio::time::sleep(STANDBY_EVERY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for a node, which may be down, starting or locked, and tells the operator what it waits for.
async fn is_up<E: std::error::Error + Send + Sync + 'static>(
    config: &LightningConfig,
    node: &'static str,
    ask: impl AsyncFn(Duration) -> Result<Info, E>,
    passes: impl Fn(&E) -> bool,
) -> Result<(), BuildError> {
    let within = Duration::from_secs(config.start_seconds);
    let end = Instant::now() + within;
    let mut told = String::new();
    loop {
        let trouble = match ask(ASK_FOR.min(within)).await {
            Ok(_info) => return Ok(()),
            Err(trouble) => trouble,
        };
        if !passes(&trouble) || Instant::now() >= end {
            return Err(trouble.into());
        }
        let reason = trouble.to_string();
        if told != reason {
            tracing::warn!(node, reason, "waiting for the Lightning node");
            told = reason;
        }
    }
}

fn lnd_options(config: &LndConfig) -> lnd::Options {
    let macaroons = MacaroonFiles {
        invoices: config.invoices_macaroon.clone(),
        payouts: config.payouts_macaroon.clone(),
        reconciliation: config.reconciliation_macaroon.clone(),
    };
    let mut options = lnd::Options::new(&config.endpoint, &config.tls_cert, macaroons);
    options.private_route_hints = config.private_route_hints;
    options
}

fn phoenixd_options(config: &PhoenixdConfig) -> phoenixd::Options {
    let mut options = phoenixd::Options::new(&config.url, &config.password_file);
    options.limited_password_file.clone_from(&config.limited_password_file);
    options.ca_file.clone_from(&config.ca_file);
    options
}

/// Opens the node in a folder, which is made where it is missing.
async fn open_simulated(
    folder: &Path,
    env: Env,
) -> Result<Result<(SimulatedNode, Dispatcher), OpenError>, BuildError> {
    let folder = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)?;
        Ok::<_, std::io::Error>(SimulatedNode::open(&Options::new(folder.join(NODE_FILE)), env))
    });
    Ok(opened.await??.map(|(node, payer)| (node, Dispatcher::new(payer))))
}

impl std::fmt::Debug for Lightning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lightning").field("simulated", &self.faucet.is_some()).finish_non_exhaustive()
    }
}

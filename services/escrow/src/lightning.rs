//! Chooses the Lightning node, and parts what may observe from what may send.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::BuildError;
use poa_common::Env;
use poa_payment::Provider;
use poa_payment::simulated::{OpenError, Options, SimulatedNode};

use crate::config::{LightningConfig, ProviderKind};
pub use crate::worker::dispatch::Dispatcher;

/// The simulated node's file in its folder.
const NODE_FILE: &str = "node.journal";
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
                let mut waiting = false;
                let (node, dispatcher) = loop {
                    match open_simulated(&config.data_dir, env.clone()).await? {
                        Ok(opened) => break opened,
                        Err(OpenError::InUse { .. }) if config.standby => {
                            if !waiting {
                                tracing::info!("standing by: another process has the simulated node");
                            }
                            waiting = true;
                            tokio::time::sleep(STANDBY_EVERY).await;
                        }
                        Err(error) => return Err(error.into()),
                    }
                };
                Ok(Self::simulated(node, dispatcher))
            }
        }
    }

    /// A simulated node that is open already, for tests that script its faults.
    pub fn simulated(node: SimulatedNode, dispatcher: Dispatcher) -> Self {
        Self { provider: Arc::new(node.clone()), dispatcher, faucet: Some(node) }
    }
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

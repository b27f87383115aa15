//! The trust root: whose receipts this service believes. A file beside the keys, written when the deployment's receipt
//! key is made.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use poa_common::{AccountId, Network};
use proof_of_agent::{Digest, TrustRoot};

use crate::domain::escrow::Escrow;
use crate::domain::release::{Evidence, Unauthorised, authorise};
use crate::error::Error;

/// The file in the folder of the keys.
const FILE: &str = "trust-root.json";
/// How often an unknown receipt key may make us read the file again.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// The trust root, read when it is first needed and again when a newer key appears.
#[derive(Debug)]
pub(crate) struct Trust {
    path: PathBuf,
    network: Network,
    read: Mutex<Option<(Arc<TrustRoot>, Instant)>>,
}

// === impl Trust ===

impl Trust {
    /// The trust root in this folder. Nothing is read yet: another service may still be writing it.
    pub(crate) fn new(folder: &std::path::Path, network: Network) -> Self {
        Self { path: folder.join(FILE), network, read: Mutex::new(None) }
    }

    /// Whether the trust root, where it is there already, is of the node's network: receipts of one must not release the
    /// sats of another.
    pub(crate) fn check_network(&self) -> Result<(), String> {
        let Ok(bytes) = std::fs::read(&self.path) else { return Ok(()) };
        let root = TrustRoot::from_json(&bytes).map_err(|error| error.to_string())?;
        if root.network() == self.network {
            return Ok(());
        }
        let (file, found, node) = (self.path.display(), root.network(), self.network);
        Err(format!("{file} is of the network {found}, and the Lightning node of {node}"))
    }

    /// Verifies a chain against a mandate. Blocks: for hundreds of signatures it takes tens of milliseconds.
    pub(crate) fn authorise(
        &self,
        escrow: &Escrow,
        mandate: &Digest,
        chain: &[Vec<u8>],
    ) -> Result<(AccountId, Evidence), Error> {
        let known = self.root(None)?;
        match authorise(escrow, mandate, chain, &known) {
            // Receipt keys rotate: the file may know this one by now.
            Err(error) if error.is_of_an_unknown_key() => {
                let newer = self.root(Some(RELOAD_EVERY))?;
                if newer.digest() == known.digest() {
                    Err(error)
                } else {
                    authorise(escrow, mandate, chain, &newer)
                }
            }
            decided @ (Ok(_)
            | Err(
                Unauthorised::Envelope { .. } | Unauthorised::Chain(_) | Unauthorised::Mandate(_),
            )) => decided,
        }
        .map_err(Error::from)
    }

    /// The trust root, read again where it is older than `at_most`.
    fn root(&self, at_most: Option<Duration>) -> Result<Arc<TrustRoot>, Error> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((root, at)) = read.as_ref()
            && at_most.is_none_or(|age| at.elapsed() < age)
        {
            return Ok(Arc::clone(root));
        }
        let found = std::fs::read(&self.path).map_err(|error| error.to_string()).and_then(|bytes| {
            let root = TrustRoot::from_json(&bytes).map_err(|error| error.to_string())?;
            let same = root.network() == self.network;
            if same { Ok(root) } else { Err(format!("it is of the network {}", root.network())) }
        });
        let root = found.map(Arc::new).map_err(|error| {
            tracing::error!(file = %self.path.display(), error, "cannot read the trust root");
            Error::Chassis(poa_chassis::Error::DependencyUnavailable { dependency: "trust-root" })
        })?;
        *read = Some((Arc::clone(&root), Instant::now()));
        Ok(root)
    }
}

//! A Lightning node without a network: durable in a file of its own, with real BOLT11 invoices and a faucet.
//!
//! It runs in the process that uses it. Every change is on the disk before it is answered; a second process
//! that opens the same file is refused. A dropped call runs to its end: no call leaves half a change.

mod core;
mod faults;
mod hints;
mod journal;
mod listing;
mod order;
mod outside;
mod provider;
mod receive;
mod record;
mod send;
mod state;
mod wallet;

#[cfg(test)]
mod test_env;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use poa_common::{Env, Msat};
use tokio::sync::watch;

pub use faults::{Answer, ChangeFault, Fault, FinalityFault, HintFault, ListFault, LookupFault, PayEffect};
pub use outside::{Attempt, FaucetError, OutsideInvoice, Resolution, ResolveError};

use self::core::Core;
use crate::{Error, NodeId};

/// Where the node lives, and what it is born with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's file. A lock stands beside it, with the extension `lock`.
    pub path: PathBuf,
    /// What a new node can send. An existing one has what it has.
    pub opening_balance: Msat,
    /// The height of a new node's chain, in blocks.
    pub opening_height: u32,
}

/// The node: the receiving side, the observer, the faucet and the chain. Cheap to clone. It cannot send: see
/// [`SimulatedPayer`].
#[derive(Clone)]
pub struct SimulatedNode {
    inner: Arc<Inner>,
}

/// The ability to send from a [`SimulatedNode`]. There is one, given by [`SimulatedNode::open`].
pub struct SimulatedPayer {
    node: SimulatedNode,
}

struct Inner {
    id: NodeId,
    core: Mutex<Core>,
    script: faults::Script,
    hints: watch::Receiver<u64>,
    /// Held as long as the node lives; the system releases it with the process.
    _lock: File,
}

/// Why the node could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the simulated node in {} is in use by another process", path.display())]
    InUse {
        /// The node's file.
        path: PathBuf,
    },
    /// The file cannot be read or written, is damaged, or is something else.
    #[error("the simulated node's file {} cannot be used", path.display())]
    File {
        /// The node's file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The randomness gave no valid key, or the file's key is none.
    #[error("the simulated node has no valid key")]
    Key,
    /// The opening balance is negative or more than all bitcoin.
    #[error("the simulated node's opening balance is out of range")]
    Balance,
    /// What was in flight could not be finished.
    #[error("the simulated node could not finish its payments in flight")]
    Conclude(#[source] Error),
}

// === impl Options ===

impl Options {
    /// A node in this file, with 0.1 bitcoin to send and the height of a young chain.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), opening_balance: Msat::new(10_000_000_000), opening_height: 800_000 }
    }
}

// === impl SimulatedNode ===

impl SimulatedNode {
    /// Opens the node in a file, or creates it. Blocks on the disk: for a program's start.
    pub fn open(options: &Options, env: Env) -> Result<(Self, SimulatedPayer), OpenError> {
        let lock = lock(&options.path)?;
        let core = Core::open(options, env)?;
        let inner = Inner {
            id: core.id,
            hints: core.listen(),
            core: Mutex::new(core),
            script: faults::Script::default(),
            _lock: lock,
        };
        let node = Self { inner: Arc::new(inner) };
        Ok((node.clone(), SimulatedPayer { node }))
    }

    /// The node's public key.
    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// Adds faults for the calls to come. `false` if there was no room for all of them.
    #[must_use]
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) -> bool {
        self.inner.script.extend(faults)
    }

    /// Runs a decision off the asynchronous threads, since it may wait for the disk. It runs to its end even
    /// if the caller is dropped.
    async fn run<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Core) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // The whole node, not the core alone: the lock must outlive the decision.
        let inner = Arc::clone(&self.inner);
        let decided = tokio::task::spawn_blocking(move || {
            let mut core = inner.core.lock().map_err(|_| Error::NoAnswer(None))?;
            core.check()?;
            decide(&mut core)
        });
        decided.await.map_err(|error| Error::NoAnswer(Some(Box::new(error))))?
    }
}

impl fmt::Debug for SimulatedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedNode").field(&self.inner.id).finish()
    }
}

impl fmt::Debug for SimulatedPayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedPayer").field(&self.node.inner.id).finish()
    }
}

/// A lock of its own file: the node's file is replaced when it is compacted, and a lock goes with its file.
fn lock(path: &Path) -> Result<File, OpenError> {
    let unusable =
        |source: std::io::Error| OpenError::File { path: path.to_owned(), source: Box::new(source) };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.with_extension("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

//! What a service is built from.

use std::sync::Arc;

use poa_common::Env;

use crate::client::Peers;
use crate::keyring::Keyring;
use crate::lifecycle::Lifecycle;
use crate::readiness::Readiness;

/// What a service is built from.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Time and randomness.
    pub env: Env,
    /// What it may sign with, and whom it believes.
    pub keyring: Arc<Keyring>,
    /// The other services.
    pub peers: Peers,
    /// Where its workers live.
    pub lifecycle: Lifecycle,
    /// What must be up before it is ready.
    pub readiness: Readiness,
}

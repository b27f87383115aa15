//! Makes what a deployment needs before its first start: keys, and the trust root that verifiers are given.

use std::path::Path;

use poa_chassis::{BuildError, keyring};
use poa_common::{Env, Network};

/// Every name that signs service tokens.
const SERVICES: [&str; 5] = ["auth", "task", "escrow", "attestation", "gateway"];

/// Makes keys and trust root where they are missing. What is there stays: keys are identity.
pub(crate) fn deployment(keys: &Path, network: Network, env: &Env) -> Result<(), BuildError> {
    keyring::provision(keys, &SERVICES, env)?;
    // Unique per instance: two logs of one name would look like a fork.
    let origin = format!("{network}.proof-of-agent/{}", hex::encode(env.random::<8>()));
    let trust_root = poa_attestation::provision(keys, network, &origin, env)?;
    if trust_root.network() == network {
        return Ok(());
    }
    let found = trust_root.network();
    Err(format!("the keys in {} are for {found}, not {network}: take another data folder", keys.display())
        .into())
}

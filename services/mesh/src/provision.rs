//! Makes what a deployment needs before its first start: keys, and the trust root that verifiers are given.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use poa_chassis::{BuildError, keyring};
use poa_common::Env;

use crate::config::Config;

/// Every name that signs service tokens.
const SERVICES: [&str; 6] = ["auth", "task", "escrow", "attestation", "search", "gateway"];

/// Makes keys and trust root where they are missing. What is there stays: keys are identity.
pub(crate) fn deployment(config: &Config, env: &Env) -> Result<(), BuildError> {
    let (keys, network) = (&config.keys_dir(), config.network);
    data_folder(&config.data_dir)
        .map_err(|error| format!("cannot make the data folder {}: {error}", config.data_dir.display()))?;
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

/// Makes the data folder where there is none. Others may pass through it and not look into it: PostgreSQL runs as
/// another user where we are root, and what is inside is closed by itself.
fn data_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o711))
}

//! Makes what a deployment needs before its first start: keys, and the trust root that verifiers are given.

use std::fs;
use std::io;
use std::path::Path;

use poa_chassis::BuildError;
use poa_chassis::keyring;
use poa_common::{Env, Network};
use proof_of_agent::{DidKey, LogKey, TrustRoot};

/// Every name that signs service tokens.
pub(crate) const SERVICES: [&str; 5] = ["auth", "task", "escrow", "attestation", "gateway"];

/// Makes keys and trust root where they are missing. What is there stays: keys are identity.
pub(crate) fn deployment(keys: &Path, network: Network, env: &Env) -> Result<(), BuildError> {
    keyring::provision(keys, &SERVICES, env)?;
    let receipt = keyring::signing_key(&keys.join("receipt.key"), env)?;
    let log = keyring::signing_key(&keys.join("log.key"), env)?;
    let path = keys.join("trust-root.json");
    match fs::read(&path) {
        Ok(bytes) => {
            let root = TrustRoot::from_json(&bytes)?;
            if root.network() == network {
                Ok(())
            } else {
                let found = root.network();
                Err(format!("{} is for {found}, not {network}: take another data folder", path.display()).into())
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Unique per instance: two logs of one name would look like a fork.
            let origin = format!("{network}.proof-of-agent/{}", hex::encode(env.random::<8>()));
            let log_key = LogKey::new(origin.clone(), DidKey::of(&log))?;
            let root = TrustRoot::new(network, origin, vec![log_key], vec![DidKey::of(&receipt)], None)?;
            let part = path.with_extension("part");
            fs::write(&part, root.to_json()?)?;
            Ok(fs::rename(&part, &path)?)
        }
        Err(error) => Err(error.into()),
    }
}

//! What a client must know of this server: from the configuration and the deployment's trust root.

use std::path::Path;

use poa_chassis::BuildError;
use poa_common::Network;
use poa_proto::auth::v1::GetServerInfoResponse;
use proof_of_agent::TrustRoot;

use crate::config::InfoConfig;

/// A fee above the whole price cannot be taken.
const MAX_FEE_BASIS_POINTS: i32 = 10_000;

/// The answer of `GetServerInfo`: it does not change while the server runs.
#[derive(Clone, Debug)]
pub(crate) struct ServerInfo(GetServerInfoResponse, Network);

// === impl ServerInfo ===

impl ServerInfo {
    /// Reads `trust-root.json` beside the keys.
    pub(crate) fn read(config: &InfoConfig, keys_dir: &Path) -> Result<Self, BuildError> {
        let path = keys_dir.join("trust-root.json");
        let named = |problem: String| -> BuildError { format!("{}: {problem}", path.display()).into() };
        let bytes = std::fs::read(&path)
            .map_err(|error| named(format!("{error}; run `poa-mesh init` to make a deployment's keys")))?;
        let root = TrustRoot::from_json(&bytes).map_err(|error| named(error.to_string()))?;
        Self::new(config, &root)
    }

    fn new(config: &InfoConfig, root: &TrustRoot) -> Result<Self, BuildError> {
        if !(0..=MAX_FEE_BASIS_POINTS).contains(&config.fee_basis_points) {
            return Err(format!("info.fee_basis_points must be 0 to {MAX_FEE_BASIS_POINTS}").into());
        }
        if !(1..=config.max_price_msat).contains(&config.min_price_msat) {
            return Err("info.min_price_msat must be 1 to info.max_price_msat".into());
        }
        // Rotations append: the last key of each kind is the one in use.
        let log_key = root.log_keys().last().map(|key| key.key().as_bytes().to_vec());
        let receipt_key = root.receipt_keys().last().map(|key| key.as_bytes().to_vec());
        Ok(Self(
            GetServerInfoResponse {
                network: root.network().to_string(),
                server_version: env!("CARGO_PKG_VERSION").to_owned(),
                fee_basis_points: config.fee_basis_points,
                min_price_msat: config.min_price_msat,
                max_price_msat: config.max_price_msat,
                max_inline_bytes: config.max_inline_bytes,
                log_origin: root.origin().to_owned(),
                log_public_key: log_key.unwrap_or_default(),
                receipt_public_key: receipt_key.unwrap_or_default(),
                trust_root: root.to_json().map_err(|error| error.to_string())?,
                faucet: config.faucet && root.network() == Network::Simulated,
            },
            root.network(),
        ))
    }

    /// Which log statements are for.
    pub(crate) fn log(&self) -> (Network, &str) {
        (self.1, &self.0.log_origin)
    }

    /// The answer.
    pub(crate) fn response(&self) -> GetServerInfoResponse {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ed25519_dalek::SigningKey;
    use proof_of_agent::{DidKey, LogKey};

    fn root(network: Network) -> TrustRoot {
        let key = |seed| DidKey::of(&SigningKey::from_bytes(&[seed; 32]));
        let log_key = LogKey::new("log.example", key(1)).unwrap();
        TrustRoot::new(network, "log.example", vec![log_key], vec![key(2), key(3)], None).unwrap()
    }

    #[test]
    fn real_money_never_has_a_faucet() {
        let faucet = |network| {
            let info = ServerInfo::new(&InfoConfig::default(), &root(network)).unwrap();
            info.response().faucet
        };
        assert!(faucet(Network::Simulated));
        assert!(!faucet(Network::Mainnet) && !faucet(Network::Regtest));
    }

    #[test]
    fn bounds_that_no_task_could_meet_are_refused() {
        let root = root(Network::Simulated);
        for config in [
            InfoConfig { fee_basis_points: 10_001, ..InfoConfig::default() },
            InfoConfig { fee_basis_points: -1, ..InfoConfig::default() },
            InfoConfig { min_price_msat: 0, ..InfoConfig::default() },
            InfoConfig { max_price_msat: 999, ..InfoConfig::default() },
        ] {
            assert!(ServerInfo::new(&config, &root).is_err(), "{config:?}");
        }
    }
}

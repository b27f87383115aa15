//! What the server is configured with.

use poa_chassis::config::ServerConfig;
use poa_storage::DatabaseConfig;
use serde::{Deserialize, Serialize};

/// The configuration of the search server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What every server has. `peers.auth`, `peers.task` and `peers.attestation` are needed.
    pub server: ServerConfig,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// How the index is kept whole.
    pub index: IndexConfig,
}

/// How the index is kept whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexConfig {
    /// How often to look whether it is all there, and whether another process has emptied it, in milliseconds, 10 to
    /// 60,000. Default 1,000.
    pub check_interval_ms: u64,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::on_ports(50_055, 9_105),
            database: DatabaseConfig::default(),
            index: IndexConfig::default(),
        }
    }
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self { check_interval_ms: 1_000 }
    }
}

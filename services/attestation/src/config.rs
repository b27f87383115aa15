//! What the server is configured with.

use std::path::PathBuf;

use poa_chassis::config::{Limits, ServerConfig};
use poa_storage::DatabaseConfig;
use serde::{Deserialize, Serialize};

/// The largest answer is a receipt bundle; the field's tag and length come on top.
const ENCODE_BYTES: usize = proof_of_agent::bundle::MAX_BUNDLE_BYTES + 1_024;

/// The configuration of the attestation server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What every server has. `peers.auth` is needed.
    pub server: ServerConfig,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// The transparency log.
    pub log: LogConfig,
}

/// How the log is published. Its origin and its keys stand in the folder of the keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least time between two checkpoints of all replicas together, in milliseconds, 1 to 10,000. A
    /// statement is in the published tree this long after it was appended, or a little later.
    pub checkpoint_interval_ms: u64,
    /// Who is shown each checkpoint, and cosigns it. Their keys, and how many of them must have signed, stand in the trust root.
    pub witnesses: Vec<WitnessConfig>,
    /// A file that keeps the last checkpoint apart from the database, and so notices a database that was restored from an older
    /// backup. None by default; `make run` keeps it beside the data.
    pub kept_checkpoint: Option<PathBuf>,
}

/// A witness that is called.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Its name, as its key in the trust root has it.
    pub name: String,
    /// Where it is: what `/add-checkpoint` is appended to.
    pub url: String,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        let server = ServerConfig::on_ports(50_054, 9_104);
        let limits = Limits { encode_bytes: ENCODE_BYTES, ..server.limits };
        Self {
            server: ServerConfig { limits, ..server },
            database: DatabaseConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { checkpoint_interval_ms: 250, witnesses: Vec::new(), kept_checkpoint: None }
    }
}

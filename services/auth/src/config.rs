//! What the auth server is configured with.

use std::time::Duration;

use poa_chassis::config::{Limits, ServerConfig};
use poa_storage::DatabaseConfig;
use serde::{Deserialize, Serialize};

/// The service port where nothing else is said.
const PORT: u16 = 50_051;
/// The admin port where nothing else is said.
const ADMIN_PORT: u16 = 9_101;
/// Bytes of one request: the largest message of this service is an agent's registration, far below.
const DECODE_BYTES: usize = 64 * 1024;

/// The whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports, keys, limits, logs.
    pub server: ServerConfig,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// What a password costs to check.
    pub hashing: HashingConfig,
    /// What clients are told of this deployment.
    pub info: InfoConfig,
    /// Streams of events.
    pub watch: WatchConfig,
}

/// Argon2id, and how much of it at once. A stored password with other parameters is hashed anew at the next sign-in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HashingConfig {
    /// Memory of one hash, in KiB. Default 65,536 (64 MiB). Below 19,456 (OWASP) only in tests.
    pub memory_kib: u32,
    /// Passes over that memory. Default 3.
    pub passes: u32,
    /// Lanes. Default 1.
    pub lanes: u32,
    /// Hashes computed at once. Default 0: one per core.
    pub parallel: usize,
    /// Requests that may wait for their turn, at most 32; more are refused with OVERLOADED. Default 32.
    pub queue: usize,
}

/// What `GetServerInfo` says. Fee and prices are bounds that the task service keeps: both are configured alike.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfoConfig {
    /// The platform's fee in basis points (1/10,000) of the price. Default 500.
    pub fee_basis_points: i32,
    /// The smallest price of a task, in msat. Default 1,000.
    pub min_price_msat: i64,
    /// The largest price of a task, in msat. Default 10^12.
    pub max_price_msat: i64,
    /// The most bytes of an input or result inside a message. Default 131,072.
    pub max_inline_bytes: i64,
    /// Whether a faucet pays deposits. Default true; it is true on the simulated network alone, whatever stands here.
    pub faucet: bool,
}

/// Streams of events.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// The silence after which a stream says that it lives, in milliseconds. Default 15,000.
    pub heartbeat_ms: u64,
}

// === impl WatchConfig ===

impl WatchConfig {
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms.max(1))
    }
}

// === Defaults ===

impl Default for Config {
    fn default() -> Self {
        let limits = Limits { decode_bytes: DECODE_BYTES, ..Limits::default() };
        Self {
            server: ServerConfig { limits, ..ServerConfig::on_ports(PORT, ADMIN_PORT) },
            database: DatabaseConfig::default(),
            hashing: HashingConfig::default(),
            info: InfoConfig::default(),
            watch: WatchConfig::default(),
        }
    }
}

impl Default for HashingConfig {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1, parallel: 0, queue: 32 }
    }
}

impl Default for InfoConfig {
    fn default() -> Self {
        Self {
            fee_basis_points: 500,
            min_price_msat: 1_000,
            max_price_msat: 1_000_000_000_000,
            max_inline_bytes: 128 * 1024,
            faucet: true,
        }
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { heartbeat_ms: 15_000 }
    }
}

//! What the task service is configured with.

use poa_chassis::config::ServerConfig;
use poa_storage::DatabaseConfig;
use serde::{Deserialize, Serialize};

/// The configuration of the task service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports, keys, limits and the addresses of `escrow` and `attestation`.
    pub server: ServerConfig,
    /// The service's own database.
    pub database: DatabaseConfig,
    /// What a task may cost. What the platform takes of it, escrow says.
    pub prices: PriceConfig,
    /// How long claims and reservations last.
    pub claims: ClaimConfig,
    /// How the mesh clock and the saga worker run.
    pub worker: WorkerConfig,
}

/// What a task may cost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceConfig {
    /// The lowest price in msat: it covers a task's entries in the log. Default 1,000.
    pub min_msat: i64,
    /// The highest price in msat. Default 1,000,000,000,000, which is ten bitcoin.
    pub max_msat: i64,
}

/// How long claims and reservations last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimConfig {
    /// After how many seconds a claim lapses that is not renewed. Default 60; a shorter working time caps it.
    pub lease_seconds: u32,
    /// How many seconds ClaimNextTask sets a task aside. Default 15.
    pub reservation_seconds: u32,
}

/// How the mesh clock and the saga worker run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// How often the mesh clock is advanced, in milliseconds; at most two ticks at once. Default 500.
    pub tick_ms: u64,
    /// How often the worker looks for tasks with something to do, in milliseconds. Default 200.
    pub poll_ms: u64,
    /// How many tasks the worker drives at once. Default 16.
    pub concurrency: usize,
    /// How long one call to another service may take, in milliseconds. Default 5,000.
    pub call_timeout_ms: u64,
    /// How long one drive of a task may take before it is given up and begun again, in milliseconds: more than a call and
    /// two transactions take at their worst. Default 60,000.
    pub drive_timeout_ms: u64,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::on_ports(50_052, 9_102),
            database: DatabaseConfig::default(),
            prices: PriceConfig::default(),
            claims: ClaimConfig::default(),
            worker: WorkerConfig::default(),
        }
    }
}

impl Default for PriceConfig {
    fn default() -> Self {
        Self { min_msat: 1_000, max_msat: 1_000_000_000_000 }
    }
}

impl Default for ClaimConfig {
    fn default() -> Self {
        Self { lease_seconds: 60, reservation_seconds: 15 }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { tick_ms: 500, poll_ms: 200, concurrency: 16, call_timeout_ms: 5_000, drive_timeout_ms: 60_000 }
    }
}

//! What the escrow service is configured with.

mod lightning;

use poa_chassis::config::ServerConfig;
use poa_storage::DatabaseConfig;
use serde::{Deserialize, Serialize};

pub use self::lightning::{LightningConfig, LndConfig, ProviderKind};
pub use crate::domain::fee::BasisPoints;

/// The whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports, keys, limits, logs.
    pub server: ServerConfig,
    /// The ledger's database. It has no default.
    pub database: DatabaseConfig,
    /// The Lightning node.
    pub lightning: LightningConfig,
    /// The platform's share of each release, in basis points (1/10,000). Default 500, which is 5 %.
    pub fee_basis_points: BasisPoints,
    /// Deposits.
    pub deposits: DepositConfig,
    /// Withdrawals.
    pub withdrawals: WithdrawalConfig,
}

/// Deposits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DepositConfig {
    /// How long an invoice can be paid, in whole seconds. Default 3,600.
    pub expiry_seconds: u32,
    /// How many of one account may wait to be paid. Default 100.
    pub max_open: u32,
    /// How often all that wait are looked up, in milliseconds; a hint is faster. Default 2,000.
    pub poll_ms: u64,
    /// How long one look at a deposit may take before it is given up and made again, in milliseconds: more than a lookup
    /// and a transaction take at their worst. Default 60,000.
    pub look_timeout_ms: u64,
}

/// Withdrawals.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithdrawalConfig {
    /// How many of one account may be on their way, reserved or dispatched. Default 100.
    pub max_live: u32,
    /// How many payments may be in flight at a time; the rest stays reserved until there is room. Default 400, below the
    /// 483 HTLCs of a channel.
    pub max_in_flight: u32,
    /// How often the payout worker looks at what is not at its end, in milliseconds; a new one wakes it. Default 500.
    pub poll_ms: u64,
    /// How long a call of the node may take before its outcome counts as unknown, in milliseconds. Default 20,000.
    pub call_timeout_ms: u64,
    /// For how long the node may try to find a route, in seconds. Default 600.
    pub payment_seconds: u32,
    /// How long after the invoice's end, and after the last dispatch by our own running time, a payment that the node has
    /// never heard of counts as never sent, in seconds; and how long after the deadline of every dispatch a failure counts
    /// where there was more than one. Default 600.
    pub lost_margin_seconds: u32,
    /// How long one look at a withdrawal may take before it is given up and made again, in milliseconds: more than a call
    /// of the node, a lookup and two transactions take at their worst. Default 120,000.
    pub look_timeout_ms: u64,
}

// === Defaults ===

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::on_ports(50_053, 9_103),
            database: DatabaseConfig::default(),
            lightning: LightningConfig::default(),
            fee_basis_points: BasisPoints::DEFAULT,
            deposits: DepositConfig::default(),
            withdrawals: WithdrawalConfig::default(),
        }
    }
}

impl Default for DepositConfig {
    fn default() -> Self {
        Self { expiry_seconds: 3_600, max_open: 100, poll_ms: 2_000, look_timeout_ms: 60_000 }
    }
}

impl Default for WithdrawalConfig {
    fn default() -> Self {
        Self {
            max_live: 100,
            max_in_flight: 400,
            poll_ms: 500,
            call_timeout_ms: 20_000,
            payment_seconds: 600,
            lost_margin_seconds: 600,
            look_timeout_ms: 120_000,
        }
    }
}

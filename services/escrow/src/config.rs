//! What the escrow service is configured with.

mod lightning;

use std::net::SocketAddr;
use std::path::PathBuf;

use poa_chassis::BuildError;
use poa_chassis::config::ServerConfig;
use poa_common::Msat;
use poa_storage::DatabaseConfig;
use serde::{Deserialize, Serialize};

pub use self::lightning::{LightningConfig, LndConfig, PhoenixdConfig, ProviderKind};
use crate::domain::caps::{Cap, Caps};
pub use crate::domain::fee::BasisPoints;
use crate::domain::hold_invoice::Limits;

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
    /// Hold invoices that fund tasks.
    pub holds: HoldConfig,
    /// Payout destinations and automatic payouts.
    pub payouts: PayoutConfig,
    /// The way out to the hosts of Lightning addresses.
    pub egress: EgressConfig,
    /// The ledger against the node.
    pub reconciliation: ReconciliationConfig,
    /// The ledger against itself.
    pub audit: AuditConfig,
    /// The proof of what is owed.
    pub liabilities: LiabilitiesConfig,
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
    /// How many payments to one payee, by the key of its node, may be in flight at a time; its other withdrawals stay
    /// reserved, and keep nobody else waiting. A payee can hold each of them for days. 0: no limit. Default 40.
    pub max_in_flight_per_payee: u32,
    /// How much of one account may leave in an hour, in msat, by when it was asked for. 0: no limit. Default
    /// 10,000,000,000 (0.1 bitcoin).
    pub max_msat_per_hour: i64,
    /// How much of one account may leave in a day, in msat. 0: no limit. Default 50,000,000,000 (0.5 bitcoin).
    pub max_msat_per_day: i64,
    /// How much of all accounts together may leave in an hour, in msat. Each new withdrawal adds up what left in the last
    /// day. 0: no limit. Default 100,000,000,000 (1 bitcoin).
    pub max_msat_per_hour_of_all: i64,
    /// How much of all accounts together may leave in a day, in msat. 0: no limit. Default 500,000,000,000 (5 bitcoin).
    pub max_msat_per_day_of_all: i64,
    /// Whether payouts are paused when the server starts, until an operator lets them go on: for a restored backup, which does
    /// not know what was paid since. Default false.
    pub start_paused: bool,
}

/// Payout destinations and automatic payouts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PayoutConfig {
    /// How long another payout address waits before it counts, in seconds. Default 86,400, which is a day.
    pub change_delay_seconds: u32,
    /// How often is looked for accounts to pay out by themselves, in milliseconds. Default 10,000.
    pub automatic_poll_ms: u64,
    /// How long after an attempt that came to nothing the next one is made, in seconds. It doubles with each, up to six
    /// hours. Default 60.
    pub automatic_retry_seconds: u32,
}

/// The way out to the hosts of Lightning addresses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// On the simulated network alone: the one server that is asked in the place of every host, at this address and port.
    /// Unset: hosts are looked up, and must have a public address.
    pub simulated_server: Option<SocketAddr>,
    /// On the simulated network alone: a PEM file with the certificates to believe then, in the place of the public ones.
    pub simulated_roots: Option<PathBuf>,
}

// === impl WithdrawalConfig ===

impl WithdrawalConfig {
    /// How much may leave.
    pub(crate) fn caps(&self) -> Caps {
        let cap = |hour, day| Cap { hour: Msat::new(hour), day: Msat::new(day) };
        Caps {
            account: cap(self.max_msat_per_hour, self.max_msat_per_day),
            all: cap(self.max_msat_per_hour_of_all, self.max_msat_per_day_of_all),
        }
    }

    /// Refuses what is out of bounds.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        for (name, value) in [
            ("max_msat_per_hour", self.max_msat_per_hour),
            ("max_msat_per_day", self.max_msat_per_day),
            ("max_msat_per_hour_of_all", self.max_msat_per_hour_of_all),
            ("max_msat_per_day_of_all", self.max_msat_per_day_of_all),
        ] {
            if value < 0 {
                return Err(format!("withdrawals.{name} is below zero").into());
            }
        }
        Ok(())
    }
}

/// Hold invoices that fund tasks. Each locked part of a payment takes one of the 483 places that a channel has in each
/// direction, for as long as the task takes: so they are counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldConfig {
    /// Whether new ones are made, where the node can. Default true.
    pub enabled: bool,
    /// How many parts may be locked or asked for at a time, of all payers. Default 362: a quarter of the 483 places stays
    /// free.
    pub max_parts_total: u32,
    /// The same of one payer. Default 36, a tenth of all.
    pub max_parts_per_payer: u32,
    /// How many msat of one payer may be locked or asked for at a time. Default 5,000,000,000, which is 0.05 bitcoin.
    pub max_msat_per_payer: i64,
    /// The least price, in msat. Default 5,000,000, which is 5,000 sats: about ten times what a commitment transaction
    /// cannot hold (dust), because parts of that kind are lost where a channel is closed.
    pub min_msat: i64,
    /// How long an invoice can be paid, in whole seconds. Default and most: 600.
    pub invoice_expiry_seconds: u32,
    /// How often all that are not at their end are looked up, in milliseconds; a hint is faster. Default 1,000.
    pub poll_ms: u64,
    /// How long a call of the node may take before its outcome counts as unknown, in milliseconds. Default 5,000.
    pub call_timeout_ms: u64,
    /// How long one look at an invoice may take before it is given up and made again, in milliseconds: more than the calls
    /// of the node and the transactions in it take at their worst. Default 120,000.
    pub look_timeout_ms: u64,
}

// === impl HoldConfig ===

impl HoldConfig {
    /// The longest that an invoice may be paid, in seconds: the price of a task is agreed at the moment.
    const MAX_EXPIRY_SECONDS: u32 = 600;

    /// What cannot work, naming the setting.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rules = [
            (
                (1..=Self::MAX_EXPIRY_SECONDS).contains(&self.invoice_expiry_seconds),
                "holds.invoice_expiry_seconds must be 1 to 600",
            ),
            (self.min_msat > 0, "holds.min_msat must be more than 0"),
            (
                self.max_msat_per_payer >= self.min_msat,
                "holds.max_msat_per_payer must be at least holds.min_msat",
            ),
            (self.max_parts_per_payer > 0, "holds.max_parts_per_payer must be more than 0"),
            (
                self.max_parts_total >= self.max_parts_per_payer,
                "holds.max_parts_total must be at least holds.max_parts_per_payer",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(problem.to_owned()),
            None => Ok(()),
        }
    }

    /// How much may be locked at a time.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_parts: self.max_parts_total,
            max_parts_of_payer: self.max_parts_per_payer,
            max_msat_of_payer: Msat::new(self.max_msat_per_payer),
        }
    }
}

/// The ledger against the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconciliationConfig {
    /// How often, in seconds, 1 to 60: a difference pauses payouts within a minute. Default 20.
    pub every_seconds: u32,
    /// How often everything is read from the beginning, in seconds, at least 60. Default 86,400.
    pub full_every_seconds: u32,
    /// How long what the node has received or sent may wait to be booked before it is a difference, in seconds. Default 30.
    pub grace_seconds: u32,
    /// After how long without a whole look somebody is told, in seconds. Default 300.
    pub stale_seconds: u32,
    /// How long the node may take to list a page, in milliseconds. Default 20,000.
    pub call_timeout_ms: u64,
}

/// The ledger against itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// How often, in seconds, 1 to 3,600; less often where an audit takes long: nine times what it took passes before the
    /// next. What breaks an invariant pauses payouts. Default 60.
    pub every_seconds: u32,
    /// After how long without an audit somebody is told, in seconds. Default 900.
    pub stale_seconds: u32,
}

/// The proof of what is owed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiabilitiesConfig {
    /// How often it is stated in the log, in seconds; 0: never, and `peers.attestation` is not needed. Default 86,400.
    pub every_seconds: u32,
    /// How long the leaves of a statement are kept, in days. Whoever has fetched a proof keeps it for ever. Default 30.
    pub keep_days: u32,
    /// How long one step of a statement may take before it is given up and made again, in milliseconds: more than reading
    /// all balances and building the tree over them take at their worst. Default 600,000.
    pub step_timeout_ms: u64,
}

// === impl ReconciliationConfig ===

impl ReconciliationConfig {
    /// Refuses what is out of its bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=60).contains(&self.every_seconds) {
            return Err("reconciliation.every_seconds must be 1 to 60".to_owned());
        }
        if self.full_every_seconds < 60 {
            return Err("reconciliation.full_every_seconds must be at least 60".to_owned());
        }
        Ok(())
    }
}

// === impl AuditConfig ===

impl AuditConfig {
    /// Refuses what is out of its bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        if (1..=3_600).contains(&self.every_seconds) {
            Ok(())
        } else {
            Err("audit.every_seconds must be 1 to 3,600".to_owned())
        }
    }
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
            holds: HoldConfig::default(),
            payouts: PayoutConfig::default(),
            egress: EgressConfig::default(),
            reconciliation: ReconciliationConfig::default(),
            audit: AuditConfig::default(),
            liabilities: LiabilitiesConfig::default(),
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
            max_in_flight_per_payee: 40,
            max_msat_per_hour: 10_000_000_000,
            max_msat_per_day: 50_000_000_000,
            max_msat_per_hour_of_all: 100_000_000_000,
            max_msat_per_day_of_all: 500_000_000_000,
            start_paused: false,
        }
    }
}

impl Default for HoldConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_parts_total: 362,
            max_parts_per_payer: 36,
            max_msat_per_payer: 5_000_000_000,
            min_msat: 5_000_000,
            invoice_expiry_seconds: 600,
            poll_ms: 1_000,
            call_timeout_ms: 5_000,
            look_timeout_ms: 120_000,
        }
    }
}

impl Default for PayoutConfig {
    fn default() -> Self {
        Self { change_delay_seconds: 86_400, automatic_poll_ms: 10_000, automatic_retry_seconds: 60 }
    }
}
impl Default for ReconciliationConfig {
    fn default() -> Self {
        Self {
            every_seconds: 20,
            full_every_seconds: 86_400,
            grace_seconds: 30,
            stale_seconds: 300,
            call_timeout_ms: 20_000,
        }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { every_seconds: 60, stale_seconds: 900 }
    }
}

impl Default for LiabilitiesConfig {
    fn default() -> Self {
        Self { every_seconds: 86_400, keep_days: 30, step_timeout_ms: 600_000 }
    }
}

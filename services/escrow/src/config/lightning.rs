//! Which Lightning node, and how it is reached.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The Lightning node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LightningConfig {
    /// Which kind of node.
    pub provider: ProviderKind,
    /// The folder in which the simulated node keeps its file.
    pub data_dir: PathBuf,
    /// How often the simulated chain finds a block, in milliseconds; 0 for never. Default 600,000, ten minutes, as a real
    /// one does: what is locked until a height goes back in its time.
    pub block_ms: u64,
    /// What to do while another process has the simulated node open: wait and take over when that one is gone, or, the
    /// default, refuse to start.
    pub standby: bool,
    /// How long a start waits for a node of one's own to be up and unlocked, in seconds. Default 3,600.
    pub start_seconds: u64,
    /// An LND, where it is one.
    pub lnd: LndConfig,
    /// A phoenixd, where it is one.
    pub phoenixd: PhoenixdConfig,
}

/// The kinds of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// A node without a network: sats without value, and a faucet.
    Simulated,
    /// An LND.
    Lnd,
    /// A phoenixd: whole sats, a fixed fee, and no hold invoices.
    Phoenixd,
}

/// Where an LND is, and what it is asked with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LndConfig {
    /// Its gRPC address. Default `https://127.0.0.1:10009`.
    pub endpoint: String,
    /// The certificate that it shows, a PEM file. It alone is trusted; a file that is replaced counts from the next
    /// connection on.
    pub tls_cert: PathBuf,
    /// The macaroon that makes, watches, settles and cancels invoices.
    pub invoices_macaroon: PathBuf,
    /// The macaroon that sends payments.
    pub payouts_macaroon: PathBuf,
    /// The macaroon that reads what the node holds and has done.
    pub reconciliation_macaroon: PathBuf,
    /// Whether invoices carry hints to private channels. Default true.
    pub private_route_hints: bool,
}

/// Where a phoenixd is, and what it is asked with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhoenixdConfig {
    /// Its HTTP address; without TLS on this machine's loopback alone. Default `http://127.0.0.1:9740`.
    pub url: String,
    /// The file with `http-password`, which may send.
    pub password_file: PathBuf,
    /// The file with `http-password-limited-access`, which may not: all but the payouts use it where it is given.
    pub limited_password_file: Option<PathBuf>,
    /// The authority, in PEM, that vouches for an https address; the public ones where none is given.
    pub ca_file: Option<PathBuf>,
}

// === impl LightningConfig ===

impl Default for LightningConfig {
    fn default() -> Self {
        Self {
            provider: ProviderKind::Simulated,
            data_dir: PathBuf::from("/var/lib/proof-of-agent/lightning"),
            block_ms: 600_000,
            standby: false,
            start_seconds: 3_600,
            lnd: LndConfig::default(),
            phoenixd: PhoenixdConfig::default(),
        }
    }
}

// === impl LndConfig ===

impl Default for LndConfig {
    fn default() -> Self {
        let file = |name: &str| PathBuf::from("/etc/proof-of-agent/lnd").join(name);
        Self {
            endpoint: "https://127.0.0.1:10009".to_owned(),
            tls_cert: file("tls.cert"),
            invoices_macaroon: file("invoices.macaroon"),
            payouts_macaroon: file("payouts.macaroon"),
            reconciliation_macaroon: file("reconciliation.macaroon"),
            private_route_hints: true,
        }
    }
}

// === impl PhoenixdConfig ===

impl Default for PhoenixdConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:9740".to_owned(),
            password_file: PathBuf::from("/etc/proof-of-agent/phoenixd.password"),
            limited_password_file: None,
            ca_file: None,
        }
    }
}

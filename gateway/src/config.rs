//! The gateway's configuration.

use poa_chassis::config::ServerConfig;
use serde::{Deserialize, Serialize};

/// The public port where nothing else is said.
const PORT: u16 = 3000;
/// The admin port where nothing else is said.
const ADMIN_PORT: u16 = 9100;

/// HTTP/2 streams of one caller's connection.
const STREAMS_PER_CALLER: u32 = 256;

/// The gateway's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What every server has.
    pub server: ServerConfig,
    /// Origins of web pages that may call with grpc-web, such as `https://app.example`; `*` allows all, which is safe
    /// as far as cookies go, for there are none.
    pub cors_origins: Vec<String>,
    /// Rate limits, in tokens: a read costs 1, a task 10, a sign-in 50.
    pub rates: Rates,
    /// Connections kept to each service for calls, and as many for streams: one HTTP/2 connection is one lock.
    pub connections_per_service: usize,
    /// What callers may hold open.
    pub open: Open,
}

/// Rate limits of the edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Tokens a second for one IP address.
    pub per_ip: u32,
    /// Tokens that an idle IP address has saved up at most.
    pub ip_burst: u32,
    /// Tokens a second for one account.
    pub per_account: u32,
    /// Tokens that an idle account has saved up at most.
    pub account_burst: u32,
}

/// What callers may hold open. Each answer that is not read may take 64 KiB of memory here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Open {
    /// Calls that all together may have under way at once, until their answers are read.
    pub calls: usize,
    /// Streams that all together may have open at once.
    pub streams: usize,
    /// Calls that one IP address may have under way at once.
    pub calls_per_ip: usize,
    /// Streams that one account may have open at once.
    pub streams_per_account: usize,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        let mut server = ServerConfig::on_ports(PORT, ADMIN_PORT);
        server.limits.streams_per_connection = STREAMS_PER_CALLER;
        let services =
            [("auth", 50051), ("task", 50052), ("escrow", 50053), ("attestation", 50054), ("search", 50055)];
        for (service, port) in services {
            server.peers.insert(service.to_owned(), format!("http://127.0.0.1:{port}"));
        }
        Self {
            server,
            cors_origins: vec!["http://localhost:3000".to_owned(), "http://127.0.0.1:3000".to_owned()],
            rates: Rates::default(),
            connections_per_service: 2,
            open: Open::default(),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self { per_ip: 2_000, ip_burst: 5_000, per_account: 1_000, account_burst: 3_000 }
    }
}

impl Default for Open {
    fn default() -> Self {
        Self { calls: 2_048, streams: 4_096, calls_per_ip: 256, streams_per_account: 256 }
    }
}

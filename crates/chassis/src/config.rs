//! Typed configuration: defaults, then a TOML file, then the environment (`POA__SECTION__FIELD`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What every server is configured with. Each server's own `Config` holds one under the same field names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where `/metrics`, `/livez`, `/readyz` and admin methods are served. Never expose it.
    pub admin_listen: SocketAddr,
    /// The folder with this deployment's keys; docs/operations names the files.
    pub keys_dir: PathBuf,
    /// The `aud` of access tokens: one per deployment, so that a token of one is worth nothing at another.
    pub audience: String,
    /// Whether the service port answers reflection. The admin port always does.
    pub reflection: bool,
    /// How long calls may finish after SIGTERM, in seconds.
    pub drain_seconds: u64,
    /// What the server takes at most.
    pub limits: Limits,
    /// Logs.
    pub log: LogConfig,
    /// Addresses of the services that this one calls, such as `http://127.0.0.1:50053`. Several replicas of one are
    /// separated by commas.
    pub peers: std::collections::BTreeMap<String, String>,
}

/// Bounds of a server. All are per process but where they say otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests served at once; more are refused with OVERLOADED.
    pub in_flight: usize,
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections of one IP address at once; more are closed.
    pub connections_per_ip: usize,
    /// HTTP/2 streams of one connection. A service's connections are the gateway's, which carry many callers.
    pub streams_per_connection: u32,
    /// Bytes of all headers of one request.
    pub header_bytes: u32,
    /// Bytes of one request message.
    pub decode_bytes: usize,
    /// Bytes of one response message.
    pub encode_bytes: usize,
    /// The age at which a connection is told to go away, in seconds, so that clients spread over new replicas.
    pub connection_age_seconds: u64,
}

/// Logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `json` for machines, `text` for a person.
    pub format: LogFormat,
    /// A filter such as `info,poa_escrow=debug`.
    pub filter: String,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for a person.
    Text,
}

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or variable does not fit the schema.
    #[error("the configuration does not fit: {0}")]
    Invalid(#[from] config::ConfigError),
    /// The configuration could not be printed.
    #[error("the configuration cannot be printed: {0}")]
    Print(#[from] toml::ser::Error),
}

/// Reads a configuration. Later sources win: `defaults`, the file, the environment.
pub fn load<C: Serialize + DeserializeOwned>(defaults: &C, file: Option<&Path>) -> Result<C, ConfigError> {
    let mut builder = config::Config::builder().add_source(config::Config::try_from(defaults)?);
    if let Some(path) = file {
        builder = builder.add_source(config::File::from(path).format(config::FileFormat::Toml));
    }
    let environment =
        config::Environment::with_prefix("POA").prefix_separator("__").separator("__").try_parsing(true);
    Ok(builder.add_source(environment).build()?.try_deserialize()?)
}

/// A configuration as a TOML file that would make it again. Secrets are paths, so nothing is hidden.
pub fn print<C: Serialize>(config: &C) -> Result<String, ConfigError> {
    Ok(toml::to_string_pretty(config)?)
}

// === impl ServerConfig ===

impl ServerConfig {
    /// The defaults of a server: its port, and the admin port that goes with it.
    pub fn on_ports(port: u16, admin_port: u16) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], admin_port)),
            ..Self::default()
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            keys_dir: PathBuf::from("/var/lib/proof-of-agent/keys"),
            audience: "proof-of-agent".to_owned(),
            reflection: true,
            drain_seconds: 10,
            limits: Limits::default(),
            log: LogConfig::default(),
            peers: std::collections::BTreeMap::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 1_024,
            connections: 4_096,
            connections_per_ip: 512,
            streams_per_connection: 4_096,
            header_bytes: 8 * 1_024,
            decode_bytes: 256 * 1_024,
            encode_bytes: 1_024 * 1_024,
            connection_age_seconds: 3_600,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".to_owned() }
    }
}

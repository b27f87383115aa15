//! The configuration of a mesh in one process: where the data is, and the services' own sections.

use std::net::SocketAddr;
use std::path::PathBuf;

use poa_chassis::config::{LogConfig, LogFormat, ServerConfig};
use poa_common::{Network, default_data_dir};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// The configuration of the mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// All data: `postgres/`, `keys/`, `lightning/`.
    pub(crate) data_dir: PathBuf,
    /// The public port: gRPC, grpc-web and the page.
    pub(crate) listen: SocketAddr,
    /// Metrics, health and admin methods. Never expose it.
    pub(crate) admin_listen: SocketAddr,
    /// What the sats are worth.
    pub(crate) network: Network,
    /// A PostgreSQL server to use, with `{database}` where the name of a database goes. Empty: a private one.
    #[serde(serialize_with = "hidden")]
    pub(crate) database_url: SecretString,
    /// Logs.
    pub(crate) log: LogConfig,
    /// The gateway's own settings.
    pub(crate) gateway: poa_gateway::Config,
    /// Auth's own settings.
    pub(crate) auth: poa_auth::Config,
    /// Task's own settings.
    pub(crate) task: poa_task::Config,
    /// Escrow's own settings.
    pub(crate) escrow: poa_escrow::Config,
    /// Attestation's own settings.
    pub(crate) attestation: poa_attestation::Config,
    /// Search's own settings.
    pub(crate) search: poa_search::Config,
}

// === impl Config ===

impl Config {
    /// The folder of the keys.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// A service's server section, with the keys and logs of the mesh.
    pub(crate) fn place(&self, server: &mut ServerConfig) {
        server.keys_dir = self.keys_dir();
        server.log = self.log.clone();
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: default_data_dir(|name| std::env::var_os(name)),
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9100)),
            network: Network::Simulated,
            database_url: SecretString::from(String::new()),
            log: LogConfig { format: LogFormat::Text, filter: "warn,poa_mesh=info".to_owned() },
            gateway: poa_gateway::Config::default(),
            auth: poa_auth::Config::default(),
            task: poa_task::Config::default(),
            escrow: poa_escrow::Config::default(),
            attestation: poa_attestation::Config::default(),
            search: poa_search::Config::default(),
        }
    }
}

fn hidden<S: Serializer>(url: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if url.expose_secret().is_empty() { "" } else { "(set)" })
}

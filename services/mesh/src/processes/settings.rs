//! What each server is started with.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use poa_chassis::BuildError;
use poa_chassis::config::{ConfigError, ServerConfig, print};
use secrecy::SecretString;

use crate::config::Config;

/// A server, and whom it calls.
pub(super) struct Server {
    /// Its name, which is its program's after `poa-`.
    pub(super) name: &'static str,
    /// The servers that it calls, which are started before it.
    pub(super) calls: &'static [&'static str],
    /// Whether one replica serves and the others stand by.
    pub(super) one_serves: bool,
}

/// From the inside out.
pub(super) const SERVERS: [Server; 6] = [
    Server { name: "auth", calls: &[], one_serves: false },
    Server { name: "escrow", calls: &[], one_serves: true },
    Server { name: "attestation", calls: &["auth"], one_serves: false },
    Server { name: "task", calls: &["escrow", "attestation"], one_serves: false },
    Server { name: "search", calls: &["auth", "task", "attestation"], one_serves: false },
    Server {
        name: "gateway",
        calls: &["auth", "task", "escrow", "attestation", "search"],
        one_serves: false,
    },
];

// === impl Server ===

impl Server {
    /// What every server has, of this one.
    pub(super) fn settings(&self, config: &Config) -> ServerConfig {
        match self.name {
            "auth" => config.auth.server.clone(),
            "escrow" => config.escrow.server.clone(),
            "attestation" => config.attestation.server.clone(),
            "task" => config.task.server.clone(),
            "search" => config.search.server.clone(),
            _gateway => ServerConfig {
                listen: config.listen,
                admin_listen: config.admin_listen,
                ..config.gateway.server.clone()
            },
        }
    }

    /// Where its database is, where it has one.
    pub(super) fn database(&self, config: &Config) -> Option<SecretString> {
        match self.name {
            "auth" => Some(config.auth.database.url.clone()),
            "escrow" => Some(config.escrow.database.url.clone()),
            "attestation" => Some(config.attestation.database.url.clone()),
            "task" => Some(config.task.database.url.clone()),
            "search" => Some(config.search.database.url.clone()),
            _gateway => None,
        }
    }

    /// All its settings, as a file. The URL of the database is masked in it.
    fn print(&self, config: &Config, server: ServerConfig, replicas: u16) -> Result<String, ConfigError> {
        match self.name {
            "auth" => print(&poa_auth::Config { server, ..config.auth.clone() }),
            "escrow" => {
                let mut escrow = poa_escrow::Config { server, ..config.escrow.clone() };
                escrow.lightning.standby = replicas > 1;
                print(&escrow)
            }
            "attestation" => print(&poa_attestation::Config { server, ..config.attestation.clone() }),
            "task" => print(&poa_task::Config { server, ..config.task.clone() }),
            "search" => print(&poa_search::Config { server, ..config.search.clone() }),
            _gateway => print(&poa_gateway::Config { server, ..config.gateway.clone() }),
        }
    }
}

/// Writes the settings of one replica into a file that its owner alone reads.
pub(super) fn write(
    folder: &Path,
    name: &str,
    config: &Config,
    server: &Server,
    own: ServerConfig,
    replicas: u16,
) -> Result<PathBuf, BuildError> {
    let path = folder.join(format!("{name}.toml"));
    let text = server.print(config, own, replicas)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

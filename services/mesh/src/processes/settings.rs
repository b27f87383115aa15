//! What each server is started with.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use poa_chassis::BuildError;
use poa_chassis::config::{ConfigError, ServerConfig, print};
use secrecy::SecretString;

use crate::config::Config;

/// The servers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Auth,
    Escrow,
    Attestation,
    Task,
    Search,
    Gateway,
}

/// A server, and whom it calls.
pub(super) struct Server {
    pub(super) kind: Kind,
    /// The servers that it calls, which are started before it.
    pub(super) calls: &'static [Kind],
    /// Whether one replica serves and the others stand by.
    pub(super) one_serves: bool,
}

/// From the inside out.
pub(super) const SERVERS: [Server; 6] = [
    Server { kind: Kind::Auth, calls: &[], one_serves: false },
    Server { kind: Kind::Attestation, calls: &[Kind::Auth], one_serves: false },
    Server { kind: Kind::Escrow, calls: &[Kind::Attestation], one_serves: true },
    Server { kind: Kind::Task, calls: &[Kind::Escrow, Kind::Attestation], one_serves: false },
    Server { kind: Kind::Search, calls: &[Kind::Auth, Kind::Task, Kind::Attestation], one_serves: false },
    Server {
        kind: Kind::Gateway,
        calls: &[Kind::Auth, Kind::Task, Kind::Escrow, Kind::Attestation, Kind::Search],
        one_serves: false,
    },
];

// === impl Kind ===

impl Kind {
    /// Its name, which is its program's after `poa-`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Escrow => "escrow",
            Self::Attestation => "attestation",
            Self::Task => "task",
            Self::Search => "search",
            Self::Gateway => "gateway",
        }
    }

    /// What every server has, of this one.
    pub(super) fn settings(self, config: &Config) -> ServerConfig {
        match self {
            Self::Auth => config.auth.server.clone(),
            Self::Escrow => config.escrow.server.clone(),
            Self::Attestation => config.attestation.server.clone(),
            Self::Task => config.task.server.clone(),
            Self::Search => config.search.server.clone(),
            Self::Gateway => ServerConfig {
                listen: config.listen,
                admin_listen: config.admin_listen,
                ..config.gateway.server.clone()
            },
        }
    }

    /// Where its database is, where it has one.
    pub(super) fn database(self, config: &Config) -> Option<SecretString> {
        match self {
            Self::Auth => Some(config.auth.database.url.clone()),
            Self::Escrow => Some(config.escrow.database.url.clone()),
            Self::Attestation => Some(config.attestation.database.url.clone()),
            Self::Task => Some(config.task.database.url.clone()),
            Self::Search => Some(config.search.database.url.clone()),
            Self::Gateway => None,
        }
    }

    /// All its settings, as a file. The URL of the database is masked in it.
    fn print(self, config: &Config, server: ServerConfig, replicas: u16) -> Result<String, ConfigError> {
        match self {
            Self::Auth => print(&poa_auth::Config { server, ..config.auth.clone() }),
            Self::Escrow => {
                let mut escrow = poa_escrow::Config { server, ..config.escrow.clone() };
                escrow.lightning.standby = replicas > 1;
                print(&escrow)
            }
            Self::Attestation => print(&poa_attestation::Config { server, ..config.attestation.clone() }),
            Self::Task => print(&poa_task::Config { server, ..config.task.clone() }),
            Self::Search => print(&poa_search::Config { server, ..config.search.clone() }),
            Self::Gateway => print(&poa_gateway::Config { server, ..config.gateway.clone() }),
        }
    }
}

/// Writes the settings of one replica into a file that its owner alone reads.
pub(super) fn write(
    folder: &Path,
    name: &str,
    config: &Config,
    server: Kind,
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

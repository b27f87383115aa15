//! Where each service's database is: in a private cluster of ours, or at a server of the operator's.

use poa_chassis::BuildError;
use poa_storage::DatabaseConfig;
use poa_storage::embedded::{EmbeddedPostgres, Options, Running};
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Where each service's database is.
pub(crate) enum Databases {
    /// A private cluster of ours.
    Private(Running),
    /// A server of the operator's: its URL with `{database}` in it.
    Given(String),
}

// === impl Databases ===

impl Databases {
    pub(crate) async fn start(config: &Config) -> Result<Self, BuildError> {
        let url = config.database_url.expose_secret();
        if url.is_empty() {
            let options =
                Options { data_dir: config.data_dir.join("postgres"), durable: true, bin_dir: None };
            return Ok(Self::Private(EmbeddedPostgres::start(options).await?));
        }
        if url.contains("{database}") {
            Ok(Self::Given(url.to_owned()))
        } else {
            Err("database_url needs {database} where a database's name goes".into())
        }
    }

    /// A service's database, made where it is ours to make. A URL in the service's own section wins.
    pub(crate) async fn of(&self, name: &str, own: &DatabaseConfig) -> Result<DatabaseConfig, BuildError> {
        if !own.url.expose_secret().is_empty() {
            return Ok(own.clone());
        }
        let url = match self {
            Self::Private(cluster) => {
                cluster.ensure_database(name).await?;
                cluster.url_for(name)
            }
            Self::Given(url) => url.replace("{database}", name),
        };
        Ok(DatabaseConfig { url: url.into(), ..own.clone() })
    }

    pub(crate) async fn stop(self) -> Result<(), BuildError> {
        match self {
            Self::Private(cluster) => Ok(cluster.stop().await?),
            Self::Given(_) => Ok(()),
        }
    }
}

//! How a service reaches its database.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

use crate::Error;

/// The most connections one service opens: PostgreSQL's best throughput stands at a few per core, and
/// every further connection is memory taken from all.
pub(crate) const MAX_CONNECTIONS: u32 = 4;
/// An idle transaction is a bug or a dead peer; its locks must not outlive it for long.
const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the server looks, in the middle of a statement, whether the one who asked is still there: what is given up
/// here soon ends there, and does not run beside the connections that may be open. PostgreSQL has it from 14 on.
const CLIENT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The database of one service.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgres://user:password@host:port/database`, or `postgres:///database?host=/socket/folder&user=name`.
    /// No default: empty is refused.
    #[serde(serialize_with = "without_password")]
    pub url: SecretString,
    /// Connections in all, 1 to 4. Default 4. A batch writer keeps one of them for itself.
    pub max_connections: u32,
    /// Transactions that may wait for a connection before more are refused as busy. Default 512.
    pub max_waiting: usize,
    /// How long a transaction or a read waits for a connection, in milliseconds. Default 5,000.
    pub acquire_timeout_ms: u64,
    /// How long one statement may run, in milliseconds, at least 1. Default 10,000. A transaction that takes two
    /// seconds longer counts as lost with its connection.
    pub statement_timeout_ms: u64,
    /// How long a plain read may wait for its answer, in milliseconds, at least 1: with the time for a connection less
    /// than a caller waits, so that the caller hears of a silent database. Default 4,000.
    pub read_timeout_ms: u64,
    /// How long one statement may wait for a lock, in milliseconds. Default 5,000.
    pub lock_timeout_ms: u64,
    /// How long to wait at start for a database that is not up yet, in milliseconds. Default 30,000.
    pub connect_timeout_ms: u64,
}

/// Prints a URL for `--print-config`: all of it but the password.
fn without_password<S: serde::Serializer>(url: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&masked(url.expose_secret()))
}

/// The URL without its password, in both places where one may stand: before the host and among the
/// parameters.
fn masked(url: &str) -> String {
    let login_masked = url.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _password) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{place}"))
    });
    let url = login_masked.unwrap_or_else(|| url.to_owned());
    let Some((place, parameters)) = url.split_once('?') else { return url };
    let parameters: Vec<&str> = parameters
        .split('&')
        .map(|parameter| if parameter.starts_with("password=") { "password=***" } else { parameter })
        .collect();
    format!("{place}?{}", parameters.join("&"))
}

// === impl DatabaseConfig ===

impl DatabaseConfig {
    /// The defaults with this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: SecretString::from(url.into()), ..Self::default() }
    }

    /// The same with another number of connections, 1 to 4.
    pub fn with_max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// Connection options without limits on the time of a statement, for migrations.
    pub(crate) fn plain_options(&self) -> Result<PgConnectOptions, Error> {
        if !(1..=MAX_CONNECTIONS).contains(&self.max_connections) {
            return Err(Error::Config(format!("max_connections must be 1 to {MAX_CONNECTIONS}")));
        }
        if self.max_waiting == 0 {
            return Err(Error::Config("max_waiting must be at least 1".to_owned()));
        }
        if self.statement_timeout_ms == 0 {
            // To PostgreSQL it would mean that there is no limit.
            return Err(Error::Config("statement_timeout_ms must be at least 1".to_owned()));
        }
        if self.url.expose_secret().is_empty() {
            return Err(Error::Config("database.url is not set: POA__DATABASE__URL".to_owned()));
        }
        if self.read_timeout_ms == 0 {
            return Err(Error::Config("read_timeout_ms must be at least 1".to_owned()));
        }
        // The parse error may quote the URL, and with it the password: only say which field.
        self.url
            .expose_secret()
            .parse::<PgConnectOptions>()
            .ok()
            .ok_or_else(|| Error::Config("url is not a postgres:// URL".to_owned()))
    }

    /// Connection options of the pool.
    pub(crate) fn pool_options(&self) -> Result<PgConnectOptions, Error> {
        Ok(self.plain_options()?.options([
            ("statement_timeout", self.statement_timeout_ms.to_string()),
            ("lock_timeout", self.lock_timeout_ms.to_string()),
            ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_TIMEOUT.as_millis().to_string()),
            ("client_connection_check_interval", CLIENT_CHECK_INTERVAL.as_millis().to_string()),
            // A request reads by keys. A plan that was made when a table was young, and had neither rows nor statistics,
            // would go on reading all of it; and to plan each statement anew costs more than to run it. What reads a whole
            // table, or searches, sets its own.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]))
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: SecretString::from(String::new()),
            max_connections: MAX_CONNECTIONS,
            max_waiting: 512,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 10_000,
            read_timeout_ms: 4_000,
            lock_timeout_ms: 5_000,
            connect_timeout_ms: 30_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_url_names_the_setting() {
        let error = DatabaseConfig::default().plain_options().unwrap_err();
        assert!(error.to_string().contains("POA__DATABASE__URL"), "{error}");
    }

    #[test]
    fn a_password_is_masked_wherever_it_stands() {
        for (url, shown) in [
            (
                "postgres://poa:se:c@ret@db:5432/task?sslmode=require",
                "postgres://poa:***@db:5432/task?sslmode=require",
            ),
            (
                "postgres:///task?host=/run&password=secret&user=poa",
                "postgres:///task?host=/run&password=***&user=poa",
            ),
            ("postgres:///task?host=/run&user=poa", "postgres:///task?host=/run&user=poa"),
            ("", ""),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}

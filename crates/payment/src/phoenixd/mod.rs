//! phoenixd as a provider, over its HTTP API (written against version 0.8.0).
//!
//! The node sends through one peer, in whole sats, for a fixed fee, and knows no hold invoices. What it says of a payment in
//! answer to the request for it is only a reason to look: a failure, a timeout and a broken body all mean "ask by hash", and
//! the answer to that alone decides. `texts` maps every text, `states` every answer.

mod answers;
mod credentials;
mod dispatches;
mod endpoint;
mod hints;
mod http;
mod in_flight;
mod listing;
mod payer;
mod provider;
mod questions;
mod states;
mod texts;
mod trouble;
pub mod webhook;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod source_tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use poa_common::Env;

use self::dispatches::Dispatches;
use self::endpoint::Endpoint;
use self::http::Http;
use self::in_flight::InFlight;

pub use self::credentials::CredentialsError;
pub use self::endpoint::EndpointError;
pub use self::trouble::Trouble;

/// How phoenixd is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens, such as `http://127.0.0.1:9740`. Without TLS on this machine's loopback alone.
    pub url: String,
    /// The file with `http-password`, which may do everything. Readable by its owner alone.
    pub password_file: PathBuf,
    /// The file with `http-password-limited-access`, which cannot send. Where it is given, all but the payer uses it.
    pub limited_password_file: Option<PathBuf>,
    /// The authorities, in PEM, that vouch for an https endpoint; the public ones where none is given.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take, but for a payment's.
    pub request_timeout: Duration,
    /// How long a payer waits until the node knows a payment. The payment goes on after that.
    pub payment_timeout: Duration,
    /// Between two looks for received payments, where hints are watched.
    pub hint_interval: Duration,
    /// How long after its expiry an unpaid invoice still counts as open. phoenixd finishes what it had begun to receive: the
    /// parts of a payment wait a minute for each other, and a channel that is made for it takes some more.
    pub expiry_margin: Duration,
    /// How long a row may take from its creation until it is in phoenixd's lists. The end of a list is read twice, so far
    /// apart, so that no row is passed over.
    pub listing_lag: Duration,
}

/// The receiving and observing side of a phoenixd. Cheap to clone. It cannot send: see [`PhoenixdPayer`].
#[derive(Clone)]
pub struct PhoenixdNode {
    inner: Arc<Inner>,
}

/// The ability to send from a phoenixd. There is one, given by [`PhoenixdNode::open`].
pub struct PhoenixdPayer {
    node: PhoenixdNode,
    /// With full access, and a connection per request: an error to connect is then certain to have sent nothing.
    sending: Http,
    dispatches: Arc<Dispatches>,
}

struct Inner {
    http: Http,
    env: Env,
    in_flight: InFlight,
    payment_timeout: Duration,
    hint_interval: Duration,
    expiry_margin: Duration,
    listing_lag: Duration,
}

/// Why a phoenixd could not be set up. Nothing was sent to it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address, or the authorities for it.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A password file.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

// === impl Options ===

impl Options {
    /// A phoenixd at an address, with the file of its full password, and waits that suit a node on the same machine or near.
    pub fn new(url: impl Into<String>, password_file: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            password_file: password_file.into(),
            limited_password_file: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            payment_timeout: Duration::from_secs(10),
            hint_interval: Duration::from_secs(1),
            expiry_margin: Duration::from_secs(10 * 60),
            listing_lag: Duration::from_secs(1),
        }
    }
}

// === impl PhoenixdNode ===

impl PhoenixdNode {
    /// Reads the passwords and sets the clients up. Says nothing to the node yet: see [`PhoenixdNode::ready`].
    pub fn open(options: &Options, env: Env) -> Result<(Self, PhoenixdPayer), OpenError> {
        let endpoint = Endpoint::new(options)?;
        let full = credentials::read(&options.password_file)?;
        let limited = options.limited_password_file.as_deref().map(credentials::read).transpose()?;
        let inner = Inner {
            http: endpoint.client(limited.as_ref().unwrap_or(&full), http::Reuse::Connections)?,
            env,
            in_flight: InFlight::default(),
            payment_timeout: options.payment_timeout,
            hint_interval: options.hint_interval,
            expiry_margin: options.expiry_margin,
            listing_lag: options.listing_lag,
        };
        let node = Self { inner: Arc::new(inner) };
        let payer = PhoenixdPayer {
            node: node.clone(),
            sending: endpoint.client(&full, http::Reuse::Nothing)?,
            dispatches: Arc::default(),
        };
        Ok((node, payer))
    }
}

impl fmt::Debug for PhoenixdNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PhoenixdNode").field(&self.inner.http).finish()
    }
}

impl fmt::Debug for PhoenixdPayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PhoenixdPayer").field(&self.sending).finish()
    }
}

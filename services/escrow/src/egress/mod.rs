//! The one way out to hosts that strangers name: HTTPS to a public address, and little of it.
//!
//! - The address that is connected to is the one that was checked: the check stands in the resolver of the connector itself.
//!   A host that is spelled as an IP address would go around the resolver, so it is refused before.
//! - No redirects, no proxies, no cookies, no HTTP/2, no compression; a bounded time and a bounded body.
//! - The check and the certificates to believe are parameters of the constructor. [`Egress::public`] has neither, and is what
//!   every network with real sats gets. On the simulated network, whose sats are worth nothing, a setting can put one
//!   server in the place of all hosts ([`open`]); the start is refused where it is set on any other network.

mod addresses;
mod names;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use poa_chassis::BuildError;
use poa_common::Network;
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use self::names::{Fixed, Guarded, Names, System};
use crate::config::EgressConfig;

/// How long a connection may take, its name and its TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a request may take from its beginning to the last byte of the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// The largest body that is read.
const MAX_BODY_BYTES: usize = 64 * 1_024;

/// Asks hosts that strangers name. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    client: reqwest::Client,
}

/// What a host has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The HTTP status: never a redirect.
    pub(crate) status: u16,
    /// The body, where it says that it is JSON.
    pub(crate) json: Option<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EgressError {
    /// Not `https`, not a host by name, or with a password in it.
    #[error("the URL is not one that is asked")]
    Url,
    /// No connection, no TLS, no address that may be connected to, or too late.
    #[error("the host cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It wants us elsewhere.
    #[error("the host redirects")]
    Redirect,
    /// More than is read.
    #[error("the answer has more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

/// The way out of a network.
///
/// # Errors
/// Where a setting of the simulated network is set on another, or its certificates cannot be read.
pub(crate) fn open(config: &EgressConfig, network: Network) -> Result<Egress, BuildError> {
    let EgressConfig { simulated_server, simulated_roots } = config;
    if network != Network::Simulated && (simulated_server.is_some() || simulated_roots.is_some()) {
        return Err(
            "egress.simulated_server and egress.simulated_roots are for the simulated network alone".into()
        );
    }
    let Some(server) = simulated_server else {
        return match simulated_roots {
            None => Egress::public(),
            Some(_) => Err("egress.simulated_roots needs egress.simulated_server".into()),
        };
    };
    let roots = match simulated_roots {
        Some(path) => read_roots(path)?,
        None => public_roots(),
    };
    // One server of the operator's own in the place of all hosts: nobody else can name an address.
    Egress::new(roots, Fixed(*server), |_| true)
}

// === impl Egress ===

impl Egress {
    /// To hosts of the public internet.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub(crate) fn public() -> Result<Self, BuildError> {
        Self::new(public_roots(), System::default(), addresses::is_public)
    }

    /// To hosts with a certificate of these roots, at the addresses that `names` gives and `admits` lets through.
    fn new(roots: RootCertStore, names: impl Names, admits: fn(IpAddr) -> bool) -> Result<Self, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Guarded::new(names, admits))
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // Each request looks its host up anew, and checks what it finds.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent("proof-of-agent")
            .build()?;
        Ok(Self { client })
    }

    /// Asks for a JSON document.
    pub(crate) async fn get_json(&self, url: Url) -> Result<Answer, EgressError> {
        let bare = url.username().is_empty() && url.password().is_none();
        if url.scheme() != "https" || url.domain().is_none() || !bare {
            return Err(EgressError::Url);
        }
        let sent = self.client.get(url).header(ACCEPT, "application/json").send();
        let mut response = sent.await.map_err(unreachable)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(EgressError::Redirect);
        }
        let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| is_json(value.as_bytes()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY_BYTES {
                return Err(EgressError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: status.as_u16(), json: is_json.then_some(body) })
    }
}

/// Without the URL: it names somebody.
fn unreachable(error: reqwest::Error) -> EgressError {
    EgressError::Unreachable(error.without_url())
}

/// `application/json`, or another type that is JSON by its suffix.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    essence == b"application/json" || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

/// The roots that browsers believe.
fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn read_roots(path: &Path) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err(format!("{} holds no certificate", path.display()).into());
    }
    Ok(roots)
}

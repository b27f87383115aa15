//! The address of a mesh and how its channel is set up.

use std::net::IpAddr;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Uri};

/// How long a TCP and TLS connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an idle connection is probed, so that a dead one is noticed between two heartbeats of a stream.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a probe may stay unanswered.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a mesh is reached: one address for every service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    uri: String,
    ca_pem: Option<Vec<u8>>,
    insecure: bool,
}

/// The address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Nothing can be reached there.
    #[error("`{uri}` is not an address to connect to: {problem}; expected such as http://localhost:3000")]
    Malformed {
        /// The address.
        uri: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A password, key or token would be sent there as clear text.
    #[error(
        "passwords, keys and tokens are not sent to {uri}, because http can be read on the way: use https, or say \
         that you trust the network between (`--insecure`, Endpoint::insecure)"
    )]
    InClear {
        /// The address.
        uri: String,
    },
}

// === impl Endpoint ===

impl Endpoint {
    /// The port of a mesh that was started with `make run` on this machine.
    pub const LOCAL: &'static str = "http://localhost:3000";

    /// An address such as `http://localhost:3000` or `https://mesh.example.org`. An https server is checked against
    /// the public certificate authorities. Over http, passwords, keys and tokens are sent to this machine alone.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), ca_pem: None, insecure: false }
    }

    /// Checks an https server against this certificate authority (PEM) alone.
    #[must_use]
    pub fn with_ca(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { ca_pem: Some(pem.into()), ..self }
    }

    /// Sends passwords, keys and tokens to another machine over http, too: where the network between is one's own, such
    /// as a tunnel.
    #[must_use]
    pub fn insecure(self) -> Self {
        Self { insecure: true, ..self }
    }

    /// The address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether what is sent can be read on the way, and nobody said that this is fine.
    pub(crate) fn is_in_clear(&self) -> bool {
        !self.insecure && !self.uri.starts_with("https://") && !self.is_this_machine()
    }

    /// Whether it is an address of this machine.
    pub fn is_this_machine(&self) -> bool {
        let Ok(uri) = self.uri.parse::<Uri>() else { return false };
        let Some(host) = uri.host() else { return false };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// A channel that connects with its first call, and again whenever the connection is lost.
    pub(crate) fn channel(&self) -> Result<Channel, EndpointError> {
        let refuse = |problem: String| EndpointError::Malformed { uri: self.uri.clone(), problem };
        let secure = match self.uri.split_once("://") {
            Some(("http", _)) => false,
            Some(("https", _)) => true,
            Some((scheme, _)) => {
                return Err(refuse(format!("the scheme {scheme} is neither http nor https")));
            }
            None => return Err(refuse("it has no scheme".to_owned())),
        };
        let endpoint = Channel::from_shared(self.uri.clone()).map_err(|error| refuse(error.to_string()))?;
        let endpoint = endpoint
            .user_agent(concat!("poa-sdk-rust/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| refuse(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        let endpoint = if secure {
            let tls = match &self.ca_pem {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().trust_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            };
            endpoint.tls_config(tls).map_err(|error| refuse(error.to_string()))?
        } else {
            endpoint
        };
        Ok(endpoint.connect_lazy())
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::new(Self::LOCAL)
    }
}

impl From<&str> for Endpoint {
    fn from(uri: &str) -> Self {
        Self::new(uri)
    }
}

impl From<String> for Endpoint {
    fn from(uri: String) -> Self {
        Self::new(uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_a_known_scheme_is_refused() {
        for uri in ["localhost:3000", "ftp://localhost", "http://", ""] {
            assert!(Endpoint::new(uri).channel().is_err(), "{uri}");
        }
        assert!(Endpoint::default().channel().is_ok());
        assert!(Endpoint::new("https://mesh.example.org").channel().is_ok());
    }

    #[test]
    fn http_is_clear_text_beyond_this_machine() {
        for uri in [
            "http://localhost:3000",
            "http://LOCALHOST",
            "http://127.0.0.1:3000",
            "http://127.9.9.9",
            "http://[::1]:3000/",
            "https://mesh.example.org",
            "https://192.0.2.1",
        ] {
            assert!(!Endpoint::new(uri).is_in_clear(), "{uri}");
        }
        for uri in [
            "http://mesh.example.org",
            "http://192.0.2.1:3000",
            "http://[2001:db8::1]",
            "http://0.0.0.0:3000",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://localhost@mesh.example.org",
            "http://mesh.example.org/https://localhost",
        ] {
            assert!(Endpoint::new(uri).is_in_clear(), "{uri}");
            assert!(!Endpoint::new(uri).insecure().is_in_clear(), "{uri}");
        }
    }
}

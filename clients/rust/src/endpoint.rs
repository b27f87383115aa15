//! The address of a mesh and how its channel is set up.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig};

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
}

/// The address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{uri}` is not an address to connect to: {problem}; expected such as http://localhost:3000")]
pub struct EndpointError {
    uri: String,
    problem: String,
}

// === impl Endpoint ===

impl Endpoint {
    /// The port of a mesh that was started with `make run` on this machine.
    pub const LOCAL: &'static str = "http://localhost:3000";

    /// An address such as `http://localhost:3000` or `https://mesh.example.org`. An https server is checked against
    /// the public certificate authorities.
    pub fn new(uri: impl Into<String>) -> Self {
        Self { uri: uri.into(), ca_pem: None }
    }

    /// Checks an https server against this certificate authority (PEM) alone.
    #[must_use]
    pub fn with_ca(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { ca_pem: Some(pem.into()), ..self }
    }

    /// The address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// A channel that connects with its first call, and again whenever the connection is lost.
    pub(crate) fn channel(&self) -> Result<Channel, EndpointError> {
        let refuse = |problem: String| EndpointError { uri: self.uri.clone(), problem };
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
}

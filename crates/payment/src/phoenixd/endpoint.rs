//! Where phoenixd is, and how it is reached safely: without TLS on loopback alone, never over a proxy, never elsewhere by a
//! redirect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;

use super::Options;
use super::http::{Http, Reuse};

/// The one name that is known to be this machine without asking anybody.
const LOCALHOST: &str = "localhost";

/// How long an unused connection is kept. phoenixd closes one after 45 s, and a request on its way meanwhile would be lost.
const IDLE: Duration = Duration::from_secs(20);

/// Why an address is not used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a base URL: a scheme, a host, perhaps a port, and no more.
    #[error("phoenixd's url must be http:// or https:// with a host and a port alone")]
    Url,
    /// A password in the clear over a network.
    #[error("phoenixd's url is http:// to another machine: use https://, a tunnel, or loopback")]
    NotLoopback,
    /// The file of authorities.
    #[error("the certificates in {} cannot be used", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client for phoenixd cannot be set up")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A checked address, and what is needed to make clients for it.
pub(super) struct Endpoint {
    base: Url,
    tls: ClientConfig,
    connect_timeout: Duration,
    request_timeout: Duration,
}

// === impl Endpoint ===

impl Endpoint {
    /// Checks the address and reads the authorities.
    pub(super) fn new(options: &Options) -> Result<Self, EndpointError> {
        Ok(Self {
            base: base(&options.url)?,
            tls: tls(options.ca_file.as_ref())?,
            connect_timeout: options.connect_timeout,
            request_timeout: options.request_timeout,
        })
    }

    /// A client that shows this password.
    pub(super) fn client(&self, password: &SecretString, reuse: Reuse) -> Result<Http, EndpointError> {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .https_only(self.base.scheme() == "https")
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // Whether a request may be repeated is decided by those who know what it asks for.
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(self.connect_timeout);
        if self.base.host_str() == Some(LOCALHOST) {
            // Whatever a resolver says. The port is the URL's.
            client = client.resolve(LOCALHOST, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        }
        client = match reuse {
            Reuse::Connections => client.pool_idle_timeout(IDLE),
            Reuse::Nothing => client.pool_max_idle_per_host(0),
        };
        let client = client.build().map_err(|error| EndpointError::Client(Box::new(error)))?;
        Ok(Http::new(client, self.base.clone(), password, self.request_timeout))
    }
}

/// The address, if the password is safe on the way there.
fn base(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).map_err(|_| EndpointError::Url)?;
    let host = url.host_str().ok_or(EndpointError::Url)?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare {
        return Err(EndpointError::Url);
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = host == LOCALHOST || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(EndpointError::NotLoopback),
        _ => Err(EndpointError::Url),
    }
}

/// rustls on ring, with the public authorities or the operator's own.
fn tls(ca_file: Option<&PathBuf>) -> Result<ClientConfig, EndpointError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unusable = |source: Box<dyn std::error::Error + Send + Sync>| EndpointError::Authorities {
                path: path.clone(),
                source,
            };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(Box::new(error)))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(Box::new(error)))?;
                roots.add(certificate).map_err(|error| unusable(Box::new(error)))?;
            }
            if roots.is_empty() {
                return Err(unusable("there is no certificate in it".into()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EndpointError::Client(Box::new(error)))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_in_the_clear_to_loopback_alone() {
        for good in ["http://127.0.0.1:9740", "http://127.9.9.9", "http://[::1]:1/", "http://localhost:9740"]
        {
            assert!(base(good).is_ok(), "{good}");
        }
        for good in ["https://phoenixd.internal:9740", "https://192.0.2.7/", "https://localhost"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in [
            "http://192.0.2.7:9740",
            "http://phoenixd:9740",
            "http://localhost.evil.example",
            "http://0.0.0.0",
        ] {
            assert!(matches!(base(bad), Err(EndpointError::NotLoopback)), "{bad}");
        }
        for bad in [
            "",
            "127.0.0.1:9740",
            "ftp://127.0.0.1",
            "unix:///run/phoenixd",
            "http://:secret@127.0.0.1:9740",
            "http://user@127.0.0.1",
            "http://127.0.0.1/path",
            "http://127.0.0.1/?a",
            "http://127.0.0.1/#a",
        ] {
            assert!(matches!(base(bad), Err(EndpointError::Url)), "{bad}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(tls(Some(&file.path().to_owned())), Err(EndpointError::Authorities { .. })));
        assert!(matches!(tls(Some(&PathBuf::from("/nowhere"))), Err(EndpointError::Authorities { .. })));
        assert!(tls(None).is_ok());
    }
}

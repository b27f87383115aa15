//! An HTTPS server with a certificate authority of its own, which answers as a test says.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The longest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 16 * 1_024;

/// An answer.
#[derive(Clone, Debug)]
pub struct HttpsAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// Further headers, each `Name: value`.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
    /// How long the body is kept back after the headers; for ever where that is long enough.
    pub delay: Duration,
}

/// A running server. It ends with this value.
#[derive(Debug)]
pub struct HttpsServer {
    address: SocketAddr,
    roots: String,
    requests: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

type Answering = Pin<Box<dyn Future<Output = HttpsAnswer> + Send>>;

// === impl HttpsAnswer ===

impl HttpsAnswer {
    /// A JSON document.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            content_type: "application/json; charset=utf-8",
            headers: Vec::new(),
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn head(&self) -> String {
        let further: String = self.headers.iter().map(|header| format!("{header}\r\n")).collect();
        format!(
            "HTTP/1.1 {} Answer\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{further}\r\n",
            self.status,
            self.content_type,
            self.body.len()
        )
    }
}

// === impl HttpsServer ===

impl HttpsServer {
    /// Starts a server for these hosts. `answer` gets the host and the path with its query.
    ///
    /// # Panics
    /// Where it cannot listen.
    pub async fn start<F>(
        hosts: &[&str],
        answer: impl Fn(String, String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = HttpsAnswer> + Send + 'static,
    {
        let (config, roots) = certificates(hosts);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        let answer = Arc::new(move |host, path| -> Answering { Box::pin(answer(host, path)) });
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (acceptor, answer, counted) =
                    (acceptor.clone(), Arc::clone(&answer), Arc::clone(&counted));
                // Whoever goes away in the middle is a client that gave up.
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _gave_up = serve(stream, &*answer, &counted).await;
                    }
                });
            }
        });
        Self { address, roots, requests, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate to believe, as PEM.
    pub fn roots(&self) -> &str {
        &self.roots
    }

    /// How many requests it has read.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &(dyn Fn(String, String) -> Answering + Send + Sync),
    counted: &AtomicU64,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < MAX_REQUEST_BYTES {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    counted.fetch_add(1, Ordering::SeqCst);
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let host =
        text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
    let answer = answer(host.unwrap_or_default(), path).await;
    stream.write_all(answer.head().as_bytes()).await?;
    stream.flush().await?;
    tokio::time::sleep(answer.delay).await;
    stream.write_all(&answer.body).await?;
    stream.shutdown().await
}

/// A server's configuration, and the authority that has signed its certificate.
fn certificates(hosts: &[&str]) -> (ServerConfig, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let roots = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let certificate = CertificateParams::new(hosts).expect("names of hosts");
    let certificate = certificate.signed_by(&key, &issuer).expect("a certificate");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("a certificate");
    (config, roots)
}

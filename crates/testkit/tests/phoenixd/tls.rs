//! Over a network: TLS by an authority of the operator's, and no password to anybody else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use poa_payment::phoenixd::{EndpointError, OpenError, Options, PhoenixdNode};
use poa_payment::{Error, Provider as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::support::Fixture;

/// What stands before a phoenixd on another machine. It answers every request with who the node is.
struct Front {
    url: String,
    authority: PathBuf,
    /// Requests that came through TLS.
    requests: Arc<AtomicUsize>,
    _folder: TempDir,
}

fn front(info: String) -> Front {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, certificate.pem()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    // Ends with the process: a thread that waits for a connection holds nothing.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut bytes = [0; 4_096];
            // A client that does not trust us leaves during the handshake.
            if tls.read(&mut bytes).is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", info.len());
                let _left = tls.write_all((head + &info).as_bytes()).and_then(|()| tls.flush());
            }
        }
    });
    Front { url, authority, requests, _folder: folder }
}

#[tokio::test]
async fn a_password_goes_only_to_whom_the_operators_authority_vouches_for() {
    let fixture = Fixture::new(110).await;
    let front = front(format!(
        r#"{{"nodeId":"02{}","channels":[],"chain":"mainnet","blockHeight":7}}"#,
        "11".repeat(32)
    ));
    let open = |ca_file: Option<PathBuf>| {
        let options =
            Options { ca_file, ..Options::new(front.url.clone(), fixture.phoenixd.password_file()) };
        PhoenixdNode::open(&options, fixture.env.clone()).map(|(node, _)| node)
    };
    let trusting = open(Some(front.authority.clone())).unwrap();
    assert_eq!(trusting.info().await.unwrap().height, 7);
    assert_eq!(front.requests.load(Ordering::SeqCst), 1);
    // By the public authorities it is nobody.
    let answer = open(None).unwrap().info().await;
    assert!(matches!(answer, Err(Error::NoAnswer(_))), "{answer:?}");
    assert_eq!(front.requests.load(Ordering::SeqCst), 1, "a request was sent to a stranger");
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let fixture = Fixture::new(111).await;
    let elsewhere = poa_testkit::phoenixd::Phoenixd::start(fixture.env.clone()).await;
    let moved = Arc::new(std::sync::Mutex::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (target, count) = (elsewhere.url(), Arc::clone(&moved));
    let serving = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 4_096]).await.unwrap();
            assert_ne!(read, 0, "a request");
            *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            let head =
                format!("HTTP/1.1 307 Moved\r\nLocation: {target}/getinfo\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    });
    let options = Options::new(url, fixture.phoenixd.password_file());
    let (node, _) = PhoenixdNode::open(&options, fixture.env.clone()).unwrap();
    assert!(node.info().await.is_err());
    assert_eq!(*moved.lock().unwrap_or_else(PoisonError::into_inner), 1);
    assert_eq!(elsewhere.requests("GET"), 0, "a redirect was followed");
    serving.abort();

    let remote = Options::new("http://192.0.2.7:9740", fixture.phoenixd.password_file());
    let refused = PhoenixdNode::open(&remote, fixture.env.clone());
    assert!(matches!(refused, Err(OpenError::Endpoint(EndpointError::NotLoopback))));
}

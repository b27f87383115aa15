//! The way out against a real HTTPS server: what is connected to, what is read, and what is not.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use poa_testkit::{HttpsAnswer, HttpsServer};

use super::*;

/// A resolver that a test writes: each lookup gives the next of these.
#[derive(Debug)]
struct Scripted(Mutex<Vec<Vec<SocketAddr>>>);

impl Names for Scripted {
    fn look_up(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let mut left = self.0.lock().unwrap();
        let found = if left.len() > 1 { left.remove(0) } else { left[0].clone() };
        async move { Ok(found) }.boxed()
    }
}

fn roots(server: &HttpsServer) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(server.roots().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

fn local(server: &HttpsServer) -> Egress {
    Egress::new(roots(server), Fixed(server.address()), |_| true).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

async fn server(answer: impl Fn() -> HttpsAnswer + Send + Sync + 'static) -> HttpsServer {
    let answer = Arc::new(answer);
    HttpsServer::start(&["pay.example"], move |_, _| {
        let answer = answer();
        async move { answer }
    })
    .await
}

#[tokio::test]
async fn a_json_answer_is_read_with_its_status() {
    let server = server(|| HttpsAnswer::json("{}").with_status(404)).await;
    let answer = local(&server).get_json(url("https://pay.example/a")).await.unwrap();
    assert_eq!(answer, Answer { status: 404, json: Some(b"{}".to_vec()) });
    let other = HttpsAnswer { content_type: "text/html", ..HttpsAnswer::json("{}") };
    let server = self::server(move || other.clone()).await;
    let answer = local(&server).get_json(url("https://pay.example/a")).await.unwrap();
    assert_eq!(answer, Answer { status: 200, json: None });
}

#[tokio::test]
async fn an_address_that_is_not_public_is_never_connected_to() {
    let server = server(|| HttpsAnswer::json("{}")).await;
    let guarded = Egress::new(roots(&server), Fixed(server.address()), addresses::is_public).unwrap();
    let refused = guarded.get_json(url("https://pay.example/")).await.unwrap_err();
    assert!(matches!(refused, EgressError::Unreachable(_)), "{refused:?}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_each_time() {
    let server = server(|| HttpsAnswer::json("{}")).await;
    let (good, bad) = (server.address(), SocketAddr::from(([127, 0, 0, 2], server.address().port())));
    // The first lookup is let through, as a public address would be; the second leads elsewhere.
    let names = Scripted(Mutex::new(vec![vec![bad, good], vec![bad]]));
    let admits = |address: IpAddr| address == IpAddr::from([127, 0, 0, 1]);
    let egress = Egress::new(roots(&server), names, admits).unwrap();
    egress.get_json(url("https://pay.example/")).await.unwrap();
    assert!(egress.get_json(url("https://pay.example/")).await.is_err());
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_host_that_is_an_address_is_not_asked_since_nothing_would_check_it() {
    let server = server(|| HttpsAnswer::json("{}")).await;
    let port = server.address().port();
    for text in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("http://pay.example:{port}/"),
        "https://user:password@pay.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let refused = local(&server).get_json(url(&text)).await.unwrap_err();
        assert!(matches!(refused, EgressError::Url), "{text}: {refused:?}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = server(|| HttpsAnswer {
        headers: vec!["Location: https://pay.example/other".to_owned()],
        ..HttpsAnswer::json("").with_status(302)
    })
    .await;
    let refused = local(&server).get_json(url("https://pay.example/")).await.unwrap_err();
    assert!(matches!(refused, EgressError::Redirect), "{refused:?}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_body_has_a_bound_and_an_answer_a_time() {
    let large = server(|| HttpsAnswer::json(vec![b' '; MAX_BODY_BYTES + 1])).await;
    let refused = local(&large).get_json(url("https://pay.example/")).await.unwrap_err();
    assert!(matches!(refused, EgressError::TooLarge), "{refused:?}");
    let most = server(|| HttpsAnswer::json(vec![b' '; MAX_BODY_BYTES])).await;
    assert!(local(&most).get_json(url("https://pay.example/")).await.is_ok());
    let slow = server(|| HttpsAnswer { delay: Duration::from_secs(3_600), ..HttpsAnswer::json("{}") }).await;
    let since = std::time::Instant::now();
    let refused = local(&slow).get_json(url("https://pay.example/")).await.unwrap_err();
    assert!(matches!(refused, EgressError::Unreachable(_)), "{refused:?}");
    assert!(since.elapsed() < 2 * ANSWER_WITHIN);
}

#[tokio::test]
async fn a_certificate_of_another_host_or_authority_is_not_believed() {
    let server = server(|| HttpsAnswer::json("{}")).await;
    let other_host = local(&server).get_json(url("https://other.example/")).await.unwrap_err();
    assert!(matches!(other_host, EgressError::Unreachable(_)));
    let public = Egress::new(public_roots(), Fixed(server.address()), |_| true).unwrap();
    assert!(public.get_json(url("https://pay.example/")).await.is_err());
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn one_server_in_the_place_of_all_hosts_is_for_the_simulated_network_alone() {
    let server = server(|| HttpsAnswer::json("{}")).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), server.roots()).unwrap();
    let config = EgressConfig {
        simulated_server: Some(server.address()),
        simulated_roots: Some(file.path().to_owned()),
    };
    let egress = open(&config, Network::Simulated).unwrap();
    egress.get_json(url("https://pay.example/")).await.unwrap();
    for network in [Network::Mainnet, Network::Regtest] {
        assert!(open(&config, network).is_err(), "{network:?}");
        let roots_alone = EgressConfig { simulated_server: None, ..config.clone() };
        assert!(open(&roots_alone, network).is_err(), "{network:?}");
        assert!(open(&EgressConfig::default(), network).is_ok());
    }
}

#[test]
fn only_json_is_json() {
    for json in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
        assert!(is_json(json.as_bytes()), "{json}");
    }
    for other in ["", "text/html", "text/plain", "text/json", "application/jsonp", "application/x", "a+json"]
    {
        assert!(!is_json(other.as_bytes()), "{other}");
    }
}

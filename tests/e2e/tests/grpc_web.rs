//! grpc-web by plain HTTP/1.1: framing, trailers in the body, CORS, and a page for a person.

use base64::Engine as _;
use poa_e2e::{Deployment, request};
use poa_proto::auth::v1::{GetServerInfoRequest, GetServerInfoResponse, LoginRequest};
use prost::Message;

const INFO: &str = "/poa.auth.v1.AuthService/GetServerInfo";
const LOGIN: &str = "/poa.auth.v1.AuthService/Login";
/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

fn framed(message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).expect("a short message").to_be_bytes();
    [&[0], length.as_slice(), &body].concat()
}

/// The frames of a body: flag and content.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).expect("a length");
        found.push((*flag, rest[..length].to_vec()));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "bytes after the last frame");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_calls_by_plain_http() {
    let mesh = Deployment::single().await;
    let port = mesh.port();
    unary_call_has_one_message_and_trailers(port).await;
    text_encoding_is_answered_in_kind(port).await;
    an_error_carries_its_details(port).await;
    preflight_is_answered_for_listed_origins_alone(port).await;
    only_what_is_public_can_be_reached(port).await;
    a_person_sees_a_page(port).await;
}

async fn unary_call_has_one_message_and_trailers(port: u16) {
    let headers = [
        ("content-type", "application/grpc-web+proto"),
        ("x-grpc-web", "1"),
        ("origin", "http://localhost:3000"),
    ];
    let answer = request(port, "POST", INFO, &headers, &framed(&GetServerInfoRequest {})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
    assert!(exposed.contains("grpc-status"), "{exposed}");
    let frames = frames(&answer.body);
    assert_eq!(frames.iter().map(|(flag, _)| *flag).collect::<Vec<_>>(), [0, TRAILERS]);
    let info = GetServerInfoResponse::decode(frames[0].1.as_slice()).expect("a message");
    assert_eq!(info.network, "simulated");
    let trailers = String::from_utf8_lossy(&frames[1].1).into_owned();
    assert!(trailers.contains("grpc-status:0") || trailers.contains("grpc-status: 0"), "{trailers}");
}

async fn text_encoding_is_answered_in_kind(port: u16) {
    let base64 = &base64::engine::general_purpose::STANDARD;
    let body = base64.encode(framed(&GetServerInfoRequest {}));
    let headers = [("content-type", "application/grpc-web-text"), ("accept", "application/grpc-web-text")];
    let answer = request(port, "POST", INFO, &headers, body.as_bytes()).await;
    assert!(answer.header("content-type").unwrap_or_default().starts_with("application/grpc-web-text"));
    assert!(answer.body.iter().all(|byte| byte.is_ascii()), "base64 is text");
}

async fn an_error_carries_its_details(port: u16) {
    let headers = [("content-type", "application/grpc-web+proto")];
    let answer = request(port, "POST", LOGIN, &headers, &framed(&LoginRequest::default())).await;
    assert_eq!(answer.status, 200);
    let trailers = frames(&answer.body).into_iter().find(|(flag, _)| *flag == TRAILERS);
    let text = trailers.map(|(_, text)| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    let status = answer.header("grpc-status").map(str::to_owned).unwrap_or(text.clone());
    assert!(status.contains('3'), "INVALID_ARGUMENT: {status} {text}");
    let details = answer.header("grpc-status-details-bin").map(str::to_owned).unwrap_or(text);
    assert!(!details.is_empty());
}

async fn preflight_is_answered_for_listed_origins_alone(port: u16) {
    let ask = |origin: &'static str| async move {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type,x-grpc-web"),
        ];
        request(port, "OPTIONS", INFO, &headers, b"").await
    };
    let listed = ask("http://localhost:3000").await;
    assert!(listed.status == 200 || listed.status == 204, "{}", listed.status);
    assert_eq!(listed.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let allowed = listed.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    assert!(allowed.contains("authorization") && allowed.contains("x-grpc-web"), "{allowed}");
    assert_eq!(ask("https://elsewhere.example").await.header("access-control-allow-origin"), None);
}

async fn only_what_is_public_can_be_reached(port: u16) {
    let headers = [("content-type", "application/grpc-web+proto")];
    for path in [
        "/poa.escrow.v1.EscrowInternalService/CaptureEscrow",
        "/poa.escrow.v1.EscrowAdminService/AuditLedger",
        "/poa.auth.v1.AuthInternalService/ExchangeApiKey",
        "//poa.auth.v1.AuthService/GetServerInfo",
        "/poa.auth.v1.authservice/GetServerInfo",
        "/poa.auth.v1.AuthService/GetServerInfo/",
        "/poa.auth.v1.AuthService%2fGetServerInfo",
    ] {
        let answer = request(port, "POST", path, &headers, &framed(&GetServerInfoRequest {})).await;
        assert_eq!(answer.header("grpc-status"), Some("12"), "{path}");
    }
}

async fn a_person_sees_a_page(port: u16) {
    let page = request(port, "GET", "/", &[], b"").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap_or_default().starts_with("text/html"));
    assert!(String::from_utf8_lossy(&page.body).contains("Proof of Agent"));
    assert_eq!(request(port, "GET", "/nothing", &[], b"").await.status, 404);
}

//! Frames and messages that no client library would send: each is refused as the caller's mistake, by every server.

use std::net::SocketAddr;

use http::HeaderName;
use poa_e2e::request;
use tonic::Code;

use crate::support::call::{Answer, Call, Wire, bearer, framed, header};
use crate::support::mesh::{Mesh, SERVERS};

/// A server, and a method of it that takes an id as its first field.
const READS: [(&str, &str); 4] = [
    ("auth", "/poa.auth.v1.AgentService/GetAgent"),
    ("task", "/poa.task.v1.TaskService/GetTask"),
    ("escrow", "/poa.escrow.v1.EscrowService/GetEscrow"),
    ("attestation", "/poa.attestation.v1.AttestationService/GetReceiptBundle"),
];
/// A list, with a repeated enum as a field.
const LIST: &str = "/poa.task.v1.TaskService/ListTasks";
/// Larger than any message may be.
const TOO_LARGE: usize = 300 * 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_the_callers_mistake_at_every_server() {
    let mesh = Mesh::start().await;
    let token = Mesh::token(&mesh.alice).await;
    for (service, method) in READS {
        for server in [service, "gateway"] {
            let mut wire = Wire::to(mesh.address(server));
            let call = Call::to(method).with(bearer(&token));
            refuses_frames(&mut wire, &call, server).await;
            refuses_messages(&mut wire, &call, server).await;
            survives_oddities(&mut wire, &call, server).await;
        }
    }
    grpc_web_is_refused_in_kind(&mesh).await;
    only_grpc_is_served(&mesh).await;
    half_a_frame_ends_at_the_callers_deadline(&mesh, &token).await;
    mesh.expect_unharmed().await;
}

/// The head of a frame, with anything behind it.
fn frame(flag: u8, length: u32, rest: &[u8]) -> Vec<u8> {
    [&[flag], length.to_be_bytes().as_slice(), rest].concat()
}

async fn refuses_frames(wire: &mut Wire, call: &Call, server: &str) {
    for (what, body) in [
        ("a length above the body's", frame(0, 200, &[0; 10])),
        ("a length of 4 GiB", frame(0, u32::MAX, &[0; 10])),
        ("compressed without an encoding", frame(1, 2, &[0x0a, 0])),
        ("an unknown flag", frame(7, 2, &[0x0a, 0])),
        ("a trailers frame of grpc-web", frame(0x80, 2, b"a:")),
        ("half a head", vec![0, 0, 0]),
        ("nothing at all", Vec::new()),
        ("a frame and garbage", [framed(&[0x0a, 0]), vec![9; 9]].concat()),
        ("an oversized message", framed(&[0; TOO_LARGE])),
    ] {
        let answer = wire.call(&call.clone().body(body)).await;
        answer.expect_refused(&[Code::InvalidArgument], &format!("{what} at {server} {}", call.path));
    }
    let unknown = call.clone().with(header("grpc-encoding", "zstd9"));
    let answer = wire.call(&unknown).await;
    assert_eq!(answer.code, Some(Code::Unimplemented), "an unknown encoding at {server}: {answer:?}");
}

async fn refuses_messages(wire: &mut Wire, call: &Call, server: &str) {
    for (what, message) in [
        ("a truncated varint", vec![0x0a, 0xff]),
        ("a varint of eleven bytes", [vec![0x18], vec![0xff; 11]].concat()),
        ("a length beyond the message", vec![0x0a, 0x7f, b'x']),
        ("a length of 2^63", [vec![0x0a], vec![0xff; 9], vec![0x01]].concat()),
        ("the wrong wire type", vec![0x08, 0x01]),
        ("field number 0", vec![0x02, 0x00]),
        ("an end of no group", vec![0x0c]),
        ("groups without an end", [0xa3, 0x06].repeat(10_000)),
        ("wire type 7", vec![0x0f]),
        ("bytes that are no UTF-8", vec![0x0a, 0x02, 0xff, 0xfe]),
        ("an overlong NUL", vec![0x0a, 0x02, 0xc0, 0x80]),
        ("a lone surrogate", vec![0x0a, 0x03, 0xed, 0xa0, 0x80]),
    ] {
        let answer = wire.call(&call.clone().body(framed(&message))).await;
        answer.expect_refused(&[Code::InvalidArgument], &format!("{what} at {server} {}", call.path));
    }
}

/// What may be an error or not, as long as it is none of ours.
async fn survives_oddities(wire: &mut Wire, call: &Call, server: &str) {
    let states = [vec![0x1a, 0xa0, 0x8d, 0x06], vec![1; 100_000]].concat();
    let cases = [
        ("many frames", call.clone().body(framed(b"").repeat(1_000))),
        ("an unknown field", call.clone().body(framed(&[0xa2, 0x06, 0x01, 0x00]))),
        ("a field given often", call.clone().body(framed(&[0x0a, 0x01, b'x'].repeat(10_000)))),
        ("a packed field of 100,000", Call { path: LIST.to_owned(), ..call.clone() }.body(framed(&states))),
        ("NUL and control characters", call.clone().body(framed(b"\x0a\x06\0\r\n\x1b[m"))),
    ];
    for (what, call) in cases {
        let answer = wire.call(&call).await;
        assert!(!answer.is_a_bug() && answer.code.is_some(), "{what} at {server}: {answer:?}");
    }
}

async fn grpc_web_is_refused_in_kind(mesh: &Mesh) {
    let port = mesh.deployment.port();
    let login = "/poa.auth.v1.AuthService/Login";
    let refused = async |kind: &str, body: &[u8]| {
        let answer = request(port, "POST", login, &[("content-type", kind)], body).await;
        let trailers = String::from_utf8_lossy(&answer.body).into_owned();
        (answer.status, answer.header("grpc-status").map(str::to_owned), trailers)
    };
    for (what, kind, body) in [
        ("bad base64", "application/grpc-web-text", b"!!!! no base64 !!!!".as_slice()),
        ("base64 cut off", "application/grpc-web-text", b"AAAAA"),
        ("garbage", "application/grpc-web+proto", b"garbage that is no frame"),
        ("a trailers frame", "application/grpc-web+proto", b"\x80\0\0\0\x0fgrpc-status:0\r\n"),
        ("nothing", "application/grpc-web+proto", b""),
    ] {
        let (status, code, trailers) = refused(kind, body).await;
        let named = code.as_deref() == Some("3") || trailers.contains("grpc-status:3");
        assert!(status == 200 && named, "{what}: {status} {code:?} {trailers}");
    }
    for kind in ["application/json", "text/plain", "", "application/grpcx", "multipart/form-data; boundary=x"]
    {
        assert_eq!(refused(kind, b"{}").await.0, 415, "{kind}");
    }
    // gRPC needs trailers, which this client does not speak.
    assert_eq!(refused("application/grpc", b"").await.0, 400);
    let get = request(port, "GET", login, &[("content-type", "application/grpc-web")], b"").await;
    assert_eq!(get.status, 405);
}

/// Another method, another kind of content: HTTP's own answers.
async fn only_grpc_is_served(mesh: &Mesh) {
    for (service, method) in READS {
        for server in [service, "gateway"] {
            let mut wire = Wire::to(mesh.address(server));
            let get = Call { method: http::Method::GET, ..Call::to(method) };
            assert_eq!(wire.call(&get).await.http, 405, "GET at {server}");
            let json = Call::to(method).but(header("content-type", "application/json")).body(b"{}".to_vec());
            assert_eq!(wire.call(&json).await.http, 415, "JSON at {server}");
            let mut bare = Call::to(method);
            bare.headers.retain(|(name, _)| *name != HeaderName::from_static("content-type"));
            assert_eq!(wire.call(&bare).await.http, 415, "no content type at {server}");
        }
    }
    for server in SERVERS {
        let admin: SocketAddr = mesh.deployment.addresses(server).1;
        let answer = request(admin.port(), "DELETE", "/readyz", &[], b"").await;
        assert_eq!(answer.status, 405, "{server}");
    }
}

async fn half_a_frame_ends_at_the_callers_deadline(mesh: &Mesh, token: &str) {
    for (server, method) in READS {
        let call = Call::to(method).with(bearer(token)).with(header("grpc-timeout", "300m"));
        let half = Call { ends: false, ..call.body(vec![0, 0, 0]) };
        let answer: Answer = Wire::to(mesh.address(server)).call(&half).await;
        answer.expect_refused(&[Code::DeadlineExceeded], &format!("half a frame at {server}"));
    }
    let call = Call::to(READS[1].1).with(bearer(token)).body(vec![0, 0, 0]);
    let answer = Wire::to(mesh.address("gateway")).call(&Call { ends: false, ..call }).await;
    answer.expect_refused(&[Code::DeadlineExceeded], "half a frame at the gateway");
}

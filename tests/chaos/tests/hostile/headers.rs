//! Headers: deadlines that are none, identities that are forged, and text that wants to be a log line.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tonic::Code;

use crate::support::call::{Call, Wire, bearer, header};
use crate::support::frames::{END_HEADERS, END_STREAM, HEADERS, Heard, Raw, call_block, frame};
use crate::support::mesh::{Mesh, SERVERS};
use crate::support::tokens::{forged, service_token};

/// A method of each service that needs an account, and nothing in its message.
const METHODS: [(&str, &str); 5] = [
    ("auth", "/poa.auth.v1.AuthService/GetAccount"),
    ("task", "/poa.task.v1.TaskService/ListTasks"),
    ("escrow", "/poa.escrow.v1.EscrowService/GetBalance"),
    ("attestation", "/poa.attestation.v1.AttestationService/ListAttestations"),
    ("search", "/poa.search.v1.SearchService/SearchTasks"),
];
/// What an attacker would like to read in a log.
const CANARY: &str = "canary-7f3a";

#[tokio::test(flavor = "multi_thread")]
async fn headers_decide_nothing_that_a_caller_may_not_decide() {
    for server in SERVERS.into_iter().filter(|server| *server != "gateway") {
        assert!(METHODS.iter().any(|(service, _)| *service == server), "no method of {server} is tried");
    }
    let mesh = Mesh::start().await;
    let token = Mesh::token(&mesh.alice).await;
    for (service, method) in METHODS {
        for server in [service, "gateway"] {
            let mut wire = Wire::to(mesh.address(server));
            let call = Call::to(method);
            no_deadline_harms(&mut wire, &call.clone().with(bearer(&token)), server).await;
            sizes_are_bounded(&mut wire, &call.clone().with(bearer(&token)), server).await;
            forged_identities_are_nobody(&mut wire, &call, server).await;
            bad_credentials_are_refused(&mesh, &mut wire, &call, server).await;
            request_ids_stay_on_their_line(&mut wire, &call.with(bearer(&token)), server).await;
        }
    }
    tokens_of_services_open_their_own_doors_alone(&mesh, &token).await;
    line_ends_in_a_header_reset_the_stream(&mesh).await;
    for server in SERVERS {
        assert!(!mesh.deployment.log(server).contains(CANARY), "{server} logged what a stranger said");
    }
    mesh.expect_unharmed().await;
}

async fn no_deadline_harms(wire: &mut Wire, call: &Call, server: &str) {
    let absurd: [&[u8]; 16] = [
        b"",
        b"S",
        b"-1S",
        b"1",
        b"999999999S",
        b"99999999H",
        b"0n",
        b"0S",
        b"1.5S",
        b"1 S",
        b"1x",
        b"1SS",
        b"0x10S",
        b"\xff\xfe",
        b"18446744073709551616S",
        b"\t1S",
    ];
    for value in absurd {
        let answer = wire.call(&call.clone().with(header("grpc-timeout", value))).await;
        let fine = matches!(answer.code, Some(Code::Ok | Code::DeadlineExceeded | Code::InvalidArgument));
        assert!(fine, "grpc-timeout {value:?} at {server}: {answer:?}");
    }
    let twice = call.clone().with(header("grpc-timeout", "10S")).with(header("grpc-timeout", "0n"));
    assert!(!wire.call(&twice).await.is_a_bug(), "two deadlines at {server}");
}

async fn sizes_are_bounded(wire: &mut Wire, call: &Call, server: &str) {
    let giant = call.clone().with(header("x-giant", vec![b'a'; 64 * 1_024]));
    let many = (0..1_000).fold(call.clone(), |call, number| {
        let name = HeaderName::from_bytes(format!("x-many-{number}").as_bytes()).expect("a name");
        call.with((name, HeaderValue::from_static("1")))
    });
    let repeated = (0..1_000).fold(call.clone(), |call, _| call.with(header("x-again", "1")));
    for (what, call) in [("a giant header", giant), ("many headers", many), ("one header, often", repeated)] {
        let answer = wire.call(&call).await;
        assert!(answer.http == 431 || !answer.reset.is_empty(), "{what} at {server}: {answer:?}");
    }
}

/// Whatever says who calls, beside a token: nobody.
async fn forged_identities_are_nobody(wire: &mut Wire, call: &Call, server: &str) {
    let names = [
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "x-poa-account",
        "x-poa-principal",
        "x-account-id",
        "x-user",
        "x-service",
        "x-spiffe-id",
        "x-ssl-client-cert",
        "x-forwarded-client-cert",
        "cookie",
        "proxy-authorization",
        "x-authorization",
        "grpc-internal-encoding-request",
        "poa-caller",
    ];
    let forged = names.into_iter().fold(call.clone(), |call, name| call.with(header(name, "acct_admin")));
    wire.call(&forged).await.expect_refused(&[Code::Unauthenticated], &format!("forged headers at {server}"));
}

async fn bad_credentials_are_refused(mesh: &Mesh, wire: &mut Wire, call: &Call, server: &str) {
    let good = Mesh::token(&mesh.alice).await;
    let odd: [&[u8]; 12] = [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer junk",
        b"Bearer a.b.c",
        b"Bearer ..",
        b"Basic YWxpY2U6eA==",
        b"Bearer poak_",
        b"Bearer poak_0123456789",
        b"Bearer \xff\xfe",
        b"bearer\tx",
        b"Bearer Bearer x",
    ];
    for value in odd {
        let answer = wire.call(&call.clone().with(header("authorization", value))).await;
        answer.expect_refused(&[Code::Unauthenticated], &format!("{value:?} at {server}"));
    }
    let giant = format!("Bearer {}", "a.".repeat(2_000));
    let answer = wire.call(&call.clone().with(header("authorization", giant))).await;
    answer.expect_refused(&[Code::Unauthenticated], &format!("a giant token at {server}"));
    for (what, token) in forged(&mesh.deployment.keys_folder(), &mesh.bob.account_id) {
        let answer = wire.call(&call.clone().with(bearer(&token))).await;
        answer.expect_refused(&[Code::Unauthenticated], &format!("{what} at {server}"));
    }
    // Every server reads the first one: what one checked is what the next one believes.
    let junk_first = call.clone().with(bearer("junk")).with(bearer(&good));
    wire.call(&junk_first).await.expect_refused(&[Code::Unauthenticated], &format!("two tokens at {server}"));
    let service = service_token(&mesh.deployment.keys_folder(), "task", "escrow");
    let answer = wire.call(&call.clone().with(bearer(&service))).await;
    answer.expect_refused(&[Code::Unauthenticated], &format!("a service's token at {server}"));
}

async fn request_ids_stay_on_their_line(wire: &mut Wire, call: &Call, server: &str) {
    let long = "a".repeat(4_000);
    let hostile = [
        format!("\"}} {{\"level\":\"ERROR\",\"message\":\"{CANARY}\"}}"),
        format!("\u{2028}{CANARY}"),
        format!("\t{CANARY}\t"),
        format!("{CANARY} {long}"),
        format!("{CANARY}\u{7f}").replace('\u{7f}', "\u{80}"),
        format!("../../{CANARY}"),
    ];
    for value in hostile {
        let answer = wire.call(&call.clone().with(header("x-request-id", &value))).await;
        let echoed = answer.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        assert!(
            !echoed.contains(CANARY) && !echoed.is_empty(),
            "{value:?} came back from {server}: {answer:?}"
        );
        assert!(!answer.message.contains(CANARY) && !answer.is_a_bug(), "{server}: {answer:?}");
    }
    let kept = wire.call(&call.clone().with(header("x-request-id", "an-honest.id_1"))).await;
    assert_eq!(
        kept.headers.get("x-request-id").map(HeaderValue::as_bytes),
        Some(b"an-honest.id_1".as_slice())
    );
}

async fn tokens_of_services_open_their_own_doors_alone(mesh: &Mesh, account: &str) {
    let keys = mesh.deployment.keys_folder();
    let hold = Call::to("/poa.escrow.v1.EscrowInternalService/HoldFunds");
    let append = Call::to("/poa.attestation.v1.AttestationInternalService/AppendStatement");
    let audit = Call::to("/poa.escrow.v1.EscrowAdminService/AuditLedger");
    let admin = std::fs::read_to_string(mesh.deployment.admin_token_file()).expect("a token");
    let denied = [Code::Unauthenticated, Code::PermissionDenied];
    for (server, call, what, token) in [
        ("escrow", &hold, "attestation's token", service_token(&keys, "attestation", "escrow")),
        ("escrow", &hold, "a token for another callee", service_token(&keys, "task", "attestation")),
        ("escrow", &hold, "the gateway's token", service_token(&keys, "gateway", "escrow")),
        ("escrow", &hold, "an account's token", account.to_owned()),
        ("escrow", &hold, "the operator's token", admin.trim().to_owned()),
        ("escrow", &audit, "the operator's token at the service port", admin.trim().to_owned()),
        ("attestation", &append, "auth's token", service_token(&keys, "auth", "attestation")),
        ("attestation", &append, "an account's token", account.to_owned()),
    ] {
        let answer = Wire::to(mesh.address(server)).call(&call.clone().with(bearer(&token))).await;
        answer.expect_refused(&denied, what);
    }
    for (what, token) in [("an account's token", account), ("junk", "junk"), ("the beginning", &admin[..20])]
    {
        let address = mesh.deployment.addresses("escrow").1;
        let answer = Wire::to(address).call(&audit.clone().with(bearer(token))).await;
        answer.expect_refused(&denied, &format!("{what} at the admin port"));
    }
}

/// No client library sends these. They end the stream or the connection, and come back nowhere.
async fn line_ends_in_a_header_reset_the_stream(mesh: &Mesh) {
    let spoilt = format!("a\r\nx-injected: {CANARY}");
    for server in SERVERS {
        for (name, value) in [
            ("x-request-id", spoilt.as_bytes()),
            ("authorization", spoilt.as_bytes()),
            ("x-null", b"a\0b".as_slice()),
            ("X-Upper", b"a"),
            ("x space", b"a"),
            ("", b"a"),
            ("connection", b"close"),
            ("transfer-encoding", b"chunked"),
            (":late", b"a"),
        ] {
            let mut raw = Raw::open(mesh.address(server), &[]).await;
            let block = call_block(METHODS[0].1, &[(name, value)]);
            raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
            let heard = raw.hear(Duration::from_secs(5), Heard::is_refusal).await;
            assert!(!String::from_utf8_lossy(&heard.bytes).contains(CANARY), "{server} echoes {name:?}");
            let ordinary = name == "authorization" && heard.kinds().contains(&HEADERS);
            assert!(heard.is_refusal() && !ordinary, "{name:?} at {server}: {:?}", heard.kinds());
        }
    }
}

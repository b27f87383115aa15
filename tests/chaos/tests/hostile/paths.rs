//! Paths: a method is reached by its one spelling, and from outside no internal or admin method at all.

use poa_proto::{Audience, METHODS};
use tonic::Code;

use crate::support::call::{Answer, Call, Wire, bearer, framed};
use crate::support::mesh::{Mesh, SERVERS};
use crate::support::tokens::service_token;

const PATH: &str = "/poa.auth.v1.AuthService/GetServerInfo";

#[tokio::test(flavor = "multi_thread")]
async fn a_method_has_one_path_and_what_is_internal_has_none_from_outside() {
    let mesh = Mesh::start().await;
    for server in SERVERS {
        let mut wire = Wire::to(mesh.address(server));
        variants_reach_nothing(&mut wire, server).await;
    }
    let mut gateway = Wire::to(mesh.address("gateway"));
    assert_eq!(gateway.call(&Call::to(PATH)).await.code, Some(Code::Ok), "the path itself");
    an_authority_is_only_a_name(&mut gateway).await;
    a_query_changes_no_rule(&mesh, &mut gateway).await;
    inner_methods_have_no_route(&mesh, &mut gateway).await;
    reflection_lists_what_is_public(&mut gateway).await;
    mesh.expect_unharmed().await;
}

async fn variants_reach_nothing(wire: &mut Wire, server: &str) {
    for path in [
        "/",
        "//",
        "/*",
        "/poa.auth.v1.AuthService",
        "/poa.auth.v1.AuthService/",
        "//poa.auth.v1.AuthService/GetServerInfo",
        "/./poa.auth.v1.AuthService/GetServerInfo",
        "/poa.auth.v1.AuthService//GetServerInfo",
        "/poa.auth.v1.AuthService/./GetServerInfo",
        "/x/../poa.auth.v1.AuthService/GetServerInfo",
        "/poa.auth.v1.AuthService/GetServerInfo/",
        "/poa.auth.v1.AuthService/GetServerInfo//",
        "/poa.auth.v1.AuthService/getserverinfo",
        "/POA.AUTH.V1.AUTHSERVICE/GETSERVERINFO",
        "/poa.auth.v1.AuthService%2fGetServerInfo",
        "/poa%2eauth.v1.AuthService/GetServerInfo",
        "/poa.auth.v1.AuthService/GetServerInfo%00",
        "/poa.auth.v1.AuthService/GetServerInfo%0d%0a",
        "/%2e%2e/poa.auth.v1.AuthService/GetServerInfo",
        "/poa.auth.v1.AuthService/GetServerInfo;a=b",
        "/poa.auth.v2.AuthService/GetServerInfo",
        "/grpc.health.v1.Health/../../poa.auth.v1.AuthService/GetServerInfo",
    ] {
        let answer = wire.call(&Call::to(path)).await;
        // At the gateway there is a page for people under `/`.
        let page = path == "/" && answer.http == 405;
        let nothing = answer.http == 404 || answer.code == Some(Code::Unimplemented) || page;
        assert!(nothing, "{path} at {server}: {answer:?}");
    }
}

async fn an_authority_is_only_a_name(wire: &mut Wire) {
    for authority in ["elsewhere.example", "127.0.0.1:1", "auth", "[::1]:50051"] {
        let answer = wire.call(&Call { authority: authority.to_owned(), ..Call::to(PATH) }).await;
        assert_eq!(answer.code, Some(Code::Ok), "{authority}: {answer:?}");
        assert!(!format!("{:?}", answer.headers).contains(authority), "{authority} comes back");
    }
}

/// A query is no part of a method's name: the same rules hold with one.
async fn a_query_changes_no_rule(mesh: &Mesh, gateway: &mut Wire) {
    let path = "/poa.escrow.v1.EscrowService/GetBalance?anonymous=true&account=x";
    for wire in [gateway, &mut Wire::to(mesh.address("escrow"))] {
        let answer = wire.call(&Call::to(path)).await;
        answer.expect_refused(&[Code::Unauthenticated, Code::Unimplemented], path);
    }
}

async fn inner_methods_have_no_route(mesh: &Mesh, gateway: &mut Wire) {
    let keys = mesh.deployment.keys_folder();
    let admin = std::fs::read_to_string(mesh.deployment.admin_token_file()).expect("a token");
    let account = Mesh::token(&mesh.alice).await;
    let inner = METHODS.iter().filter(|method| method.audience != Audience::Public);
    for method in inner {
        let service = service_token(&keys, "task", "escrow");
        for token in [service.as_str(), admin.trim(), &account] {
            let answer = gateway.call(&Call::to(method.path).with(bearer(token))).await;
            assert_eq!(answer.code, Some(Code::Unimplemented), "{}: {answer:?}", method.path);
        }
    }
}

async fn reflection_lists_what_is_public(wire: &mut Wire) {
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        // list_services = 7
        let listed: Answer = wire.call(&Call::to(path).body(framed(&[0x3a, 0x01, b'*']))).await;
        let names = String::from_utf8_lossy(&listed.body).into_owned();
        assert!(names.contains("poa.auth.v1.AuthService"), "{path}: {listed:?}");
        assert!(!names.contains("Internal") && !names.contains("Admin"), "{path} lists {names}");
        // file_containing_symbol = 4, of a service that does not exist, and a message that is none.
        let unknown = [&[0x22, 13], b"no.such.Thing".as_slice()].concat();
        for body in [framed(&unknown), framed(&[0x22, 0x7f]), framed(&[0x3a, 0x02, 0xff, 0xfe])] {
            let answer = wire.call(&Call::to(path).body(body)).await;
            assert!(answer.http == 200 && !answer.is_a_bug(), "{path}: {answer:?}");
        }
    }
}

//! Who may call what.

use std::time::Duration;

use poa_proto::attestation::v1::AppendStatementRequest;
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::auth::v1::ExchangeApiKeyRequest;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::server::{PANIC, TestServer, pay, reason, with_token};

const SCOPE: &str = "money.deposit";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_public_method_wants_a_token_with_its_scope() {
    let server = TestServer::start(|_| {}).await;
    let mut faucet = server.faucet();

    let refused = faucet.pay_invoice(pay("x")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    for bad in ["", "x", "a.b.c", &"y".repeat(4_000)] {
        let refused = faucet.pay_invoice(with_token(pay("x"), bad)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{bad}");
    }
    let expired = server.token(SCOPE, Duration::ZERO);
    let refused = faucet.pay_invoice(with_token(pay("x"), &expired)).await.unwrap_err();
    assert!(refused.message().contains("expired"), "{refused}");
    let narrow = server.token("tasks.read money.depositor", MINUTE);
    let refused = faucet.pay_invoice(with_token(pay("x"), &narrow)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));

    let token = server.token(SCOPE, MINUTE);
    assert!(faucet.pay_invoice(with_token(pay("x"), &token)).await.is_ok());
}

#[tokio::test]
async fn malformed_fields_are_all_named_with_the_request_id() {
    let server = TestServer::start(|_| {}).await;
    let mut request = with_token(pay(&"x".repeat(5_000)), &server.token(SCOPE, MINUTE));
    request.metadata_mut().insert("x-request-id", "trace-me".parse().unwrap());
    let refused = server.faucet().pay_invoice(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let violations = &details.bad_request().expect("a BadRequest").field_violations;
    assert_eq!(violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), ["invoice"]);
    assert_eq!(details.request_info().expect("a RequestInfo").request_id, "trace-me");
}

#[tokio::test]
async fn an_internal_method_is_for_the_services_that_the_contract_names() {
    let server = TestServer::start(|_| {}).await;
    let append = AppendStatementRequest::default;
    let mut as_task = AttestationInternalServiceClient::new(server.as_service("task"));
    assert!(as_task.append_statement(append()).await.is_ok());

    let mut as_gateway = AttestationInternalServiceClient::new(server.as_service("gateway"));
    let refused = as_gateway.append_statement(append()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "AUDIENCE_MISMATCH"));

    let mut as_user = AttestationInternalServiceClient::new(server.channel());
    let refused = as_user.append_statement(append()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let user = server.token("tasks.write", MINUTE);
    let refused = as_user.append_statement(with_token(append(), &user)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "AUDIENCE_MISMATCH"));
    let malformed = with_token(append(), &user[1..]);
    assert_eq!(as_user.append_statement(malformed).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_service_token_opens_no_public_method() {
    let server = TestServer::start(|_| {}).await;
    let mut faucet =
        poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient::new(server.as_service("task"));
    assert_eq!(faucet.pay_invoice(pay("x")).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_handler_that_panics_answers_internal_and_the_next_call_works() {
    let server = TestServer::start(|_| {}).await;
    let token = server.token(SCOPE, MINUTE);
    let mut faucet = server.faucet();
    let refused = faucet.pay_invoice(with_token(pay(PANIC), &token)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Internal, "INTERNAL"));
    assert!(!refused.message().contains("a bug"), "the cause is for the log alone");
    assert!(faucet.pay_invoice(with_token(pay("x"), &token)).await.is_ok());
}

#[tokio::test]
async fn an_api_key_exchange_is_for_the_gateway_alone() {
    let server = TestServer::start(|_| {}).await;
    let mut as_gateway = AuthInternalServiceClient::new(server.as_service("gateway"));
    assert!(as_gateway.exchange_api_key(ExchangeApiKeyRequest::default()).await.is_ok());
    let mut as_task = AuthInternalServiceClient::new(server.as_service("task"));
    let refused = as_task.exchange_api_key(ExchangeApiKeyRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

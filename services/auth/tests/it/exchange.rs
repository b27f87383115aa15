//! ExchangeApiKey.

use std::time::Duration;

use poa_proto::auth::v1::{
    CreateApiKeyRequest, CreateApiKeyResponse, ExchangeApiKeyRequest, ExchangeApiKeyResponse,
    GetAccountRequest, ListApiKeysRequest, RetireAgentRequest, RevokeApiKeyRequest,
};
use tonic::{Code, Status};

use crate::support::{Server, User, refusal, server, with};

async fn create(
    server: &Server,
    user: &User,
    change: impl FnOnce(&mut CreateApiKeyRequest),
) -> CreateApiKeyResponse {
    let mut request = CreateApiKeyRequest {
        request_id: server.request_id(),
        name: "ci".to_owned(),
        scopes: vec!["account.read".to_owned()],
        ..CreateApiKeyRequest::default()
    };
    change(&mut request);
    server.auth().create_api_key(with(&user.tokens.access_token, request)).await.unwrap().into_inner()
}

async fn exchange(server: &Server, secret: &str) -> Result<ExchangeApiKeyResponse, Status> {
    let request = ExchangeApiKeyRequest { secret: secret.to_owned() };
    server.internal("gateway").exchange_api_key(request).await.map(tonic::Response::into_inner)
}

/// Why the exchange refused a secret.
async fn problem(server: &Server, secret: &str) -> String {
    let status = exchange(server, secret).await.unwrap_err();
    let failure = poa_chassis::failure(&status);
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
    failure.metadata["problem"].clone()
}

#[tokio::test]
async fn a_key_buys_a_token_of_ten_minutes_with_its_scopes_alone() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let made = create(&server, &user, |_| {}).await;
    let bought = exchange(&server, &made.secret).await.unwrap();
    assert_eq!(bought.expire_time.unwrap().seconds, server.env.now().unix_timestamp() + 600);
    let read = server.auth().get_account(with(&bought.access_token, GetAccountRequest {})).await.unwrap();
    assert_eq!(read.into_inner().account.unwrap(), user.account);
    let request =
        RevokeApiKeyRequest { request_id: server.request_id(), api_key_id: made.api_key.unwrap().api_key_id };
    let refused = server.auth().revoke_api_key(with(&bought.access_token, request)).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    server.auth().list_api_keys(with(&bought.access_token, ListApiKeysRequest::default())).await.unwrap();
}

#[tokio::test]
async fn a_revoked_an_expired_and_an_unknown_key_buy_nothing() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let revoked = create(&server, &user, |_| {}).await;
    let request = RevokeApiKeyRequest {
        request_id: server.request_id(),
        api_key_id: revoked.api_key.unwrap().api_key_id,
    };
    server.auth().revoke_api_key(with(&user.tokens.access_token, request)).await.unwrap();
    assert_eq!(problem(&server, &revoked.secret).await, "revoked");

    let short = create(&server, &user, |request| {
        let end = server.env.now().unix_timestamp() + 300;
        request.expire_time = Some(prost_types::Timestamp { seconds: end, nanos: 0 });
    })
    .await;
    // The token does not outlive its key.
    let bought = exchange(&server, &short.secret).await.unwrap();
    assert_eq!(bought.expire_time.unwrap().seconds, server.env.now().unix_timestamp() + 300);
    server.clock.advance(Duration::from_secs(300));
    assert_eq!(problem(&server, &short.secret).await, "expired");
    let refused = server.auth().get_account(with(&bought.access_token, GetAccountRequest {})).await;
    assert_eq!(refusal(refused).1, "CREDENTIALS_INVALID");

    assert_eq!(problem(&server, &format!("poak_{}", "0".repeat(64))).await, "of an unknown key");
    for secret in ["poak_".to_owned(), short.secret.to_uppercase()] {
        assert_eq!(problem(&server, &secret).await, "malformed");
    }
    for secret in [String::new(), "x".repeat(10_000)] {
        assert_eq!(refusal(exchange(&server, &secret).await).1, "FIELDS_INVALID");
    }
}

#[tokio::test]
async fn a_key_of_one_agent_acts_as_that_agent_alone() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let register = async |name: &str| {
        let request = with(&user.tokens.access_token, server.agent_request(&user, name));
        server.agents().register_agent(request).await.unwrap().into_inner().agent.unwrap().agent_id
    };
    let (mine, other) = (register("one").await, register("two").await);
    let made = create(&server, &user, |request| {
        request.agent_id.clone_from(&mine);
        request.scopes = vec!["agents.write".to_owned()];
    })
    .await;
    let token = exchange(&server, &made.secret).await.unwrap().access_token;
    let retire = async |agent_id: &str| {
        let request = RetireAgentRequest { request_id: server.request_id(), agent_id: agent_id.to_owned() };
        server.agents().retire_agent(with(&token, request)).await
    };
    assert_eq!(refusal(retire(&other).await), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    retire(&mine).await.unwrap();
}

#[tokio::test]
async fn only_the_gateway_exchanges_keys() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let made = create(&server, &user, |_| {}).await;
    let request = || ExchangeApiKeyRequest { secret: made.secret.clone() };
    let refused = server.internal("attestation").exchange_api_key(request()).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    let refused = server.internal_bare().exchange_api_key(with(&user.tokens.access_token, request())).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    for refused in [
        server.internal_bare().exchange_api_key(request()).await,
        server.internal_bare().exchange_api_key(with(&made.secret, request())).await,
    ] {
        assert_eq!(refusal(refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
    }
}

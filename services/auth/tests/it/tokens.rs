//! Tokens from strangers: every method that asks for one refuses them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use poa_chassis::keyring::key_id;
use poa_proto::auth::v1::{GetAccountRequest, ListAgentsRequest};
use serde_json::json;
use tonic::Code;

use crate::support::{Server, User, refusal, server, with};

async fn refused(server: &Server, token: &str) -> (Code, String) {
    refusal(server.auth().get_account(with(token, GetAccountRequest {})).await)
}

fn unauthenticated() -> (Code, String) {
    (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned())
}

fn encode(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token's claims, as its honest maker would write them.
fn claims(server: &Server, user: &User) -> serde_json::Value {
    let now = server.env.now().unix_timestamp();
    json!({
        "iss": "auth", "aud": "proof-of-agent", "sub": user.account.account_id,
        "scope": "account.read", "iat": now, "exp": now + 600,
    })
}

#[tokio::test]
async fn tokens_that_our_key_did_not_sign_are_refused() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let kid = key_id(&server.jwt_key().verifying_key());
    let body = encode(&claims(&server, &user));
    let stranger = SigningKey::from_bytes(&[66; 32]);
    let signed = |header: serde_json::Value, key: &SigningKey| {
        let text = format!("{}.{body}", encode(&header));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes());
        format!("{text}.{signature}")
    };
    let good = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    assert!(
        server
            .auth()
            .get_account(with(&signed(good.clone(), &server.jwt_key()), GetAccountRequest {}))
            .await
            .is_ok()
    );

    let public = server.jwt_key().verifying_key();
    let text = format!("{}.{body}", encode(&json!({"alg": "HS256", "typ": "at+jwt", "kid": kid})));
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes());
    let confused = format!("{text}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&hmac, text.as_bytes())));
    let none = format!("{}.{body}.", encode(&json!({"alg": "none", "typ": "at+jwt", "kid": kid})));
    let x = URL_SAFE_NO_PAD.encode(stranger.verifying_key().as_bytes());
    let own = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    for token in [
        confused,
        none,
        signed(good, &stranger),
        signed(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": key_id(&stranger.verifying_key())}), &stranger),
        signed(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jwk": own}), &stranger),
        signed(
            json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jku": "https://evil.example/jwks"}),
            &stranger,
        ),
        signed(
            json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid, "x5u": "https://evil.example/x"}),
            &stranger,
        ),
        signed(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "../../jwt.key"}), &stranger),
        signed(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "../../dev/null"}), &server.jwt_key()),
        signed(json!({"alg": "EdDSA", "typ": "at+jwt"}), &server.jwt_key()),
        signed(json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}), &server.jwt_key()),
        signed(json!({"alg": "EdDSA", "typ": "svc+jwt", "kid": kid}), &server.jwt_key()),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        user.tokens.refresh_token.clone(),
        "x".repeat(4_000),
    ] {
        assert_eq!(refused(&server, &token).await, unauthenticated(), "{token}");
    }
}

#[tokio::test]
async fn tokens_of_another_time_or_place_are_refused() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let id = user.account.account_id.parse().unwrap();
    let now = server.env.now().unix_timestamp();
    for token in [
        server.token(|claims| (claims.sub, claims.exp) = (id, now)),
        server.token(|claims| (claims.sub, claims.iat) = (id, now + 60)),
        server.token(|claims| (claims.sub, claims.aud) = (id, "elsewhere".to_owned())),
    ] {
        assert_eq!(refused(&server, &token).await, unauthenticated());
    }
    // Good for ten minutes, and not a second longer.
    let token = &user.tokens.access_token;
    server.clock.advance(std::time::Duration::from_secs(599));
    server.auth().get_account(with(token, GetAccountRequest {})).await.unwrap();
    server.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(refused(&server, token).await, unauthenticated());
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_no_more() {
    let server = server().await;
    let user = server.sign_up("ada").await;
    let token = server.token_of(&user, "tasks.read account.readx");
    assert_eq!(refused(&server, &token).await, (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    let denied = server.agents().list_agents(with(&token, ListAgentsRequest::default())).await;
    assert_eq!(refusal(denied).1, "SCOPE_MISSING");
}

#[tokio::test]
async fn a_token_of_an_account_that_is_not_here_reads_nothing() {
    let server = server().await;
    let token = server.token(|_| {});
    assert_eq!(refused(&server, &token).await, unauthenticated());
}

#[tokio::test]
async fn without_a_token_nothing_but_the_open_methods_answers() {
    let server = server().await;
    assert_eq!(refusal(server.auth().get_account(GetAccountRequest {}).await), unauthenticated());
    let denied = server.agents().list_agents(ListAgentsRequest::default()).await;
    assert_eq!(refusal(denied), unauthenticated());
}

//! Tokens, good ones and forged ones, made with the keys of the deployment under test.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use poa_chassis::keyring::{key_id, signing_key};
use poa_chassis::system_env;
use poa_chassis::token::{AccessClaims, sign_access, sign_service};

/// Every scope of the contract that a caller of this test needs.
const SCOPES: &str = "tasks.read tasks.write money.read money.write agents.read agents.write account.read \
                      account.write keys.write money.withdraw";

/// The token of one service for another, as that service itself would make it.
pub(crate) fn service_token(keys: &Path, service: &str, callee: &str) -> String {
    let key = key_of(keys, &format!("service-{service}.key"));
    sign_service(&key, service, callee, system_env().now()).expect("a token")
}

/// Access tokens that no server may believe, each with what is wrong with it.
pub(crate) fn forged(keys: &Path, account_id: &str) -> Vec<(&'static str, String)> {
    let key = key_of(keys, "jwt.key");
    let kid = key_id(&key.verifying_key());
    let now = system_env().now().unix_timestamp();
    let claims = |aud: &str, iat: i64, exp: i64| AccessClaims {
        iss: "auth".to_owned(),
        aud: aud.to_owned(),
        sub: account_id.parse().expect("an account id"),
        scope: SCOPES.to_owned(),
        agent: None,
        sid: None,
        iat,
        exp,
    };
    let good = claims("proof-of-agent", now, now + 300);
    let signed =
        |kid: &str, key: &SigningKey, claims: &AccessClaims| sign_access(key, kid, claims).expect("a token");
    let body = URL_SAFE_NO_PAD.encode(serde_json::to_string(&good).expect("JSON"));
    let headed = |header: String, signature: &[u8]| {
        format!("{}.{body}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(signature))
    };
    let public = key.verifying_key().to_bytes();
    let symmetric = {
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#));
        let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public);
        let tag = ring::hmac::sign(&hmac, format!("{head}.{body}").as_bytes());
        format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let honest = signed(&kid, &key, &good);
    let (unsigned, _) = honest.rsplit_once('.').expect("three parts");
    vec![
        ("alg none", headed(format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#), b"")),
        ("HS256 with the public key", symmetric),
        ("another audience", signed(&kid, &key, &claims("elsewhere", now, now + 300))),
        ("expired", signed(&kid, &key, &claims("proof-of-agent", now - 700, now - 100))),
        ("from the future", signed(&kid, &key, &claims("proof-of-agent", now + 300, now + 600))),
        ("a stranger's key under our kid", signed(&kid, &stranger, &good)),
        ("a stranger's kid", signed("stranger", &stranger, &good)),
        ("a kid that is a path", signed("../../../../dev/null", &key, &good)),
        ("no signature", format!("{unsigned}.")),
        ("a signature of zeros", format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode([0; 64]))),
        ("a key by URL", {
            let header =
                format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}","jku":"http://127.0.0.1:9/"}}"#);
            headed(header, &[1; 64])
        }),
    ]
}

fn key_of(keys: &Path, file: &str) -> SigningKey {
    signing_key(&keys.join(file), &system_env()).expect("a key of the deployment")
}

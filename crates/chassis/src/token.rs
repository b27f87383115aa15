//! Tokens: access tokens of accounts and service tokens of the mesh. JWTs signed with EdDSA and nothing else.
//!
//! The cryptography behind `jsonwebtoken` is a provider of our own over ed25519-dalek: it knows one algorithm and
//! verifies strictly, so `none`, HS256 with a public key, and keys named by URL are refused by construction.

use std::sync::Once;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use poa_common::{AccountId, AgentId, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::principal::Principal;

/// The `typ` of an access token (RFC 9068).
const ACCESS: &str = "at+jwt";
/// The `typ` of a service token.
const SERVICE: &str = "svc+jwt";
/// The longest life of an access token.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(600);
/// The life of a service token.
pub const SERVICE_LIFETIME: Duration = Duration::from_secs(60);
/// How far two clocks of a deployment may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 5;

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who made it: `auth`.
    pub iss: String,
    /// For which deployment.
    pub aud: String,
    /// The account.
    pub sub: AccountId,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// The one agent that it may act as.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<AgentId>,
    /// The session that it belongs to, where it came from one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sid: Option<SessionId>,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ServiceClaims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
}

/// Signs an access token with a key known under `kid`.
pub fn sign_access(key: &SigningKey, kid: &str, claims: &AccessClaims) -> Result<String, Error> {
    sign(key, kid, ACCESS, claims)
}

/// Signs a service token for calls from `service` to `callee`.
pub fn sign_service(key: &SigningKey, service: &str, callee: &str, now: Timestamp) -> Result<String, Error> {
    let iat = now.unix_timestamp();
    let lifetime = i64::try_from(SERVICE_LIFETIME.as_secs()).unwrap_or(0);
    let claims = ServiceClaims { iss: service.to_owned(), aud: callee.to_owned(), iat, exp: iat + lifetime };
    sign(key, service, SERVICE, &claims)
}

/// The key id and kind that a token names, read before anything is verified.
pub(crate) fn peek(token: &str) -> Result<(String, Kind), Error> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| malformed())?;
    let kind = match header.typ.as_deref() {
        Some(ACCESS) => Kind::Access,
        Some(SERVICE) => Kind::Service,
        _ => return Err(malformed()),
    };
    Ok((header.kid.ok_or_else(malformed)?, kind))
}

/// The two kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Access,
    Service,
}

/// Checks an access token with the key that it names.
pub(crate) fn verify_access(
    token: &str,
    key: &VerifyingKey,
    audience: &str,
    now: Timestamp,
) -> Result<Principal, Error> {
    let claims: AccessClaims = decode(token, key, audience)?;
    alive(claims.iat, claims.exp, now)?;
    let expire_time = Timestamp::from_unix_timestamp(claims.exp).map_err(|_| malformed())?;
    Ok(Principal {
        account_id: claims.sub,
        scopes: claims.scope.split_ascii_whitespace().map(str::to_owned).collect(),
        agent_id: claims.agent,
        session_id: claims.sid,
        expire_time,
    })
}

/// Checks a service token with the key of the service that it names; answers with the service's name.
pub(crate) fn verify_service(
    token: &str,
    key: &VerifyingKey,
    kid: &str,
    callee: &str,
    now: Timestamp,
) -> Result<String, Error> {
    let claims: ServiceClaims = decode(token, key, callee)?;
    alive(claims.iat, claims.exp, now)?;
    if claims.iss == kid { Ok(claims.iss) } else { Err(malformed()) }
}

fn sign<T: Serialize>(key: &SigningKey, kid: &str, kind: &str, claims: &T) -> Result<String, Error> {
    install_provider();
    let header =
        Header { typ: Some(kind.to_owned()), kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&key.to_bytes()))
        .map_err(|error| Error::Internal(Box::new(error)))
}

fn decode<T: serde::de::DeserializeOwned>(
    token: &str,
    key: &VerifyingKey,
    audience: &str,
) -> Result<T, Error> {
    install_provider();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["aud", "exp", "iat"]);
    // The clock is a parameter here: `alive` checks the times.
    validation.validate_exp = false;
    let key = DecodingKey::from_ed_der(key.as_bytes());
    jsonwebtoken::decode(token, &key, &validation).map(|data| data.claims).map_err(|error| {
        match error.kind() {
            ErrorKind::InvalidAudience => {
                Error::CredentialsInvalid { problem: "meant for another deployment" }
            }
            ErrorKind::InvalidSignature => Error::CredentialsInvalid { problem: "not signed by us" },
            _ => malformed(),
        }
    })
}

fn alive(iat: i64, exp: i64, now: Timestamp) -> Result<(), Error> {
    let now = now.unix_timestamp();
    let leeway = i64::try_from(LEEWAY_SECONDS).unwrap_or(0);
    if exp <= now {
        return Err(Error::CredentialsInvalid { problem: "expired" });
    }
    if iat > now.saturating_add(leeway) {
        return Err(Error::CredentialsInvalid { problem: "from the future" });
    }
    Ok(())
}

fn malformed() -> Error {
    Error::CredentialsInvalid { problem: "malformed" }
}

// === impl CryptoProvider ===

struct Ed25519Signer(SigningKey);
struct Ed25519Verifier(VerifyingKey);

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        let bytes: [u8; 32] = key.as_bytes().try_into().map_err(|_| refused())?;
        eddsa_only(algorithm)?;
        Ok(Box::new(Ed25519Signer(SigningKey::from_bytes(&bytes))))
    },
    verifier_factory: |algorithm, key| {
        eddsa_only(algorithm)?;
        let bytes: [u8; 32] = key.try_get_as_bytes()?.try_into().map_err(|_| refused())?;
        Ok(Box::new(Ed25519Verifier(VerifyingKey::from_bytes(&bytes).map_err(|_| refused())?)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the provider, once a process.
fn install_provider() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        if PROVIDER.install_default().is_err() {
            tracing::error!("another JWT provider was installed first");
        }
    });
}

fn eddsa_only(algorithm: &Algorithm) -> Result<(), JwtError> {
    if *algorithm == Algorithm::EdDSA { Ok(()) } else { Err(refused()) }
}

fn refused() -> JwtError {
    ErrorKind::InvalidAlgorithm.into()
}

impl signature::Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl signature::Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| signature::Error::new())?;
        self.0.verify_strict(message, &signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::TypedId as _;

    fn claims(now: Timestamp) -> AccessClaims {
        AccessClaims {
            iss: "auth".to_owned(),
            aud: "here".to_owned(),
            sub: AccountId::from_uuid(uuid::Uuid::from_u128(7)),
            scope: "tasks.read tasks.write".to_owned(),
            agent: None,
            sid: None,
            iat: now.unix_timestamp(),
            exp: now.unix_timestamp() + 600,
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    #[test]
    fn a_token_gives_back_who_it_was_made_for() {
        let now = Timestamp::UNIX_EPOCH + time::Duration::days(20_000);
        let token = sign_access(&key(), "k1", &claims(now)).unwrap();
        assert_eq!(peek(&token).unwrap(), ("k1".to_owned(), Kind::Access));
        let principal = verify_access(&token, &key().verifying_key(), "here", now).unwrap();
        assert!(principal.may("tasks.write") && !principal.may("money.withdraw"));
    }

    #[test]
    fn a_token_of_a_session_names_it_and_one_of_an_api_key_names_none() {
        let now = Timestamp::UNIX_EPOCH + time::Duration::days(20_000);
        let session = SessionId::from_uuid(uuid::Uuid::from_u128(8));
        for sid in [Some(session), None] {
            let token = sign_access(&key(), "k1", &AccessClaims { sid, ..claims(now) }).unwrap();
            let principal = verify_access(&token, &key().verifying_key(), "here", now).unwrap();
            assert_eq!(principal.session_id, sid);
        }
    }

    #[test]
    fn expired_foreign_and_altered_tokens_are_refused() {
        let now = Timestamp::UNIX_EPOCH + time::Duration::days(20_000);
        let token = sign_access(&key(), "k1", &claims(now)).unwrap();
        let public = key().verifying_key();
        assert!(verify_access(&token, &public, "here", now + time::Duration::seconds(600)).is_err());
        assert!(verify_access(&token, &public, "elsewhere", now).is_err());
        let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(verify_access(&token, &stranger, "here", now).is_err());
        let mut altered = token.into_bytes();
        let place = altered.iter().position(|byte| *byte == b'.').unwrap() + 5;
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        assert!(verify_access(&String::from_utf8(altered).unwrap(), &public, "here", now).is_err());
    }

    #[test]
    fn a_token_of_another_algorithm_is_refused() {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let now = Timestamp::UNIX_EPOCH + time::Duration::days(20_000);
        let body = encode(&serde_json::to_string(&claims(now)).unwrap());
        for header in
            [r#"{"alg":"none","typ":"at+jwt","kid":"k"}"#, r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#]
        {
            let token = format!("{}.{body}.{}", encode(header), encode("signature"));
            assert!(verify_access(&token, &key().verifying_key(), "here", now).is_err(), "{header}");
        }
    }
}

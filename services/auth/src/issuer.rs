//! Makes access tokens.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use poa_chassis::token::{ACCESS_LIFETIME, AccessClaims, sign_access};
use poa_chassis::{BuildError, keyring};
use poa_common::{Env, Timestamp};

use crate::domain::{ApiKey, Session, scope};
use crate::error::{Error, internal};
use crate::metrics;

/// The `iss` of every access token.
const ISSUER: &str = "auth";

/// Signs access tokens with the deployment's key.
pub(crate) struct Issuer {
    key: SigningKey,
    kid: String,
    audience: String,
}

/// An access token and its end.
#[derive(Debug)]
pub(crate) struct AccessToken {
    pub(crate) text: String,
    pub(crate) expire_time: Timestamp,
}

// === impl Issuer ===

impl Issuer {
    /// Reads the deployment's token key. A missing one is not made here: nobody would know its public half.
    pub(crate) fn open(keyring: &keyring::Keyring, env: &Env) -> Result<Self, BuildError> {
        let path = keyring.dir().join("jwt.key");
        if !path.is_file() {
            return Err(format!(
                "{}: not found; run `poa-mesh init` to make a deployment's keys",
                path.display()
            )
            .into());
        }
        let key = keyring::signing_key(&path, env)?;
        let kid = keyring::key_id(&key.verifying_key());
        let published = std::fs::read_to_string(keyring.dir().join("jwks.json"))?;
        if !published.contains(&kid) {
            return Err(
                "jwks.json does not publish the key in jwt.key: no server would take its tokens".into()
            );
        }
        Ok(Self { key, kid, audience: keyring.audience().to_owned() })
    }

    /// A token of a session, all scopes, from `issue_time` on: the same arguments give the same token.
    pub(crate) fn for_session(&self, session: &Session, issue_time: Timestamp) -> Result<AccessToken, Error> {
        let end = end(issue_time, session.expire_time);
        metrics::token_made("session");
        self.sign(
            AccessClaims {
                iss: ISSUER.to_owned(),
                aud: self.audience.clone(),
                sub: session.account_id,
                scope: scope::ALL.join(" "),
                agent: None,
                sid: Some(session.id),
                iat: issue_time.unix_timestamp(),
                exp: end.unix_timestamp(),
            },
            end,
        )
    }

    /// A token of an API key, with its scopes and its agent.
    pub(crate) fn for_api_key(&self, key: &ApiKey, now: Timestamp) -> Result<AccessToken, Error> {
        let end = end(now, key.expire_time);
        metrics::token_made("api_key");
        self.sign(
            AccessClaims {
                iss: ISSUER.to_owned(),
                aud: self.audience.clone(),
                sub: key.account_id,
                scope: key.scopes.join(" "),
                agent: key.agent_id,
                sid: None,
                iat: now.unix_timestamp(),
                exp: end.unix_timestamp(),
            },
            end,
        )
    }

    fn sign(&self, claims: AccessClaims, expire_time: Timestamp) -> Result<AccessToken, Error> {
        let text = sign_access(&self.key, &self.kid, &claims).map_err(internal)?;
        Ok(AccessToken { text, expire_time })
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// When a token made at `issue_time` ends, in whole seconds as the token says it: never after what it stands for.
fn end(issue_time: Timestamp, bound: Timestamp) -> Timestamp {
    let lifetime: Duration = ACCESS_LIFETIME;
    let end = (issue_time + lifetime).min(bound);
    end.replace_nanosecond(0).unwrap_or(end)
}

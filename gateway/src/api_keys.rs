//! API keys: traded at auth for a token of at most ten minutes, which is kept for at most one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, header};
use poa_chassis::client::{PeerChannel, retry};
use poa_chassis::{Error, failure};
use poa_proto::auth::v1::ExchangeApiKeyRequest;
use poa_proto::auth::v1::auth_internal_service_client::AuthInternalServiceClient;
use sha2::{Digest as _, Sha256};

/// What every API key begins with.
const PREFIX: &str = "poak_";
/// The longest API key: what is longer is refused before it costs anything.
const MAX_LENGTH: usize = 128;
/// How long an exchanged token is used: a revoked key works no longer than this, and its token's own life.
const KEEP: Duration = Duration::from_secs(60);
/// How many tokens are kept.
const MAX_KEPT: usize = 10_000;

/// The exchange and its cache, by the key's digest: a memory dump shows no key.
pub(crate) struct ApiKeys {
    auth: PeerChannel,
    kept: Mutex<HashMap<[u8; 32], (HeaderValue, Instant)>>,
}

// === impl ApiKeys ===

impl ApiKeys {
    pub(crate) fn new(auth: PeerChannel) -> Self {
        Self { auth, kept: Mutex::new(HashMap::new()) }
    }

    /// The API key in the `authorization` header, where there is one.
    pub(crate) fn secret_of(&self, headers: &HeaderMap) -> Option<String> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (_scheme, secret) = value.split_once(' ')?;
        secret.trim().starts_with(PREFIX).then(|| secret.trim().to_owned())
    }

    /// The `authorization` header that an API key stands for.
    pub(crate) async fn exchange(&self, secret: String) -> Result<HeaderValue, Error> {
        if secret.len() > MAX_LENGTH {
            return Err(Error::CredentialsInvalid { problem: "malformed" });
        }
        let digest: [u8; 32] = Sha256::digest(&secret).into();
        if let Some(token) = self.cached(&digest) {
            return Ok(token);
        }
        let answer = retry(|| async {
            let mut client = AuthInternalServiceClient::new(self.auth.clone());
            client.exchange_api_key(ExchangeApiKeyRequest { secret: secret.clone() }).await
        })
        .await;
        let token = match answer {
            Ok(response) => response.into_inner().access_token,
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                return Err(Error::CredentialsInvalid { problem: "no API key of ours, or revoked" });
            }
            Err(status) => {
                tracing::warn!(message = failure(&status).message, "cannot exchange an API key");
                return Err(Error::DependencyUnavailable { dependency: "auth" });
            }
        };
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|error| Error::Internal(Box::new(error)))?;
        header.set_sensitive(true);
        self.keep(digest, header.clone());
        Ok(header)
    }

    fn cached(&self, digest: &[u8; 32]) -> Option<HeaderValue> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(digest).filter(|(_, since)| since.elapsed() < KEEP).map(|(token, _)| token.clone())
    }

    fn keep(&self, digest: [u8; 32], token: HeaderValue) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, (_, since)| since.elapsed() < KEEP);
        }
        if kept.len() < MAX_KEPT {
            kept.insert(digest, (token, Instant::now()));
        }
    }
}

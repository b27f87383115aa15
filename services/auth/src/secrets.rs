//! Secrets that are derived from the service's own and a record, so that none is stored and a replayed request
//! shows the same one.

use poa_common::{ApiKeyId, SessionId, TypedId as _};
use poa_storage::secret::derive;
use prost::Message;
use ring::hmac;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::{ApiKeySecret, RefreshToken};

/// Derives what the service's secret stands behind.
pub(crate) struct Secrets {
    refresh: Zeroizing<[u8; 32]>,
    api_key: Zeroizing<[u8; 32]>,
    fingerprint: hmac::Key,
}

// === impl Secrets ===

impl Secrets {
    pub(crate) fn new(service: &[u8; 32]) -> Self {
        let key = |purpose| Zeroizing::new(derive(service, purpose, Uuid::nil()));
        Self {
            refresh: key("auth-refresh-tokens"),
            api_key: key("auth-api-keys"),
            fingerprint: hmac::Key::new(hmac::HMAC_SHA256, key("auth-fingerprints").as_slice()),
        }
    }

    /// The refresh token of a session's generation.
    pub(crate) fn refresh_token(&self, session_id: SessionId, generation: i32) -> RefreshToken {
        let family = Zeroizing::new(derive(&self.refresh, "session", session_id.uuid()));
        let place = u128::try_from(generation).unwrap_or_default();
        let secret = derive(&family, "generation", Uuid::from_u128(place));
        RefreshToken { session_id, generation, secret }
    }

    /// The secret of an API key.
    pub(crate) fn api_key(&self, id: ApiKeyId) -> ApiKeySecret {
        ApiKeySecret::from_bytes(derive(&self.api_key, "api-key", id.uuid()))
    }

    /// The fingerprint of a request that holds a password. Keyed, so that the table of requests is no table of quick
    /// hashes to guess passwords with.
    pub(crate) fn fingerprint(&self, message: &impl Message) -> [u8; 32] {
        let bytes = Zeroizing::new(message.encode_to_vec());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hmac::sign(&self.fingerprint, &bytes).as_ref());
        fingerprint
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use poa_proto::auth::v1::LoginRequest;

    #[test]
    fn secrets_differ_by_record_and_by_purpose_and_come_back_the_same() {
        let secrets = Secrets::new(&[7; 32]);
        let one = SessionId::from_uuid(Uuid::from_u128(1));
        let two = SessionId::from_uuid(Uuid::from_u128(2));
        assert_eq!(secrets.refresh_token(one, 3), secrets.refresh_token(one, 3));
        assert_ne!(secrets.refresh_token(one, 3).secret, secrets.refresh_token(one, 4).secret);
        assert_ne!(secrets.refresh_token(one, 3).secret, secrets.refresh_token(two, 3).secret);
        let elsewhere = Secrets::new(&[8; 32]);
        assert_ne!(secrets.refresh_token(one, 3).secret, elsewhere.refresh_token(one, 3).secret);
        let key = ApiKeyId::from_uuid(Uuid::from_u128(1));
        assert_eq!(secrets.api_key(key).text(), secrets.api_key(key).text());
        assert_ne!(secrets.api_key(key).text(), elsewhere.api_key(key).text());
    }

    #[test]
    fn a_fingerprint_needs_the_services_secret() {
        let message =
            LoginRequest { password: "correct horse battery".to_owned(), ..LoginRequest::default() };
        let here = Secrets::new(&[7; 32]).fingerprint(&message);
        assert_eq!(here, Secrets::new(&[7; 32]).fingerprint(&message));
        assert_ne!(here, Secrets::new(&[8; 32]).fingerprint(&message));
        assert_ne!(here, poa_storage::secret::hash(&message.encode_to_vec()));
    }
}

//! What we seal or sign and strangers carry: page tokens, access tokens, service tokens.

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use poa_chassis::Principal;
use poa_chassis::keyring::{Keyring, key_id, provision, signing_key};
use poa_chassis::token::{AccessClaims, sign_access, sign_service};
use poa_common::{AccountId, Clock, Entropy, Env, Timestamp, TypedId as _};
use poa_storage::page::Sealer;
use uuid::Uuid;

use crate::world::{NOW, altered};

const READER: Uuid = Uuid::from_u128(1);
const ARGUMENTS: [u8; 32] = [1; 32];

/// The page token that the target alters.
pub(crate) fn genuine_page_token() -> String {
    Sealer::new(&[7; 32]).seal(READER, &ARGUMENTS, b"a position in a list")
}

/// A page token opens for whom it was sealed, and opened it is sealed as the same again: nobody else can make one.
pub(crate) fn page_token(data: &[u8]) {
    let sealer = Sealer::new(&[7; 32]);
    let genuine = genuine_page_token();
    for token in [data.to_vec(), altered(genuine.as_bytes(), data)] {
        let token = String::from_utf8_lossy(&token).into_owned();
        if let Ok(Some(position)) = sealer.open(READER, &ARGUMENTS, &token) {
            assert_eq!(sealer.seal(READER, &ARGUMENTS, &position), token);
            assert_eq!(token, genuine);
        }
        assert!(matches!(sealer.open(Uuid::from_u128(2), &ARGUMENTS, &token), Ok(None) | Err(_)));
        assert!(matches!(sealer.open(READER, &[2; 32], &token), Ok(None) | Err(_)));
    }
    let position = &data[..data.len().min(poa_storage::page::MAX_POSITION_BYTES)];
    let sealed = sealer.seal(READER, &ARGUMENTS, position);
    assert_eq!(sealer.open(READER, &ARGUMENTS, &sealed), Ok(Some(position.to_vec())));
}

/// Time stands still and randomness is none: the same keys in every run.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

impl Entropy for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(5);
    }
}

/// A server's keys, with a genuine token of each kind.
pub(crate) struct Keys {
    ring: Keyring,
    pub(crate) access: String,
    pub(crate) service: String,
    principal: Principal,
    _folder: tempfile::TempDir,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let env = Env::new(Still, Still);
    let folder = tempfile::tempdir().expect("a folder");
    provision(folder.path(), &["escrow", "task"], &env).expect("keys");
    let ring = Keyring::open(folder.path(), "escrow", "here", &env).expect("a keyring");
    let key = |name: &str| -> SigningKey { signing_key(&folder.path().join(name), &env).expect("a key") };
    let jwt = key("jwt.key");
    let claims = AccessClaims {
        iss: "auth".to_owned(),
        aud: "here".to_owned(),
        sub: AccountId::from_uuid(READER),
        scope: "tasks.read".to_owned(),
        agent: None,
        sid: None,
        iat: NOW.unix_timestamp(),
        exp: NOW.unix_timestamp() + 600,
    };
    let access = sign_access(&jwt, &key_id(&jwt.verifying_key()), &claims).expect("a token");
    let service = sign_service(&key("service-task.key"), "task", "escrow", NOW).expect("a token");
    let principal = ring.verify_access(&access).expect("the genuine token");
    Keys { ring, access, service, principal, _folder: folder }
});

/// No token but a genuine one is believed, and none of one kind for one of the other.
pub(crate) fn jwt(data: &[u8]) {
    let keys = &*KEYS;
    let raw = String::from_utf8_lossy(data).into_owned();
    for token in [raw, String::from_utf8_lossy(&altered(keys.access.as_bytes(), data)).into_owned()] {
        if let Ok(principal) = keys.ring.verify_access(&token) {
            assert_eq!(
                (token.as_str(), principal.account_id),
                (keys.access.as_str(), keys.principal.account_id)
            );
            assert_eq!(principal.scopes, keys.principal.scopes);
        }
        assert!(keys.ring.verify_service(&token).is_err() || token == keys.service);
    }
    let token = String::from_utf8_lossy(&altered(keys.service.as_bytes(), data)).into_owned();
    assert!(keys.ring.verify_service(&token).is_err() || token == keys.service);
    assert!(keys.ring.verify_access(&token).is_err(), "a service is no account");
}

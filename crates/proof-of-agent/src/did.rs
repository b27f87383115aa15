//! `did:key` for Ed25519: the name of a key is the key itself.
//!
//! `did:key:z` + base58btc(0xed 0x01 + the 32 bytes of the public key).
//! Source: <https://w3c-ccg.github.io/did-key-spec/>.

use std::fmt;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// The multicodec of an Ed25519 public key, as a varint.
const ED25519_MULTICODEC: [u8; 2] = [0xed, 0x01];
/// The method, and `z` for multibase base58btc.
const PREFIX: &str = "did:key:z";
/// An Ed25519 `did:key` has 56 characters. A little above bounds the quadratic base 58 decoder.
const MAX_TEXT: usize = 64;

/// An Ed25519 public key under the name that stands in receipts.
///
/// It is a point of the curve and not of small order: a key for which a signature could hold for any
/// message is no key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DidKey([u8; 32]);

/// Why a text or bytes are not the key of an Ed25519 signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DidError {
    /// Not the form `did:key:z…`, another kind of key, or a second spelling of one.
    #[error("expected an Ed25519 key of the form did:key:z6Mk…")]
    Malformed,
    /// Not a point on the curve, one of small order, or one in a second spelling.
    #[error("the key is not a usable Ed25519 public key")]
    WeakKey,
}

// === impl DidKey ===

impl DidKey {
    /// The key from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, DidError> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() && is_reduced(&bytes) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(DidError::WeakKey),
        }
    }

    /// The key from a slice, such as a `bytes` field.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, DidError> {
        bytes.try_into().map_err(|_| DidError::Malformed).and_then(Self::from_bytes)
    }

    /// The public key of a signing key.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }

    /// The 32 bytes of the public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this key's over `message`: RFC 8032 with canonical encodings and without
    /// points of small order, so that every verifier decides the same.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

/// Whether the point's number is below 2^255 - 19, as RFC 8032 asks for: dalek takes its second spelling too.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *first < 0xed || last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

impl TryFrom<VerifyingKey> for DidKey {
    type Error = DidError;

    fn try_from(key: VerifyingKey) -> Result<Self, DidError> {
        Self::from_bytes(key.to_bytes())
    }
}

impl fmt::Display for DidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = ED25519_MULTICODEC.to_vec();
        bytes.extend_from_slice(&self.0);
        write!(f, "{PREFIX}{}", bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for DidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for DidKey {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        if text.len() > MAX_TEXT {
            return Err(DidError::Malformed);
        }
        let encoded = text.strip_prefix(PREFIX).ok_or(DidError::Malformed)?;
        let bytes = bs58::decode(encoded).into_vec().map_err(|_| DidError::Malformed)?;
        let key = bytes.strip_prefix(&ED25519_MULTICODEC).ok_or(DidError::Malformed)?;
        let key = Self::from_slice(key)?;
        if key.to_string() == text { Ok(key) } else { Err(DidError::Malformed) }
    }
}

impl Serialize for DidKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DidKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two public keys of the did:key specification's Ed25519 test vectors.
    const SPEC: [(&str, &str); 2] = [
        (
            "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
            "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        ),
        (
            "4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29",
            "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
        ),
    ];

    #[test]
    fn a_key_is_named_as_the_specification_has_it() {
        for (key, text) in SPEC {
            let key = DidKey::from_slice(&hex::decode(key).unwrap()).unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse(), Ok(key));
        }
    }

    #[test]
    fn a_text_that_is_not_exactly_an_ed25519_key_is_refused() {
        let good = SPEC[0].1;
        for text in [
            String::new(),
            good.replace("did:key:z", "did:key:"),
            good.replace("did:key:", "did:web:"),
            good.replace('z', "z1"),
            format!("{good}1"),
            good[..good.len() - 1].to_owned(),
            // A secp256k1 key.
            "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme".to_owned(),
            format!("did:key:z{}", "1".repeat(10_000)),
        ] {
            assert_eq!(text.parse::<DidKey>(), Err(DidError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(DidKey::from_bytes(identity), Err(DidError::WeakKey));
        assert_eq!(DidKey::from_bytes([0; 32]), Err(DidError::WeakKey));
    }
}

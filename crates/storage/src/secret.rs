//! Secrets: derived rather than stored, hashed to be looked up, sealed where they must be stored.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{digest, hmac};
use uuid::Uuid;

/// The length of a key of this module, in bytes.
pub const KEY_BYTES: usize = 32;

/// A key for sealing bytes at rest with ChaCha20-Poly1305.
#[derive(Clone)]
pub struct SealKey {
    key: LessSafeKey,
}

/// The bytes were altered, belong to another context, or were sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open")]
pub struct Unopenable;

/// The secret of a record: HMAC-SHA256 under the server's key over the label and the record's id. Nothing
/// is stored, and a replayed request computes the same answer again. `label` parts the kinds of secret,
/// such as `api-key`.
pub fn derive(server_key: &[u8; KEY_BYTES], label: &str, record: Uuid) -> [u8; 32] {
    // The label ends with a zero, which no label contains: no two pairs give the same message.
    mac(server_key, &[label.as_bytes(), &[0], record.as_bytes()].concat())
}

/// SHA-256 of a secret of high entropy, for looking it up: not for passwords.
pub fn hash(secret: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
    bytes
}

/// HMAC-SHA256.
pub(crate) fn mac(key: &[u8; KEY_BYTES], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

// === impl SealKey ===

impl SealKey {
    /// A key from its bytes.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        #[expect(clippy::expect_used, reason = "the length is the algorithm's, by the type")]
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(key) }
    }

    /// Seals `plaintext`; opens only with the same `context` (the row's id, the purpose). The nonce comes
    /// first in the result. It must never serve two plaintexts: `env.random()`.
    pub fn seal(&self, nonce: [u8; NONCE_LEN], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = plaintext.to_vec();
        #[expect(clippy::expect_used, reason = "the only failure is a plaintext of 256 GiB")]
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .expect("a plaintext that fits in memory");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`SealKey::seal`] made.
    ///
    /// # Errors
    /// [`Unopenable`] for anything else.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unopenable> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or(Unopenable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopenable)?;
        let mut bytes = ciphertext.to_vec();
        let plaintext =
            self.key.open_in_place(nonce, Aad::from(context), &mut bytes).map_err(|_| Unopenable)?;
        Ok(plaintext.to_vec())
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_secret_differs_by_key_label_and_record() {
        let base = derive(&[1; 32], "api-key", Uuid::from_u128(1));
        assert_eq!(base, derive(&[1; 32], "api-key", Uuid::from_u128(1)));
        assert_ne!(base, derive(&[2; 32], "api-key", Uuid::from_u128(1)));
        assert_ne!(base, derive(&[1; 32], "refresh", Uuid::from_u128(1)));
        assert_ne!(base, derive(&[1; 32], "api-key", Uuid::from_u128(2)));
    }

    #[test]
    fn sealed_bytes_open_in_their_context_alone() {
        let key = SealKey::new(&[3; 32]);
        let sealed = key.seal([9; 12], b"row 1", b"preimage");
        assert_eq!(key.open(b"row 1", &sealed), Ok(b"preimage".to_vec()));
        assert_eq!(key.open(b"row 2", &sealed), Err(Unopenable));
        assert_eq!(SealKey::new(&[4; 32]).open(b"row 1", &sealed), Err(Unopenable));
        assert_eq!(key.open(b"row 1", &sealed[..11]), Err(Unopenable));
    }

    #[test]
    fn a_hash_is_sha_256() {
        assert_eq!(hash(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}

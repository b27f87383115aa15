//! RSASSA-PSS verification with SHA-384 and keys of 4096 bits: what AMD's ARK and ASK sign with.
//!
//! Verifying takes no secret, so that nothing here need be constant in time. Source: RFC 8017, sections 8.1.2
//! and 9.1.2.

use p384::elliptic_curve::bigint::modular::{FixedMontyForm, FixedMontyParams};
use p384::elliptic_curve::bigint::{Odd, U64, U4096};
use sha2::{Digest as _, Sha384};

/// Bytes of the modulus, and of a signature.
const MODULUS_BYTES: usize = 512;
/// Bytes of SHA-384, and of the salt.
const HASH_BYTES: usize = 48;
/// The public exponent 65537, big-endian.
const EXPONENT: [u8; 3] = [1, 0, 1];
/// The same, as a number.
const EXPONENT_NUMBER: u64 = 65_537;
/// The last byte of a padded hash.
const TRAILER: u8 = 0xbc;
/// Bytes of the masked block.
const BLOCK_BYTES: usize = MODULUS_BYTES - HASH_BYTES - 1;

/// A key of 4096 bits with the exponent 65537.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    modulus: Odd<U4096>,
}

// === impl PublicKey ===

impl PublicKey {
    /// The key from its numbers, big-endian without leading zeros.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let full = modulus.len() == MODULUS_BYTES && modulus.first().is_some_and(|byte| *byte >= 0x80);
        if !full || exponent != EXPONENT {
            return None;
        }
        let modulus = Option::from(Odd::new(U4096::from_be_slice(modulus)))?;
        Some(Self { modulus })
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verifies_pss_sha384(&self, message: &[u8], signature: &[u8]) -> bool {
        if signature.len() != MODULUS_BYTES {
            return false;
        }
        let signature = U4096::from_be_slice(signature);
        if signature >= *self.modulus.as_ref() {
            return false;
        }
        let parameters = FixedMontyParams::new_vartime(self.modulus);
        let exponent = U64::from_u64(EXPONENT_NUMBER);
        let encoded = FixedMontyForm::new(&signature, &parameters).pow_vartime(&exponent).retrieve();
        is_encoding_of(encoded.to_be_bytes().as_ref(), &Sha384::digest(message))
    }
}

/// EMSA-PSS-VERIFY for a modulus of whole bytes, so that one bit of the encoding is unused.
fn is_encoding_of(encoded: &[u8], hash: &[u8]) -> bool {
    let Some((masked, rest)) = encoded.split_at_checked(BLOCK_BYTES) else {
        return false;
    };
    let Some((seed, [TRAILER])) = rest.split_at_checked(HASH_BYTES) else {
        return false;
    };
    if masked.first().is_none_or(|byte| *byte >= 0x80) {
        return false;
    }
    let mut block: Vec<u8> = masked.iter().zip(mask(seed)).map(|(byte, mask)| byte ^ mask).collect();
    if let Some(first) = block.first_mut() {
        *first &= 0x7f;
    }
    let Some((padding, salt)) = block.split_at_checked(BLOCK_BYTES - HASH_BYTES) else {
        return false;
    };
    let Some((1, zeros)) = padding.split_last().map(|(last, zeros)| (*last, zeros)) else {
        return false;
    };
    if zeros.iter().any(|byte| *byte != 0) {
        return false;
    }
    let mut hasher = Sha384::new();
    hasher.update([0; 8]);
    hasher.update(hash);
    hasher.update(salt);
    hasher.finalize().as_slice() == seed
}

/// MGF1 with SHA-384: as many bytes as the block has.
fn mask(seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| {
        let mut hasher = Sha384::new();
        hasher.update(seed);
        hasher.update(counter.to_be_bytes());
        let block: [u8; HASH_BYTES] = hasher.finalize().into();
        block
    })
}

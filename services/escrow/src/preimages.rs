//! The preimages of hold invoices: made at random, sealed where they are stored, opened for the one call that shows them to
//! the node.
//!
//! Whoever has a preimage can take what is locked in its stead, from any node on the way. So it is sealed with a key that is
//! kept apart from the database, for its escrow alone, and is in no event, no log and no receipt.

use poa_common::{Env, EscrowId, TypedId as _};
use poa_payment::{PaymentHash, Preimage};
use poa_storage::secret::SealKey;

/// Keeps what is sealed here apart from anything else under the same key.
const PURPOSE: &[u8] = b"proof-of-agent preimage v1\0";

/// Seals and opens preimages.
#[derive(Debug)]
pub(crate) struct Preimages {
    key: SealKey,
}

// === impl Preimages ===

impl Preimages {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self { key: SealKey::new(secret) }
    }

    /// A new preimage, by its hash and sealed.
    pub(crate) fn make(&self, env: &Env, escrow: EscrowId) -> (PaymentHash, Vec<u8>) {
        let preimage = Preimage::new(env.random());
        let sealed = self.key.seal(env.random(), &context(escrow), preimage.as_bytes());
        (preimage.hash(), sealed)
    }

    /// The preimage of a hash; none where the key is another one, or the bytes were changed.
    pub(crate) fn open(&self, escrow: EscrowId, hash: PaymentHash, sealed: &[u8]) -> Option<Preimage> {
        let bytes = self.key.open(&context(escrow), sealed).ok()?;
        let preimage = Preimage::try_from(bytes.as_slice()).ok()?;
        (preimage.hash() == hash).then_some(preimage)
    }
}

fn context(escrow: EscrowId) -> Vec<u8> {
    [PURPOSE, escrow.uuid().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_preimage_opens_for_its_escrow_and_hash_under_its_key_alone() {
        let (env, _clock) = poa_testkit::env(1);
        let preimages = Preimages::new(&[1; 32]);
        let [one, two] = [1, 2].map(|id| EscrowId::from_uuid(Uuid::from_u128(id)));
        let (hash, sealed) = preimages.make(&env, one);
        let (other, _) = preimages.make(&env, one);
        assert_ne!(hash, other);
        assert_eq!(preimages.open(one, hash, &sealed).unwrap().hash(), hash);
        assert_eq!(preimages.open(two, hash, &sealed), None);
        assert_eq!(preimages.open(one, other, &sealed), None);
        assert_eq!(Preimages::new(&[2; 32]).open(one, hash, &sealed), None);
        for length in 0..sealed.len() {
            assert_eq!(preimages.open(one, hash, &sealed[..length]), None);
        }
    }
}

//! Keys that sign BOLT11 invoices on testnet: the node's own, and that of everybody outside.

use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use poa_common::Env;
use sha2::{Digest as _, Sha256};

/// A key and its curve context.
#[derive(Debug)]
pub(super) struct Wallet {
    curve: Secp256k1<All>,
    key: SecretKey,
}

/// What an invoice says.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) hash: [u8; 32],
    pub(super) secret: [u8; 32],
    pub(super) amount_msat: Option<u64>,
    pub(super) description: Description,
    pub(super) expiry_seconds: Option<u64>,
    pub(super) min_final_cltv: u64,
    /// Milliseconds since 1970.
    pub(super) now: u64,
}

/// What it is for.
#[derive(Clone, Debug)]
pub(super) enum Description {
    /// A text.
    Text(String),
    /// The digest of one.
    Hash([u8; 32]),
}

/// The hash that a preimage opens.
pub(super) fn hash(preimage: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(preimage).into()
}

// === impl Wallet ===

impl Wallet {
    pub(super) fn new(env: &Env) -> Self {
        let key = std::iter::repeat_with(|| SecretKey::from_slice(&env.random::<32>()))
            .find_map(Result::ok)
            .expect("some bytes are a key");
        Self { curve: Secp256k1::new(), key }
    }

    /// Its public key, in hexadecimal.
    pub(super) fn id(&self) -> String {
        PublicKey::from_secret_key(&self.curve, &self.key).to_string()
    }

    pub(super) fn sign(&self, draft: &Draft) -> String {
        let builder = InvoiceBuilder::new(Currency::BitcoinTestnet);
        let builder = match &draft.description {
            Description::Text(text) => builder.description(text.clone()),
            Description::Hash(hash) => builder.description_hash(sha256::Hash::from_byte_array(*hash)),
        };
        let mut builder = builder
            .payment_hash(sha256::Hash::from_byte_array(draft.hash))
            .payment_secret(PaymentSecret(draft.secret))
            .duration_since_epoch(Duration::from_secs(draft.now / 1_000))
            .min_final_cltv_expiry_delta(draft.min_final_cltv)
            .basic_mpp();
        if let Some(amount) = draft.amount_msat {
            builder = builder.amount_milli_satoshis(amount);
        }
        if let Some(seconds) = draft.expiry_seconds {
            builder = builder.expiry_time(Duration::from_secs(seconds));
        }
        let signed = builder.build_signed(|message| self.curve.sign_ecdsa_recoverable(message, &self.key));
        signed.expect("an invoice that BOLT11 can say").to_string()
    }
}

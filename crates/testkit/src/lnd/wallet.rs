//! Keys that sign BOLT11 on regtest: the stand-in's own, and that of everybody outside.

use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use poa_common::Env;
use poa_payment::{NodeId, PaymentHash};

/// A signing key with its curve context.
pub(super) struct Wallet {
    curve: Secp256k1<All>,
    key: SecretKey,
}

/// The fields of an invoice to sign.
pub(super) struct Draft {
    pub(super) hash: PaymentHash,
    pub(super) secret: [u8; 32],
    /// Millisatoshi; zero leaves the amount to the payer.
    pub(super) amount_msat: u64,
    pub(super) description_hash: [u8; 32],
    pub(super) expiry: Duration,
    pub(super) min_final_cltv: u64,
    /// Since 1970.
    pub(super) now: Duration,
}

// === impl Wallet ===

impl Wallet {
    pub(super) fn new(env: &Env) -> Self {
        let key = (0..64).find_map(|_| SecretKey::from_slice(&env.random::<32>()).ok());
        Self { curve: Secp256k1::new(), key: key.expect("nearly every 32 bytes are a key") }
    }

    pub(super) fn id(&self) -> NodeId {
        NodeId::new(PublicKey::from_secret_key(&self.curve, &self.key).serialize())
    }

    /// A signed invoice, or none where BOLT11 cannot say it.
    pub(super) fn sign(&self, draft: &Draft) -> Option<String> {
        let unsigned = InvoiceBuilder::new(Currency::Regtest)
            .description_hash(sha256::Hash::from_byte_array(draft.description_hash))
            .payment_hash(sha256::Hash::from_byte_array(*draft.hash.as_bytes()))
            .payment_secret(PaymentSecret(draft.secret))
            .duration_since_epoch(draft.now)
            .min_final_cltv_expiry_delta(draft.min_final_cltv)
            .expiry_time(draft.expiry)
            .basic_mpp();
        let unsigned =
            if draft.amount_msat > 0 { unsigned.amount_milli_satoshis(draft.amount_msat) } else { unsigned };
        let signed = unsigned.build_signed(|message| self.curve.sign_ecdsa_recoverable(message, &self.key));
        signed.ok().map(|invoice| invoice.to_string())
    }
}

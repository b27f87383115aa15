//! A key that signs BOLT11 invoices: the node's own, and that of the wallet outside.
//!
//! Nobody can know the preimage of a stranger's invoice, so the simulated network makes it derivable: a
//! wallet outside computes the preimage from the invoice's payment secret, which the payer reads in the
//! invoice. Any simulated node can thus pay any simulated wallet's invoice with a true preimage, without
//! state. The node's own invoices have random preimages.

use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use poa_common::{Msat, Timestamp};
use sha2::{Digest, Sha256};

use crate::{Error, NodeId, PaymentHash, Preimage};

/// Keeps this derivation apart from any other use of SHA-256.
const OUTSIDE_PREIMAGE_DOMAIN: &[u8] = b"poa simulated network: preimage of an outside invoice\0";

/// A signing key with its curve context, which is costly to make.
pub(super) struct Wallet {
    curve: Secp256k1<All>,
    key: SecretKey,
}

/// The fields of an invoice to sign.
pub(super) struct Draft {
    pub(super) hash: PaymentHash,
    pub(super) secret: [u8; 32],
    pub(super) amount: Msat,
    pub(super) description_hash: [u8; 32],
    /// Whole seconds.
    pub(super) expiry: Duration,
    pub(super) min_final_cltv: u16,
    pub(super) now: Timestamp,
}

/// The preimage that a wallet outside gives an invoice with this payment secret.
pub(super) fn outside_preimage(secret: &[u8; 32]) -> Preimage {
    Preimage::new(Sha256::new().chain_update(OUTSIDE_PREIMAGE_DOMAIN).chain_update(secret).finalize().into())
}

/// The preimage of an invoice, if it is one of a simulated wallet's.
pub(super) fn known_preimage(invoice: &Bolt11Invoice) -> Option<Preimage> {
    let preimage = outside_preimage(&invoice.payment_secret().0);
    (preimage.hash().as_bytes() == AsRef::<[u8; 32]>::as_ref(invoice.payment_hash())).then_some(preimage)
}

// === impl Wallet ===

impl Wallet {
    /// `None` if the bytes are not a key: zero, or above the curve's order.
    pub(super) fn new(key: &Preimage) -> Option<Self> {
        let key = SecretKey::from_slice(key.as_bytes()).ok()?;
        Some(Self { curve: Secp256k1::new(), key })
    }

    /// The identity that payers see.
    pub(super) fn id(&self) -> NodeId {
        NodeId::new(PublicKey::from_secret_key(&self.curve, &self.key).serialize())
    }

    /// A signed invoice.
    pub(super) fn sign(&self, draft: Draft) -> Result<String, Error> {
        let amount = u64::try_from(draft.amount.get()).map_err(|_| Error::Invalid("a negative amount"))?;
        let since_epoch = u64::try_from(draft.now.unix_timestamp())
            .map(Duration::from_secs)
            .map_err(|_| Error::Invalid("a clock before 1970"))?;
        InvoiceBuilder::new(Currency::Simnet)
            .description_hash(sha256::Hash::from_byte_array(draft.description_hash))
            .payment_hash(sha256::Hash::from_byte_array(*draft.hash.as_bytes()))
            .payment_secret(PaymentSecret(draft.secret))
            .duration_since_epoch(since_epoch)
            .min_final_cltv_expiry_delta(u64::from(draft.min_final_cltv))
            .amount_milli_satoshis(amount)
            .expiry_time(draft.expiry)
            .basic_mpp()
            .build_signed(|message| self.curve.sign_ecdsa_recoverable(message, &self.key))
            .map(|invoice| invoice.to_string())
            .map_err(|_| Error::Invalid("an amount or a time that BOLT11 cannot say"))
    }
}

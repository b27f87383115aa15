//! The world outside the node: those who pay our invoices, whose invoices we pay, and the chain.

use std::time::Duration;

use poa_common::{Msat, Timestamp};

use super::SimulatedNode;
use super::core::Core;
use super::wallet::{Draft, outside_preimage};
use crate::{DecodeError, Error, FailureReason, Invoice, InvoiceState, PaymentHash, Unit, bolt11};

/// How a payer outside pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The sum of the parts; `None` pays what the invoice asks for. Up to twice of that is taken.
    pub amount: Option<Msat>,
    /// The number of HTLCs.
    pub parts: u32,
    /// Blocks that the payer adds to the final CLTV delta.
    pub extra_cltv_blocks: u32,
}

/// An invoice of a wallet outside, for our node to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideInvoice {
    /// What the wallet wants.
    pub amount: Msat,
    /// How long it can be paid, in whole seconds.
    pub expiry: Duration,
    /// The final CLTV delta it asks for, in blocks.
    pub min_final_cltv: u16,
    /// The digest of what it is for; any where none is given.
    pub description_hash: Option<[u8; 32]>,
}

/// The end of a payment that stays in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The payee takes it.
    Settles,
    /// It comes back.
    Fails(FailureReason),
}

/// Why the faucet did not pay an invoice. Nothing moved, unless the node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum FaucetError {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is another node's.
    #[error("the invoice is not of this node")]
    NotOurs,
    /// It was paid, cancelled, or has expired.
    #[error("the invoice is {state}")]
    NotOpen {
        /// The state that was found.
        state: &'static str,
    },
    /// Too little, or more than twice of what it asks for.
    #[error("the invoice asks for {asked} msat, and takes up to twice of that")]
    WrongAmount {
        /// What it asks for.
        asked: Msat,
    },
    /// The node would hold more than all bitcoin there will ever be.
    #[error("the node would hold more than all bitcoin")]
    Supply,
    /// No part, or more than a channel has slots.
    #[error("a payment has between 1 and 483 parts")]
    TooManyParts,
    /// The node did not answer.
    #[error(transparent)]
    Node(#[from] Error),
}

/// Why a payment in flight was not resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is none, or it has ended.
    #[error("no payment with this hash is in flight")]
    NotInFlight,
    /// The payee is no simulated wallet: nobody here can know the preimage.
    #[error("the simulated network does not know this invoice's preimage")]
    NoPreimage,
    /// The route costs more than the limit.
    #[error("the route costs more than the payment's fee limit")]
    FeeAboveLimit,
    /// The node did not answer.
    #[error(transparent)]
    Node(#[from] Error),
}

// === impl SimulatedNode ===

impl SimulatedNode {
    /// The faucet: somebody outside pays this invoice of ours as it asks. An ordinary invoice is then settled, a hold
    /// invoice accepted.
    pub async fn pay_invoice(&self, bolt11: &str) -> Result<InvoiceState, FaucetError> {
        self.pay_invoice_with(bolt11, Attempt::default()).await
    }

    /// The faucet, with a payer's own mind.
    pub async fn pay_invoice_with(
        &self,
        bolt11: &str,
        attempt: Attempt,
    ) -> Result<InvoiceState, FaucetError> {
        let text = bolt11.to_owned();
        self.run(move |core| Ok(core.receive(&text, attempt))).await?
    }

    /// A wallet outside asks for sats. Its invoice can be paid by any simulated node, and needs no memory.
    pub async fn outside_invoice(&self, wanted: OutsideInvoice) -> Result<Invoice, Error> {
        self.run(move |core| core.outside_invoice(&wanted)).await
    }

    /// The chain grows by some blocks; the new height. Accepted invoices too close to their timeout are cancelled.
    pub async fn mine(&self, blocks: u32) -> Result<u32, Error> {
        self.run(move |core| core.mine(blocks)).await
    }

    /// Ends a payment that a [`Fault`](super::Fault) left in flight.
    pub async fn resolve_payment(
        &self,
        hash: PaymentHash,
        resolution: Resolution,
    ) -> Result<(), ResolveError> {
        self.run(move |core| Ok(core.resolve(hash, resolution))).await?
    }

    /// How many payments the node has ever taken: one per hash, whatever was asked how often.
    pub async fn payments_taken(&self) -> Result<usize, Error> {
        self.run(|core| Ok(core.state.payments.len())).await
    }
}

impl Core {
    /// Signs an invoice of the wallet outside.
    pub(super) fn outside_invoice(&self, wanted: &OutsideInvoice) -> Result<Invoice, Error> {
        if !Unit::Msat.fits(wanted.amount) {
            return Err(Error::Invalid("an amount that is not positive or beyond all bitcoin"));
        }
        let secret: [u8; 32] = self.env.random();
        let hash = outside_preimage(&secret).hash();
        let now: Timestamp = self.now();
        let bolt11 = self.outside.sign(Draft {
            hash,
            secret,
            amount: wanted.amount,
            description_hash: wanted.description_hash.unwrap_or(*hash.as_bytes()),
            expiry: wanted.expiry,
            min_final_cltv: wanted.min_final_cltv,
            now,
        })?;
        let expires_at =
            bolt11::decode(&bolt11).map_err(|_| Error::Invalid("a time that BOLT11 cannot say"))?.expires_at;
        Ok(Invoice { hash, bolt11, amount: wanted.amount, expires_at })
    }
}

// === impl Attempt ===

impl Default for Attempt {
    /// As the invoice asks, in one part.
    fn default() -> Self {
        Self { amount: None, parts: 1, extra_cltv_blocks: 0 }
    }
}

// === impl OutsideInvoice ===

impl OutsideInvoice {
    /// An invoice for an hour.
    pub fn of(amount: Msat) -> Self {
        Self { amount, expiry: Duration::from_secs(3_600), min_final_cltv: 80, description_hash: None }
    }
}

//! Invoices of our own node: what is asked for, what is handed out, and in which state it is.

use std::fmt;
use std::time::Duration;

use poa_common::{Msat, Timestamp};

use crate::{PaymentHash, Preimage};

/// An invoice to make. The node chooses the preimage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInvoice {
    /// What the payer pays. Positive, and a whole number of the provider's [`Unit`](crate::Unit).
    pub amount: Msat,
    /// The digest of what the invoice pays for: invoice and preimage together prove payment for exactly that.
    pub description_hash: [u8; 32],
    /// How long it can be paid, from now, in whole seconds.
    pub expiry: Duration,
    /// The blocks the last hop must leave us, or none for the node's default. Given only where
    /// [`Capabilities::cltv_control`](crate::Capabilities::cltv_control) says so.
    pub min_final_cltv: Option<u16>,
}

/// A hold invoice to make. The caller chose the preimage and keeps it, encrypted, before it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHoldInvoice {
    /// The hash of the caller's preimage.
    pub hash: PaymentHash,
    /// The rest, as of any invoice.
    pub invoice: NewInvoice,
}

/// An invoice that the node has made and will honour.
#[derive(Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The payment hash.
    pub hash: PaymentHash,
    /// The BOLT11 text.
    pub bolt11: String,
    /// What it asks for.
    pub amount: Msat,
    /// From when on it can no longer be paid.
    pub expires_at: Timestamp,
}

/// The state of an invoice of our own node.
///
/// ```text
/// Open ──────────────► Settled          an ordinary invoice
/// Open ──► Accepted ──► Settled         a hold invoice
/// Open | Accepted ────► Canceled        by us, by expiry, or by the node before the HTLCs time out
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvoiceState {
    /// Unpaid.
    Open,
    /// A hold invoice: the payer's sats are locked, and not ours. They return to the payer at a height.
    Accepted {
        /// The sum of the parts: at least the amount, possibly more.
        paid: Msat,
        /// The number of HTLCs.
        parts: u32,
        /// The lowest height at which an HTLC times out. The node cancels some blocks before that.
        lowest_expiry_height: u32,
    },
    /// Paid: the sats are ours.
    Settled {
        /// What arrived: at least the amount, possibly more. This is what is booked. Less, down to nothing, where the node
        /// takes the price of liquidity from what arrives (phoenixd).
        paid: Msat,
        /// When the node settled, by its own clock.
        at: Timestamp,
        /// The preimage, where the node shows it.
        preimage: Option<Preimage>,
    },
    /// Cancelled or expired: it will never be paid.
    Canceled,
}

/// Whether settled sats are ours for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// Not yet: look again.
    Pending,
    /// For good: every HTLC was resolved in our favour.
    Final,
    /// Never: an HTLC went back to the payer, although the invoice says settled. Every HTLC has come to its end.
    Lost {
        /// What the others brought: the node has it, and the payer is owed it.
        kept: Msat,
    },
}

// === impl Invoice ===

impl fmt::Debug for Invoice {
    /// Without the text: an invoice belongs in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hash, bolt11: _, amount, expires_at } = self;
        f.debug_struct("Invoice")
            .field("hash", hash)
            .field("amount", amount)
            .field("expires_at", expires_at)
            .finish_non_exhaustive()
    }
}

// === impl InvoiceState ===

impl InvoiceState {
    /// Whether no further change is possible.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Settled { .. } | Self::Canceled => true,
            Self::Open | Self::Accepted { .. } => false,
        }
    }

    /// The name for messages and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted { .. } => "accepted",
            Self::Settled { .. } => "settled",
            Self::Canceled => "canceled",
        }
    }
}

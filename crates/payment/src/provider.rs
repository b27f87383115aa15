//! The receiving and observing side of a Lightning node, and hold invoices as a capability of their own.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::{
    Balance, Capabilities, DecodeError, Decoded, Error, Finality, Info, Invoice, InvoiceState, ListedInvoice,
    ListedPayment, NewHoldInvoice, NewInvoice, Outcome, PaymentHash, Place, Preimage, decode,
};

/// A place in a provider's stream of hints: opaque, kept by the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// Something may have happened to an invoice: look it up. Hints come late, twice, out of order or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Which invoice.
    pub hash: PaymentHash,
    /// Where to go on from. Kept only together with the effect of the hint.
    pub cursor: Cursor,
}

/// A Lightning node that receives and answers questions. What sends is a [`Payer`](crate::Payer).
///
/// # The caller
///
/// - books what [`InvoiceState::Settled`] says was paid, once per hash, and only on a lookup's word, never on
///   a hint's;
/// - takes an error, [`Doubt`](crate::Doubt) or an absent invoice for "not known", never for "did not happen";
/// - polls what is not terminal at its own pace, at startup too: a lost hint costs time and nothing else;
/// - puts a limit of its own on each wait: a node may hang.
///
/// # The implementor
///
/// - returns an invoice only once the node will honour it after a restart;
/// - never goes back from a terminal state, and never reports [`InvoiceState::Settled`] before the node does;
/// - keeps no truth of its own: every answer comes from the node;
/// - maps what it does not understand to [`Error::NoAnswer`] or [`Outcome::Unknown`], never to a state;
/// - is safe against a dropped call at every await.
pub trait Provider: Send + Sync + 'static {
    /// How this provider differs from others. Constant over its life.
    fn capabilities(&self) -> Capabilities;

    /// The node's identity, network and height.
    fn info(&self) -> BoxFuture<'_, Result<Info, Error>>;

    /// What the node holds.
    fn balance(&self) -> BoxFuture<'_, Result<Balance, Error>>;

    /// Makes an invoice. Not idempotent: an invoice whose answer was lost is never handed out, so that it
    /// expires unpaid.
    fn create_invoice(&self, new: NewInvoice) -> BoxFuture<'_, Result<Invoice, Error>>;

    /// The state of an invoice of this node, ordinary or hold; `None` where the node does not know the hash.
    fn lookup_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Option<InvoiceState>, Error>>;

    /// Cancels an open invoice, so that it can never be paid. Idempotent. An invoice that was paid first
    /// gives [`Error::WrongState`], and stays paid: payment and cancellation exclude each other at the node.
    fn cancel_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>>;

    /// Hints of invoices from a cursor on; hold invoices may be among them or not. Ends when the node is lost: open it again from the last
    /// cursor. A cursor that is too old starts at the oldest hint there is.
    fn watch_invoices(&self, from: Cursor) -> BoxStream<'static, Hint>;

    /// What is known of a payment. Never [`Outcome::NotSent`].
    fn lookup_payment(&self, hash: PaymentHash) -> BoxFuture<'_, Outcome>;

    /// The node's invoices, ordinary and hold, in the order in which they were made: those after a place, at most about
    /// `limit` of them. An empty list is the end. Every invoice that was ever settled is among them; one that was
    /// cancelled may have been forgotten.
    fn list_invoices(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedInvoice>, Error>>;

    /// The node's payments in the order in which they were begun: those after a place, at most about `limit` of them. An
    /// empty list is the end. Every payment that was ever sent is among them, ended or not.
    fn list_payments(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedPayment>, Error>>;

    /// Hold invoices, where the node has them.
    fn hold_invoices(&self) -> Option<&dyn HoldInvoices>;

    /// Reads an invoice without asking the node. Same for all providers.
    fn decode(&self, bolt11: &str) -> Result<Decoded, DecodeError> {
        decode(bolt11)
    }
}

/// Invoices that the payer funds and we settle or cancel later.
///
/// # The caller
///
/// - has the preimage durable, encrypted, before [`add`](Self::add);
/// - treats [`InvoiceState::Accepted`] as a memo: the sats are the payer's until a lookup says settled;
/// - commits the intent to settle before [`settle`](Self::settle), and refunds nothing after that;
/// - settles or cancels well before the lowest expiry height;
/// - books what was settled once [`finality`](Self::finality) says final, and never before.
///
/// # The implementor
///
/// - makes all verbs idempotent, and gives [`Error::WrongState`] for the other verb after one has won;
/// - never settles an invoice whose HTLCs have timed out: it reports [`InvoiceState::Canceled`].
pub trait HoldInvoices: Send + Sync {
    /// Whether new ones can be made, as far as is known. What was made before is watched, settled and cancelled in any case.
    fn takes_new(&self) -> bool {
        true
    }

    /// Makes a hold invoice for the caller's hash. The same request again gives the same invoice; another
    /// request for a known hash gives [`Error::WrongState`] with state `existing`.
    fn add(&self, new: NewHoldInvoice) -> BoxFuture<'_, Result<Invoice, Error>>;

    /// Takes the sats of an accepted invoice. `Ok` means that the node will: the truth is the lookup's. An
    /// open or cancelled invoice gives [`Error::WrongState`], a settled one `Ok`.
    fn settle(&self, preimage: Preimage) -> BoxFuture<'_, Result<(), Error>>;

    /// Gives the sats back, or closes an open invoice. A settled invoice gives [`Error::WrongState`], a
    /// cancelled one `Ok`.
    fn cancel(&self, hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>>;

    /// Whether the sats of a settled invoice are ours for good: its HTLCs have left the channels' commitments in our
    /// favour. Settled alone does not say so: an HTLC can still time out on the chain.
    fn finality(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Finality, Error>>;

    /// Hints of one invoice: one at once if the node knows it, then one per change; ends after a terminal
    /// state. An unknown hash is waited for.
    fn watch(&self, hash: PaymentHash) -> BoxStream<'static, Hint>;
}

// === impl Cursor ===

impl Cursor {
    /// Before the first hint.
    pub fn start() -> Self {
        Self::default()
    }

    /// The text to keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#![doc = include_str!("../README.md")]

mod bolt11;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod hash;
mod invoice;
mod listing;
pub mod lnd;
mod node;
mod payer;
mod payment;
pub mod phoenixd;
mod provider;
pub mod simulated;

pub use bolt11::{Chain, DecodeError, Decoded, decode};
pub use error::Error;
pub use hash::{NodeId, PaymentHash, Preimage};
pub use invoice::{Finality, Invoice, InvoiceState, NewHoldInvoice, NewInvoice};
pub use listing::{ListedInvoice, ListedPayment, Place};
pub use node::{Balance, Capabilities, FeeModel, Info, Unit};
pub use payer::Payer;
pub use payment::{Doubt, FailureReason, Outcome, PayIntent, Refusal};
pub use provider::{Cursor, Hint, HoldInvoices, Provider};

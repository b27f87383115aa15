//! Reading BOLT11 invoices, the same way for every provider.
//!
//! Source: <https://github.com/lightning/bolts/blob/master/11-payment-encoding.md>.

use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency};
use poa_common::{Msat, Timestamp};

use crate::{NodeId, PaymentHash};

/// A longer text is not read. BOLT11 has no limit; a real invoice with route hints stays below 1,500 bytes.
const MAX_BOLT11_BYTES: usize = 4_096;

/// The chain in an invoice's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chain {
    /// `lnbc`: real money.
    Bitcoin,
    /// `lntb`.
    Testnet,
    /// `lntbs`.
    Signet,
    /// `lnbcrt`.
    Regtest,
    /// `lnsb`: btcd's private chain, and the simulated node.
    Simnet,
}

/// What an invoice says. Its signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The payment hash.
    pub hash: PaymentHash,
    /// What it asks for; `None` where the payer is to choose, which this system refuses.
    pub amount: Option<Msat>,
    /// Who is paid.
    pub payee: NodeId,
    /// From when on it cannot be paid.
    pub expires_at: Timestamp,
    /// The digest of what it pays for, where it carries one.
    pub description_hash: Option<[u8; 32]>,
    /// Its chain.
    pub chain: Chain,
    /// The blocks that the last hop must leave the payee: how long a payee can hold our sats, at least.
    pub min_final_cltv: u64,
}

/// Why a text is not an invoice that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than any real invoice.
    #[error("the invoice is longer than {MAX_BOLT11_BYTES} bytes")]
    TooLong,
    /// Not BOLT11, a bad checksum, a bad signature, or a required field that is absent.
    #[error("the text is not a valid BOLT11 invoice")]
    Malformed,
    /// An amount above all bitcoin there will be, or a time beyond the calendar.
    #[error("the invoice has an amount or a time out of range")]
    OutOfRange,
}

/// Reads an invoice and checks its signature. Pure: no clock, so an expired invoice is read like any other.
pub fn decode(bolt11: &str) -> Result<Decoded, DecodeError> {
    parse(bolt11).and_then(|invoice| summarise(&invoice))
}

/// The invoice itself, for those who need its payment secret too.
pub(crate) fn parse(bolt11: &str) -> Result<Bolt11Invoice, DecodeError> {
    if bolt11.len() > MAX_BOLT11_BYTES {
        return Err(DecodeError::TooLong);
    }
    bolt11.parse().map_err(|_| DecodeError::Malformed)
}

/// What an invoice says, in our types.
pub(crate) fn summarise(invoice: &Bolt11Invoice) -> Result<Decoded, DecodeError> {
    let amount = invoice
        .amount_milli_satoshis()
        .map(|msat| i64::try_from(msat).ok().map(Msat::new).filter(|amount| *amount <= Msat::SUPPLY));
    let expires = invoice.duration_since_epoch().checked_add(invoice.expiry_time());
    Ok(Decoded {
        hash: PaymentHash::new(*AsRef::<[u8; 32]>::as_ref(invoice.payment_hash())),
        amount: match amount {
            None => None,
            Some(None) => return Err(DecodeError::OutOfRange),
            Some(amount) => amount,
        },
        payee: NodeId::new(invoice.get_payee_pub_key().serialize()),
        expires_at: expires
            .and_then(|expires| i64::try_from(expires.as_secs()).ok())
            .and_then(|seconds| Timestamp::from_unix_timestamp(seconds).ok())
            .ok_or(DecodeError::OutOfRange)?,
        description_hash: match invoice.description() {
            Bolt11InvoiceDescriptionRef::Hash(hash) => Some(*AsRef::<[u8; 32]>::as_ref(&hash.0)),
            Bolt11InvoiceDescriptionRef::Direct(_) => None,
        },
        chain: match invoice.currency() {
            Currency::Bitcoin => Chain::Bitcoin,
            Currency::BitcoinTestnet => Chain::Testnet,
            Currency::Signet => Chain::Signet,
            Currency::Regtest => Chain::Regtest,
            Currency::Simnet => Chain::Simnet,
        },
        min_final_cltv: invoice.min_final_cltv_expiry_delta(),
    })
}

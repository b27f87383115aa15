//! The shapes of phoenixd's JSON answers, as far as they are needed. Unknown fields are left alone; a missing field, a wrong
//! type or a number out of range is an answer that was not understood.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::http::HttpError;
use crate::{Error, PaymentHash, Preimage};

/// `GET /getinfo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeInfo {
    /// The node's public key, in hexadecimal.
    pub(super) node_id: String,
    pub(super) channels: Vec<Channel>,
    /// `mainnet` or `testnet3`.
    pub(super) chain: String,
    /// Absent until the node has heard of a block.
    pub(super) block_height: Option<u32>,
}

/// A channel of `GET /getinfo`.
#[derive(Deserialize)]
pub(super) struct Channel {
    /// `Normal`, or another state; `Offline(Normal)` and `Syncing(Normal)` while the peer is away.
    pub(super) state: String,
}

/// `GET /getbalance`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Funds {
    /// What can be sent, rounded down.
    pub(super) balance_sat: u64,
    /// What was received and can only ever pay for liquidity.
    pub(super) fee_credit_sat: u64,
}

/// `POST /createinvoice`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Made {
    pub(super) payment_hash: PaymentHash,
    /// The BOLT11 text.
    pub(super) serialized: String,
}

/// A row of `GET /payments/incoming`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Incoming {
    pub(super) payment_hash: PaymentHash,
    /// There from the beginning: it proves nothing.
    pub(super) preimage: Preimage,
    pub(super) is_paid: bool,
    /// By the node's clock, and of a paid invoice too.
    pub(super) is_expired: bool,
    /// What arrived after fees, rounded down. Below zero where fees were taken from the balance and were more.
    pub(super) received_sat: i64,
    /// In milliseconds. Absent where the invoice says no expiry.
    pub(super) expires_at: Option<u64>,
    /// In milliseconds: when the last part was received.
    pub(super) completed_at: Option<u64>,
    /// In milliseconds.
    pub(super) created_at: u64,
}

/// A row of `GET /payments/outgoing`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outgoing {
    /// `lightning`, or one of those that move sats on the chain.
    pub(super) sub_type: String,
    /// A UUID.
    pub(super) payment_id: String,
    pub(super) payment_hash: Option<PaymentHash>,
    pub(super) preimage: Option<Preimage>,
    pub(super) is_paid: bool,
    /// What left in sats, with the fees, rounded down.
    pub(super) sent: u64,
    /// In msat. Zero until it is paid.
    pub(super) fees: u64,
    /// In milliseconds. Of a success and of a failure.
    pub(super) completed_at: Option<u64>,
    /// In milliseconds.
    pub(super) created_at: u64,
}

/// `POST /payinvoice` where it failed, or seems to have. A success has other fields.
#[derive(Deserialize)]
pub(super) struct NotPaid {
    pub(super) reason: String,
}

/// Why an answer is not one that can be acted on. Nothing of the body is kept: it may hold an invoice or a preimage.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misunderstood {
    /// There is no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The password is wrong, or of the limited kind where the full one is needed.
    #[error("phoenixd refuses the password")]
    Password,
    /// Another status than success.
    #[error("phoenixd answers with status {0}")]
    Status(u16),
    /// A chain that has no network among ours.
    #[error("phoenixd is on a chain that is not known")]
    Chain,
    /// Not the JSON that it should be.
    #[error("phoenixd's answer cannot be read: {what} at line {line}")]
    Shape {
        /// Of which kind the error is.
        what: &'static str,
        /// Where it is.
        line: usize,
    },
    /// It contradicts itself, the request, or reason.
    #[error("phoenixd's answer cannot be: {0}")]
    Contradiction(&'static str),
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Misunderstood> {
    use serde_json::error::Category;
    serde_json::from_slice(body).map_err(|error| Misunderstood::Shape {
        what: match error.classify() {
            Category::Io => "it cannot be read",
            Category::Syntax => "it is not JSON",
            Category::Data => "it has another shape",
            Category::Eof => "it is cut off",
        },
        line: error.line(),
    })
}

impl From<Misunderstood> for Error {
    fn from(why: Misunderstood) -> Self {
        Self::NoAnswer(Some(Box::new(why)))
    }
}

//! A deposit: an invoice that credits an account when it is paid.

use poa_common::{AccountId, DepositId, Msat, Network, Timestamp, WithdrawalId};
use poa_payment::PaymentHash;
use sha2::{Digest as _, Sha256};

/// Keeps this digest apart from any other use of SHA-256.
const DOMAIN: &[u8] = b"proof-of-agent deposit v1\0";

/// Where a deposit stands.
///
/// An expired deposit can still be settled: whatever our clock says, sats that arrived are the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The invoice waits.
    Open,
    /// Paid and credited.
    Settled,
    /// The node gave the invoice up.
    Expired,
}

/// A deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deposit {
    pub(crate) id: DepositId,
    pub(crate) account: AccountId,
    pub(crate) state: State,
    /// What the invoice asks for.
    pub(crate) amount: Msat,
    /// What arrived; nothing until settled.
    pub(crate) credited: Msat,
    pub(crate) invoice: String,
    pub(crate) hash: PaymentHash,
    pub(crate) create_time: Timestamp,
    pub(crate) expire_time: Timestamp,
    pub(crate) settle_time: Option<Timestamp>,
    /// The withdrawal that paid it within the ledger; none where the sats came from outside.
    pub(crate) paid_by: Option<WithdrawalId>,
}

/// What the invoice carries as its description hash: invoice and preimage together then prove that this deposit was paid.
/// SHA-256 of the domain, then network, deposit, account and amount, each with a line feed behind it.
pub(crate) fn digest(network: Network, deposit: DepositId, account: AccountId, amount: Msat) -> [u8; 32] {
    let text = format!("{network}\n{deposit}\n{account}\n{amount}\n");
    Sha256::new().chain_update(DOMAIN).chain_update(text).finalize().into()
}

// === impl State ===

impl State {
    /// The name in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
            Self::Expired => "expired",
        }
    }

    /// The state of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Settled, Self::Expired].into_iter().find(|state| state.as_str() == name)
    }

    /// Whether a stream about it ends.
    pub(crate) fn is_end(self) -> bool {
        match self {
            Self::Open => false,
            Self::Settled | Self::Expired => true,
        }
    }
}

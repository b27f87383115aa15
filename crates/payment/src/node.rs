//! What a node is and what it can do.

use poa_common::{Msat, Network};

use crate::{Chain, NodeId};

/// The node behind a provider. A changed identity means another node: what it does not know, it never knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its public key.
    pub node: NodeId,
    /// Which kind of sats it moves.
    pub network: Network,
    /// The chain in its invoices.
    pub chain: Chain,
    /// The height of the best block that it knows.
    pub height: u32,
    /// Whether it follows the chain: while it does not, its heights and expiries are stale.
    pub synced: bool,
}

/// What the node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What it can send, fees included.
    pub spendable: Msat,
    /// Accepted hold invoices: locked by payers, not ours.
    pub incoming: Msat,
    /// Payments in flight with their reserved fees: neither ours nor gone.
    pub outgoing: Msat,
    /// What was received and can never be spent (phoenixd's fee credit): a liability without backing.
    pub fee_credit: Msat,
    /// What is the node's outside of open channels: its wallet, and channels that are opening or closing. It backs what is
    /// owed, and cannot be sent.
    pub on_chain: Msat,
}

/// The smallest amount that a node can ask for or send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Millisatoshi.
    Msat,
    /// Whole satoshi.
    Sat,
}

/// Who decides what a payment costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeModel {
    /// The caller gives a limit and the node keeps it.
    Limited,
    /// The node takes a fixed fee and knows no limit: the caller reserves exactly this.
    Fixed {
        /// Per payment.
        base: Msat,
        /// Of the amount, in basis points (1/10,000).
        basis_points: u32,
    },
}

/// How one provider differs from the next. Hold invoices are a trait of their own:
/// [`Provider::hold_invoices`](crate::Provider::hold_invoices).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The smallest amount.
    pub unit: Unit,
    /// Whether a fee limit is kept.
    pub fees: FeeModel,
    /// Whether an invoice's final CLTV delta can be chosen.
    pub cltv_control: bool,
    /// Whether an open invoice can be cancelled. Where it cannot, it stays payable until it expires.
    pub cancels_invoices: bool,
    /// Whether a payment that the node does not know, long after its invoice ended and by the same identity, counts as never
    /// sent. Where it does not, an operator decides.
    pub absence_is_final: bool,
}

// === impl Unit ===

impl Unit {
    /// Whether an amount is positive, within all bitcoin there will be, and a whole number of this unit.
    pub fn fits(self, amount: Msat) -> bool {
        let whole = match self {
            Self::Msat => true,
            Self::Sat => amount.get() % 1_000 == 0,
        };
        whole && amount > Msat::ZERO && amount <= Msat::SUPPLY
    }
}

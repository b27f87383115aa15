//! What the node knows: its invoices, its payments, its balance.

use std::collections::BTreeMap;

use poa_common::Env;

use super::money::SAT;
use super::wallet::Wallet;

/// A hash or a preimage.
pub(super) type Bytes32 = [u8; 32];

/// What a new node can send.
const OPENING_BALANCE: u64 = 5_000_000 * SAT;
/// The height of its chain.
const HEIGHT: u32 = 3_000_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) wallet: Wallet,
    pub(super) outside: Wallet,
    /// What wallets outside would show for their invoices.
    pub(super) outside_preimages: BTreeMap<Bytes32, Bytes32>,
    /// In the order of their making.
    pub(super) incoming: Vec<Incoming>,
    /// In the order of their beginning.
    pub(super) outgoing: Vec<Outgoing>,
    /// Msat that can be sent. Below zero is what no node can be.
    pub(super) balance: i64,
    /// Msat that were received and can only pay for liquidity.
    pub(super) fee_credit: u64,
    /// Whether the one channel is connected.
    pub(super) connected: bool,
    /// `testnet3`, or whatever a test makes of it.
    pub(super) chain: String,
    /// `None` until it has heard of a block.
    pub(super) height: Option<u32>,
}

/// A row of the incoming payments.
#[derive(Clone, Debug)]
pub(super) enum Incoming {
    /// An invoice.
    Lightning(Box<Invoice>),
    /// Sats from the chain, which the API drops from its pages.
    OnChain {
        /// Milliseconds.
        created_at: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) hash: Bytes32,
    pub(super) preimage: Bytes32,
    pub(super) bolt11: String,
    pub(super) description: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) webhook: Option<String>,
    pub(super) requested_msat: Option<u64>,
    pub(super) expiry_seconds: Option<u64>,
    /// Milliseconds.
    pub(super) created_at: u64,
    pub(super) received: Option<Received>,
}

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// After the fees. Below zero where they were more.
    pub(super) msat: i64,
    pub(super) fees_msat: u64,
    /// Milliseconds.
    pub(super) at: u64,
}

/// A row of the outgoing payments.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) id: String,
    /// Milliseconds.
    pub(super) created_at: u64,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Lightning {
        hash: Bytes32,
        bolt11: String,
        /// What the payee gets.
        amount_msat: u64,
        status: Status,
    },
    /// Sats that left on the chain.
    OnChain { sub_type: String, sat: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Succeeded {
        preimage: Bytes32,
        fees_msat: u64,
        at: u64,
    },
    Failed {
        /// Said to whoever waits, and kept from lookups.
        reason: String,
        at: u64,
    },
}

// === impl State ===

impl State {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            wallet: Wallet::new(env),
            outside: Wallet::new(env),
            outside_preimages: BTreeMap::new(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            balance: i64::try_from(OPENING_BALANCE).expect("a balance that can be"),
            fee_credit: 0,
            connected: true,
            chain: "testnet3".to_owned(),
            height: Some(HEIGHT),
        }
    }

    pub(super) fn invoice(&self, hash: Bytes32) -> Option<&Invoice> {
        self.incoming.iter().find_map(|row| match row {
            Incoming::Lightning(invoice) if invoice.hash == hash => Some(&**invoice),
            Incoming::Lightning(_) | Incoming::OnChain { .. } => None,
        })
    }

    /// All attempts to pay a hash.
    pub(super) fn attempts(&self, hash: Bytes32) -> impl Iterator<Item = (&Outgoing, &Status)> {
        self.outgoing.iter().filter_map(move |row| match &row.kind {
            Kind::Lightning { hash: of, status, .. } if *of == hash => Some((row, status)),
            Kind::Lightning { .. } | Kind::OnChain { .. } => None,
        })
    }
}

// === impl Incoming ===

impl Incoming {
    pub(super) fn created_at(&self) -> u64 {
        match self {
            Self::Lightning(invoice) => invoice.created_at,
            Self::OnChain { created_at } => *created_at,
        }
    }

    /// When it was received, if it was.
    pub(super) fn received_at(&self) -> Option<u64> {
        match self {
            Self::Lightning(invoice) => invoice.received.map(|received| received.at),
            Self::OnChain { created_at } => Some(*created_at),
        }
    }
}

// === impl Invoice ===

impl Invoice {
    /// In milliseconds; an invoice without an expiry of its own has an hour, and says none.
    pub(super) fn expires_at(&self) -> Option<u64> {
        self.expiry_seconds.map(|seconds| self.created_at.saturating_add(seconds.saturating_mul(1_000)))
    }

    /// Whether it is refused by now, in whole seconds as BOLT11 counts.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.created_at / 1_000 + self.expiry_seconds.unwrap_or(3_600) <= now / 1_000
    }
}

// === impl Outgoing ===

impl Outgoing {
    /// When it succeeded, if it did.
    pub(super) fn succeeded_at(&self) -> Option<u64> {
        match &self.kind {
            Kind::Lightning { status: Status::Succeeded { at, .. }, .. } => Some(*at),
            Kind::Lightning { .. } => None,
            Kind::OnChain { .. } => Some(self.created_at),
        }
    }
}

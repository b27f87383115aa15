//! Which invoices a withdrawal may pay, and what it reserves for the route.

use poa_common::{Msat, MsatError, Timestamp};
use poa_payment::{Capabilities, DecodeError, Decoded, FeeModel, Info, NodeId, PaymentHash};

/// A payee that asks for more blocks could lock our sats for more than three days.
const MAX_FINAL_CLTV_BLOCKS: u64 = 432;
/// The default fee limit in basis points: 1 %.
const DEFAULT_LIMIT_BASIS_POINTS: u32 = 100;
/// The smallest default fee limit: 5 sat.
const MIN_DEFAULT_LIMIT: Msat = Msat::new(5_000);

/// An invoice that may be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payable {
    pub(crate) hash: PaymentHash,
    pub(crate) amount: Msat,
    pub(crate) expire_time: Timestamp,
    /// Who is paid.
    pub(crate) payee: NodeId,
    /// Whether that is our own node: such an invoice is paid within the ledger, or not at all.
    pub(crate) own: bool,
    pub(crate) description_hash: Option<[u8; 32]>,
}

/// Why an invoice is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not BOLT11.
    #[error("it is not a valid BOLT11 invoice")]
    Malformed,
    /// Of another chain.
    #[error("it is for another network")]
    Network,
    /// Without an amount.
    #[error("it names no amount")]
    Amount,
    /// More precise than the node can pay.
    #[error("its amount is not a whole number of the node's unit")]
    Unit,
    /// Too late.
    #[error("it has expired")]
    Expired,
    /// Our own node's, and no deposit that the ledger could pay.
    #[error("it is this platform's own, and no open deposit: sats do not leave by it")]
    OwnNode,
    /// It could lock our sats for days.
    #[error("it asks for a final CLTV delta of more than {MAX_FINAL_CLTV_BLOCKS} blocks")]
    Cltv,
    /// The faucet alone: more than there is.
    #[error("its amount is more than there is")]
    OutOfRange,
    /// The faucet alone: not an invoice of this node.
    #[error("it is not this node's")]
    NotOurs,
    /// It can no longer be paid: it was paid, or given up.
    #[error("it is not open any more")]
    NotOpen,
    /// Not of the amount that it is to pay.
    #[error("it is not of the same amount")]
    OtherAmount,
}

/// Whether a withdrawal may pay this invoice from this node.
pub(crate) fn payable(
    decoded: Result<Decoded, DecodeError>,
    info: &Info,
    capabilities: Capabilities,
    now: Timestamp,
) -> Result<Payable, Problem> {
    let decoded = decoded.map_err(|_| Problem::Malformed)?;
    if decoded.chain != info.chain {
        return Err(Problem::Network);
    }
    let amount = decoded.amount.filter(|amount| *amount > Msat::ZERO).ok_or(Problem::Amount)?;
    if !capabilities.unit.fits(amount) {
        return Err(Problem::Unit);
    }
    if decoded.expires_at <= now {
        return Err(Problem::Expired);
    }
    if decoded.min_final_cltv > MAX_FINAL_CLTV_BLOCKS {
        return Err(Problem::Cltv);
    }
    Ok(Payable {
        hash: decoded.hash,
        amount,
        expire_time: decoded.expires_at,
        payee: decoded.payee,
        own: decoded.payee == info.node,
        description_hash: decoded.description_hash,
    })
}

/// What is reserved for the route: what the caller allows, or the default, or exactly what a node takes that keeps no limit.
pub(crate) fn fee_limit(amount: Msat, asked: Option<Msat>, fees: FeeModel) -> Result<Msat, MsatError> {
    match (fees, asked) {
        (FeeModel::Limited, Some(asked)) => Ok(asked),
        (FeeModel::Limited, None) => {
            Ok(amount.share_floor(DEFAULT_LIMIT_BASIS_POINTS)?.max(MIN_DEFAULT_LIMIT))
        }
        (FeeModel::Fixed { base, basis_points }, _) => {
            // Rounded up: a reserve that is an msat short would be the platform's loss.
            base.checked_add(amount.share_floor(basis_points)?)?.checked_add(Msat::new(1))
        }
    }
}

// === impl Problem ===

impl Problem {
    /// The name for a program.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Network => "network",
            Self::Amount => "amount",
            Self::Unit => "unit",
            Self::Expired => "expired",
            Self::OwnNode => "own-node",
            Self::Cltv => "cltv",
            Self::OutOfRange => "out-of-range",
            Self::NotOurs => "not-ours",
            Self::NotOpen => "not-open",
            Self::OtherAmount => "other-amount",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::Network;
    use poa_payment::{Chain, NodeId, Unit};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn info() -> Info {
        Info {
            node: NodeId::new([2; 33]),
            network: Network::Simulated,
            chain: Chain::Simnet,
            height: 1,
            synced: true,
        }
    }

    fn invoice() -> Decoded {
        Decoded {
            hash: PaymentHash::new([1; 32]),
            amount: Some(Msat::new(5_500)),
            payee: NodeId::new([3; 33]),
            expires_at: NOW + time::Duration::SECOND,
            description_hash: None,
            chain: Chain::Simnet,
            min_final_cltv: 80,
        }
    }

    fn check(decoded: Result<Decoded, DecodeError>, unit: Unit) -> Result<Payable, Problem> {
        let capabilities = Capabilities {
            unit,
            fees: FeeModel::Limited,
            cltv_control: true,
            cancels_invoices: true,
            absence_is_final: true,
        };
        payable(decoded, &info(), capabilities, NOW)
    }

    #[test]
    fn an_invoice_is_paid_or_refused_for_one_reason() {
        let sound = check(Ok(invoice()), Unit::Msat).unwrap();
        assert_eq!(sound.amount, Msat::new(5_500));
        let edited = |edit: fn(&mut Decoded)| {
            let mut decoded = invoice();
            edit(&mut decoded);
            check(Ok(decoded), Unit::Msat)
        };
        assert_eq!(check(Err(DecodeError::Malformed), Unit::Msat), Err(Problem::Malformed));
        assert_eq!(edited(|invoice| invoice.chain = Chain::Bitcoin), Err(Problem::Network));
        assert_eq!(edited(|invoice| invoice.amount = None), Err(Problem::Amount));
        assert_eq!(edited(|invoice| invoice.amount = Some(Msat::ZERO)), Err(Problem::Amount));
        assert!(!sound.own && edited(|invoice| invoice.payee = NodeId::new([2; 33])).unwrap().own);
        assert_eq!(edited(|invoice| invoice.expires_at = NOW), Err(Problem::Expired));
        assert_eq!(edited(|invoice| invoice.min_final_cltv = 433), Err(Problem::Cltv));
        assert_eq!(check(Ok(invoice()), Unit::Sat), Err(Problem::Unit));
    }

    #[test]
    fn a_fee_limit_is_asked_for_or_one_per_cent_or_what_the_node_takes() {
        let limit = |amount, asked: Option<i64>, fees| {
            fee_limit(Msat::new(amount), asked.map(Msat::new), fees).unwrap().get()
        };
        assert_eq!(limit(10_000_000, None, FeeModel::Limited), 100_000);
        assert_eq!(limit(10_000, None, FeeModel::Limited), 5_000);
        assert_eq!(limit(10_000, Some(0), FeeModel::Limited), 0);
        let fixed = FeeModel::Fixed { base: Msat::new(4_000), basis_points: 40 };
        assert_eq!(limit(1_000_000, Some(0), fixed), 8_001);
    }
}

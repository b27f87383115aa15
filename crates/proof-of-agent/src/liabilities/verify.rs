//! Offline verification of a balance's proof against a trust root.

use poa_common::{AccountId, LiabilitiesId, Msat, Network, Timestamp};
use serde::Serialize;

use super::tree::{climb, leaf};
use super::{BalanceProof, Liabilities, LiabilitiesError, LiabilitiesStatement, SumNode};
use crate::digest::Digest;
use crate::json;
use crate::tlog::{LogEntry, verify_inclusion};
use crate::trust::TrustRoot;

/// What a proof shows. It serialises under the JSON rules of receipts, for scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBalance {
    /// Which kind of sats: simulated sats are no money.
    pub network: Network,
    /// Whose balance.
    pub account: AccountId,
    /// What the account was owed, available and held, in msat.
    #[serde(rename = "balanceMsat", with = "json::msat")]
    pub balance: Msat,
    /// The snapshot that it is in.
    pub snapshot: LiabilitiesId,
    /// When the balances were read, by the platform's clock.
    #[serde(with = "json::utc")]
    pub snapshot_time: Timestamp,
    /// What all accounts were owed together, by the platform's signature, in msat.
    #[serde(rename = "liabilitiesMsat", with = "json::msat")]
    pub liabilities: Msat,
    /// How many accounts.
    pub leaf_count: u64,
    /// Where the statement stands in the log.
    pub log_index: u64,
    /// The entries of the log of which this is said.
    pub log_size: u64,
    /// The digest of the trust root that it was held against.
    pub trust_root: Digest,
}

/// Verifies a proof. Pure: the same arguments give the same answer, offline, for ever.
///
/// It checks, in this order: that the trust root has not expired at `time`; that the proof is of the trust root's network;
/// the checkpoint's signature, and that its log is not smaller than `min_log_size`; the statement's signature, by a receipt
/// key of the trust root, and that it is of this network, log and snapshot; that it is in the log; and that the leaf of
/// this account, with this balance, leads to the root and the sum that were signed.
///
/// # Errors
/// One variant per check.
pub fn verify_balance(
    proof: &BalanceProof,
    trust_root: &TrustRoot,
    min_log_size: u64,
    time: Timestamp,
) -> Result<VerifiedBalance, LiabilitiesError> {
    if let Some(expires) = trust_root.expires().filter(|expires| *expires <= time) {
        return Err(LiabilitiesError::TrustRootExpired { expires });
    }
    let network = |found: Network| {
        let expected = trust_root.network();
        if found == expected { Ok(()) } else { Err(LiabilitiesError::Network { expected, found }) }
    };
    network(proof.network)?;
    let (checkpoint, _) = trust_root.open_checkpoint(&proof.checkpoint)?;
    if checkpoint.size < min_log_size {
        return Err(LiabilitiesError::LogShrank { expected: min_log_size, found: checkpoint.size });
    }
    let statement = LiabilitiesStatement::open(&proof.envelope)?;
    if !trust_root.may_sign_receipts(statement.signer(), proof.log_index) {
        return Err(LiabilitiesError::NotAReceiptKey(statement.signer()));
    }
    network(statement.network())?;
    if !trust_root.has_origin(statement.origin()) {
        return Err(LiabilitiesError::Origin);
    }
    let stated = statement.notice();
    if stated.snapshot != proof.snapshot {
        return Err(LiabilitiesError::OtherSnapshot);
    }
    let entry = LogEntry::of_notice::<Liabilities>(&proof.envelope)?.leaf_hash();
    verify_inclusion(&entry, proof.log_index, checkpoint.size, &proof.log_proof, &checkpoint.root)
        .map_err(LiabilitiesError::NotInLog)?;
    let own = leaf(proof.account, &proof.salt, proof.balance_msat)?;
    let path: Vec<SumNode> = proof.path.iter().map(|step| SumNode::from(*step)).collect();
    let found = climb(own, proof.leaf_index, stated.leaf_count, &path)?;
    if found != (SumNode { hash: stated.root, sum: stated.liabilities }) {
        return Err(LiabilitiesError::OtherRoot);
    }
    Ok(VerifiedBalance {
        network: proof.network,
        account: proof.account,
        balance: proof.balance_msat,
        snapshot: proof.snapshot,
        snapshot_time: stated.snapshot_time,
        liabilities: stated.liabilities,
        leaf_count: stated.leaf_count,
        log_index: proof.log_index,
        log_size: checkpoint.size,
        trust_root: trust_root.digest(),
    })
}

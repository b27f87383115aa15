//! Offline verification of a receipt bundle against a trust root.

mod error;
mod verified;

use poa_common::{Network, Timestamp};

pub use error::VerifyError;
pub use verified::{Check, Outcome, Requester, Verified};

use crate::bundle::{Bundle, BundleEntry};
use crate::chain::Chain;
use crate::checkpoint::Checkpoint;
use crate::statement::Statement;
use crate::tlog::{LogEntry, verify_inclusion};
use crate::trust::TrustRoot;

/// What a verifier demands beyond a receipt that is genuine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Refuse a receipt that does not prove a payment to the agent's account.
    pub require_paid: bool,
    /// Refuse a receipt of another network, whatever the trust root says.
    pub network: Option<Network>,
    /// Refuse a checkpoint of a smaller log than the verifier has seen before.
    pub min_log_size: u64,
}

/// Verifies a bundle. Pure: the same arguments give the same answer, offline, for ever.
///
/// It checks, in this order: that the trust root has not expired at `time`; that the bundle is of the trust root's
/// network and log; the checkpoint's signature; each envelope's signature; the grammar of the chain, with
/// the platform's keys from the trust root; that each statement is in the log, in the chain's order; inline input
/// and result against the digests that were signed; and the policy.
pub fn verify(
    bundle: &Bundle,
    trust_root: &TrustRoot,
    policy: &Policy,
    time: Timestamp,
) -> Result<Verified, VerifyError> {
    if let Some(expires) = trust_root.expires().filter(|expires| *expires <= time) {
        return Err(VerifyError::TrustRootExpired { expires });
    }
    let network = trust_root.network();
    if bundle.network != network || policy.network.is_some_and(|wanted| wanted != network) {
        let expected = policy.network.unwrap_or(network);
        return Err(VerifyError::Network { expected, found: bundle.network });
    }
    let checkpoint = Checkpoint::open(&bundle.checkpoint, trust_root.log_keys())?;
    if checkpoint.size < policy.min_log_size {
        return Err(VerifyError::LogShrank { expected: policy.min_log_size, found: checkpoint.size });
    }
    let chain = replay(bundle, trust_root, &checkpoint)?;
    let verified = verified::describe(&chain, bundle, trust_root, &checkpoint)?;
    if policy.require_paid && !verified.is_paid() {
        return Err(VerifyError::NotPaid { position: chain.position() });
    }
    Ok(verified)
}

/// Opens every envelope, holds it against the chain and against the log.
fn replay(bundle: &Bundle, trust_root: &TrustRoot, checkpoint: &Checkpoint) -> Result<Chain, VerifyError> {
    let mut chain = Chain::new(trust_root.receipt_keys());
    let mut before: Option<&BundleEntry> = None;
    for (place, entry) in bundle.entries.iter().enumerate() {
        let statement = entry.envelope.open().map_err(|source| VerifyError::Envelope { place, source })?;
        belongs(&statement, bundle, trust_root, place)?;
        logged(entry, &statement, checkpoint, place)?;
        if before.is_some_and(|before| before.log_index >= entry.log_index) {
            return Err(VerifyError::LogOrder { place });
        }
        // The platform says where it logged the submission, and the submission is just before.
        if let Some(received) = statement.body().as_work_received()
            && before.is_some_and(|before| before.log_index != received.submission_log_index)
        {
            return Err(VerifyError::SubmissionIndex { place });
        }
        chain.append(statement).map_err(|source| VerifyError::Chain { place, source })?;
        before = Some(entry);
    }
    if chain.is_empty() { Err(VerifyError::Empty) } else { Ok(chain) }
}

fn belongs(
    statement: &Statement,
    bundle: &Bundle,
    trust_root: &TrustRoot,
    place: usize,
) -> Result<(), VerifyError> {
    let context = statement.context();
    if context.network != trust_root.network() {
        return Err(VerifyError::Network { expected: trust_root.network(), found: context.network });
    }
    if context.origin != trust_root.origin() {
        return Err(VerifyError::Origin { place });
    }
    if context.task != bundle.task {
        return Err(VerifyError::Task { place });
    }
    Ok(())
}

fn logged(
    entry: &BundleEntry,
    statement: &Statement,
    checkpoint: &Checkpoint,
    place: usize,
) -> Result<(), VerifyError> {
    if entry.log_index >= checkpoint.size {
        return Err(VerifyError::Pending { place });
    }
    let leaf = LogEntry::of_opened(&entry.envelope, statement)
        .map_err(|source| VerifyError::Envelope { place, source })?
        .leaf_hash();
    verify_inclusion(&leaf, entry.log_index, checkpoint.size, &entry.proof, &checkpoint.root)
        .map_err(|source| VerifyError::NotInLog { place, source })
}

//! Offline verification of a receipt bundle against a trust root.

mod agent;
mod error;
mod verified;

use poa_common::{Network, Timestamp};

pub use agent::{KeyState, TrustLevel, verify_evidence};
pub use error::VerifyError;
pub use verified::{Check, Outcome, Requester, Verified};

use crate::bundle::{Bundle, BundleEntry};
use crate::chain::Chain;
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::reputation::{Facts, Verdict};
use crate::statement::{Role, Statement};
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
    /// The digest of the build that the verifier has made from the source by itself: see [`TrustLevel::Reproduced`].
    pub reproduced_build: Option<Digest>,
    /// Refuse a receipt whose run is shown to be less than this.
    pub min_level: Option<TrustLevel>,
}

/// Verifies a bundle. Pure: the same arguments give the same answer, offline, for ever.
///
/// It checks, in this order: that the trust root has not expired at `time`; that the bundle is of the trust root's
/// network and log; the checkpoint's signature and its witnesses; each envelope's signature; the grammar of the chain, with
/// the platform's keys from the trust root; that each statement is in the log, in the chain's order, under a key that may sign
/// there; the agent's key against its events in the log; the agent's version and evidence; inline input and result against the
/// digests that were signed; and the policy.
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
        let expected = policy.network.filter(|_| bundle.network == network).unwrap_or(network);
        return Err(VerifyError::Network { expected, found: bundle.network });
    }
    let (checkpoint, witnesses) = trust_root.open_checkpoint(&bundle.checkpoint)?;
    if checkpoint.size < policy.min_log_size {
        return Err(VerifyError::LogShrank { expected: policy.min_log_size, found: checkpoint.size });
    }
    let chain = replay(bundle, trust_root, &checkpoint)?;
    let agent = agent::inspect(&chain, bundle, trust_root, &checkpoint, policy)?;
    let verified = verified::describe(&chain, bundle, trust_root, &checkpoint, witnesses, agent)?;
    if policy.require_paid && !verified.is_paid() {
        return Err(VerifyError::NotPaid { position: chain.position() });
    }
    if let Some(wanted) = policy.min_level.filter(|wanted| verified.level < *wanted) {
        return Err(VerifyError::Level { wanted, found: verified.level });
    }
    Ok(verified)
}

/// Opens every envelope, holds it against the chain and against the log.
fn replay(bundle: &Bundle, trust_root: &TrustRoot, checkpoint: &Checkpoint) -> Result<Chain, VerifyError> {
    let mut chain = Chain::new(trust_root.receipt_keys()).with_arbiters(trust_root.arbiter_keys());
    let mut before: Option<&BundleEntry> = None;
    for (place, entry) in bundle.entries.iter().enumerate() {
        let opened = entry.envelope.open_signed();
        let (statement, signature) = opened.map_err(|source| VerifyError::Envelope { place, source })?;
        belongs(&statement, bundle, trust_root, place)?;
        record(entry, &chain, &statement, place)?;
        logged(entry, LogEntry::of_signed(&statement, signature), checkpoint, place)?;
        if before.is_some_and(|before| before.log_index >= entry.log_index) {
            return Err(VerifyError::LogOrder { place });
        }
        // The platform says where it logged the submission, and the submission is just before.
        if let Some(received) = statement.body().as_work_received()
            && before.is_some_and(|before| before.log_index != received.submission_log_index)
        {
            return Err(VerifyError::SubmissionIndex { place });
        }
        let (role, signer) = (statement.context().role, statement.context().signer);
        chain.append(statement).map_err(|source| VerifyError::Chain { place, source })?;
        let in_range = match role {
            Role::Platform => trust_root.may_sign_receipts(signer, entry.log_index),
            Role::Arbiter => trust_root.may_judge(signer, entry.log_index),
            Role::Requester | Role::Agent => true,
        };
        if !in_range {
            return Err(VerifyError::KeyRange { place, key: signer });
        }
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
    if !trust_root.has_origin(&context.origin) {
        return Err(VerifyError::Origin { place });
    }
    if context.task != bundle.task {
        return Err(VerifyError::Task { place });
    }
    Ok(())
}

/// The public record that stands in the log says what the chain says. What became of a claim that lapsed stands with the claim
/// after it, and a receipt leaves the lapsed one out: there is nothing to hold it against.
fn record(
    entry: &BundleEntry,
    chain: &Chain,
    statement: &Statement,
    place: usize,
) -> Result<(), VerifyError> {
    let expected = Facts::of(chain, statement);
    let found = entry.record.map(|record| record.facts);
    let is_of_a_lapsed_claim = statement.body().as_terms_accepted().is_some_and(|accepted| {
        accepted.claim_number > 1 && found.is_some_and(|facts| facts.verdict == Verdict::Lapsed)
    });
    if found == expected || (expected.is_none() && is_of_a_lapsed_claim) {
        Ok(())
    } else {
        Err(VerifyError::Record { place })
    }
}

fn logged(
    entry: &BundleEntry,
    logged: LogEntry,
    checkpoint: &Checkpoint,
    place: usize,
) -> Result<(), VerifyError> {
    if entry.log_index >= checkpoint.size {
        return Err(VerifyError::Pending { place });
    }
    let leaf = logged.with_record(entry.record).leaf_hash();
    verify_inclusion(&leaf, entry.log_index, checkpoint.size, &entry.proof, &checkpoint.root)
        .map_err(|source| VerifyError::NotInLog { place, source })
}

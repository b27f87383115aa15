//! Why a receipt is not believed: one variant per cause.

use poa_common::{Network, Timestamp};

use super::TrustLevel;
use crate::chain::{ChainError, Position};
use crate::checkpoint::CheckpointError;
use crate::did::DidKey;
use crate::dsse::EnvelopeError;
use crate::tlog::TlogError;

/// Why a receipt is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The trust root is too old.
    #[error("the trust root expired at {expires}: get a newer one from someone you trust")]
    TrustRootExpired {
        /// When it expired.
        expires: Timestamp,
    },
    /// Another network than was asked for.
    #[error("the receipt is of the network {found}, expected {expected}")]
    Network {
        /// What the trust root or the policy asks for.
        expected: Network,
        /// What the receipt says.
        found: Network,
    },
    /// The checkpoint is not signed by the trusted log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The log is smaller than it was before.
    #[error("the log has {found} entries, and had at least {expected} before: it was forked or rolled back")]
    LogShrank {
        /// What the verifier saw before.
        expected: u64,
        /// What the checkpoint says.
        found: u64,
    },
    /// No statement at all.
    #[error("the bundle holds no statement")]
    Empty,
    /// An envelope is not a signed statement.
    #[error("statement {place}: {source}")]
    Envelope {
        /// The place in the bundle, counted from 0.
        place: usize,
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// A statement names another log than the trust root.
    #[error("statement {place} was made for another log than the trusted one")]
    Origin {
        /// The place in the bundle, counted from 0.
        place: usize,
    },
    /// A statement is of another task than the bundle.
    #[error("statement {place} is of another task than the bundle")]
    Task {
        /// The place in the bundle, counted from 0.
        place: usize,
    },
    /// The log has promised a place for the statement, and has not published it yet.
    #[error("statement {place} is not in the published log yet: get the bundle again in a moment")]
    Pending {
        /// The place in the bundle, counted from 0.
        place: usize,
    },
    /// A statement is not in the log at the place that the bundle gives.
    #[error("statement {place} is not proved to be in the log: {source}")]
    NotInLog {
        /// The place in the bundle, counted from 0.
        place: usize,
        /// What is wrong with the proof.
        source: TlogError,
    },
    /// A statement was logged before the one that it follows.
    #[error("statement {place} was logged before the statement that it follows")]
    LogOrder {
        /// The place in the bundle, counted from 0.
        place: usize,
    },
    /// The platform named another place for the submission than where it is.
    #[error("statement {place} names another place in the log than that of the submission")]
    SubmissionIndex {
        /// The place in the bundle, counted from 0.
        place: usize,
    },
    /// A statement is signed with a key that may not sign at its place in the log.
    #[error("statement {place} is signed with {key}, which may not sign at its place in the log")]
    KeyRange {
        /// The place in the bundle, counted from 0.
        place: usize,
        /// The key.
        key: DidKey,
    },
    /// The public record of a statement says something else than the chain, or is missing, or stands where there is none.
    #[error("the public record of statement {place} is not what the chain says")]
    Record {
        /// The place in the bundle, counted from 0.
        place: usize,
    },
    /// A key event, or the agent's version, is not what it must be.
    #[error("{notice}: {problem}")]
    Notice {
        /// Which one.
        notice: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The event that made the key the agent's is not there.
    #[error("the bundle does not show the event that made {key} the agent's key")]
    NoKeyEvent {
        /// The key.
        key: DidKey,
    },
    /// Somebody else may have signed.
    #[error("the agent's key was compromised since {since}, before the work was received")]
    AgentKeyCompromised {
        /// Since when.
        since: Timestamp,
    },
    /// The evidence of a trusted execution environment does not hold.
    #[error("the evidence of a trusted execution environment: {0}")]
    Evidence(String),
    /// The policy asks for more than is shown of the run.
    #[error("the receipt shows a run of level {found}, and {wanted} is asked for")]
    Level {
        /// What the policy asks for.
        wanted: TrustLevel,
        /// What is shown.
        found: TrustLevel,
    },
    /// A statement may not stand where it stands.
    #[error("statement {place}: {source}")]
    Chain {
        /// The place in the bundle, counted from 0.
        place: usize,
        /// Why.
        source: ChainError,
    },
    /// The input is not the one that the terms name.
    #[error("the input is not the one that the terms name")]
    OtherInput,
    /// The result is not the one that the agent signed.
    #[error("the result is not the one that the agent signed")]
    OtherResult,
    /// There is a result, and the receipt is about none.
    #[error("the receipt is about no result: nothing was submitted")]
    NoResult,
    /// The policy asks for a payment, and there is none.
    #[error("the receipt proves no payment: the task is {position}")]
    NotPaid {
        /// Where the task stands.
        position: Position,
    },
}

//! Why a statement may not stand where it stands.

use super::{MAX_STATEMENTS, Position};
use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::EnvelopeError;
use crate::statement::Kind;

/// Why a statement does not continue a chain, or a chain does not allow a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An envelope is not a signed statement.
    #[error("statement {place} of the chain: {source}")]
    Envelope {
        /// The place in the chain, counted from 0.
        place: usize,
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// More than [`MAX_STATEMENTS`], or so many that a claim or a resubmission would leave no room for the end.
    #[error(
        "the chain is too long: it has room for {MAX_STATEMENTS} statements, and the last few are kept for its end"
    )]
    TooLong,
    /// The grammar does not allow this kind here.
    #[error("a statement {kind} of this content cannot follow when the task is {position}")]
    Order {
        /// Where the task stands.
        position: Position,
        /// What was to follow.
        kind: Kind,
    },
    /// The statement names another predecessor than the one it would follow.
    #[error("the statement {kind} does not name the statement before it")]
    Predecessor {
        /// The kind of the statement.
        kind: Kind,
        /// What it had to name.
        expected: Digest,
    },
    /// A field differs from what an earlier statement of the chain fixed.
    #[error("{field} of the statement {kind} differs from what the chain says")]
    Mismatch {
        /// The kind of the statement.
        kind: Kind,
        /// The field, in its JSON spelling.
        field: &'static str,
    },
    /// A claim number that is not above the one before.
    #[error("the claim number {found} is not above {before}, the one before")]
    ClaimNumber {
        /// The claim before.
        before: u32,
        /// The claim that was to follow.
        found: u32,
    },
    /// A statement in the platform's role by a key that is not one of its receipt keys.
    #[error("{0} is not a receipt key of the platform")]
    NotAReceiptKey(DidKey),
    /// A statement in an arbiter's role by a key that is not an arbiter's.
    #[error("{0} is not the key of an arbiter")]
    NotAnArbiterKey(DidKey),
    /// The platform saw the agent's key compromised: the result cannot be taken.
    #[error("the agent's key was reported as compromised when the work arrived")]
    AgentKeyCompromised,
    /// The decision is not one that the terms' release policy knows.
    #[error("the release policy of the terms does not allow this decision")]
    Policy,
    /// The decision names a criterion that the terms do not have.
    #[error("the terms have no criterion with this place")]
    NoSuchCriterion,
    /// The escrow's mandate is for other terms.
    #[error("the chain is about other terms than those for which the sats are held")]
    OtherTerms {
        /// The digest of the terms in the chain.
        found: Digest,
    },
    /// The chain ends where no release is allowed.
    #[error("the task is {position}: that allows no release")]
    NotApproved {
        /// Where the task stands.
        position: Position,
    },
}

//! Proof of liabilities: what the platform owes in all, and that one balance is in it.
//!
//! The balances of a moment are the leaves of a Merkle-sum tree: each node carries the sum of what is below it, and its hash
//! commits to both sums. The platform signs root and total, and gives the statement a place in the log. Whoever is owed
//! something gets a [`BalanceProof`], and checks it offline with [`verify_balance`]. The bytes are described in
//! docs/protocol/liabilities.md.
//!
//! A proof shows that this balance counts in the total. That nobody else's was left out shows in that the others check theirs.

mod proof;
mod statement;
mod tree;
mod verify;

pub use proof::{BalanceProof, MAX_PROOF_BYTES, Parts, PathStep};
pub use statement::{Liabilities, LiabilitiesStatement};
pub use tree::{MAX_LEAVES, SALT_BYTES, SumNode, leaf, node, path, root};
pub use verify::{VerifiedBalance, verify_balance};

use poa_common::{Network, Timestamp};

use crate::checkpoint::CheckpointError;
use crate::did::DidKey;
use crate::dsse::EnvelopeError;
use crate::tlog::TlogError;

/// Why liabilities cannot be stated, or a balance's proof is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiabilitiesError {
    /// A negative amount, or a sum beyond all bitcoin there will be.
    #[error("a balance or a sum is negative, or more than all bitcoin")]
    Amount,
    /// A tree without leaves, with too many, or a place outside of it.
    #[error("the place lies outside the tree")]
    Place,
    /// The path has too few or too many steps for this place.
    #[error("the path does not have the length that this place needs")]
    PathLength,
    /// The path leads to another root or another sum than the signed one.
    #[error("the path does not lead to the root and the sum that the platform signed")]
    OtherRoot,
    /// Not a proof of the documented shape.
    #[error("the proof is malformed: {0}")]
    Malformed(String),
    /// Of a version that this verifier does not read.
    #[error("the proof is of the unknown version {0}: use a newer verifier")]
    UnknownVersion(u32),
    /// Larger than a proof may be.
    #[error("the proof has more {0} than a proof may have")]
    Limit(&'static str),
    /// The trust root is too old.
    #[error("the trust root expired at {expires}: get a newer one from someone you trust")]
    TrustRootExpired {
        /// When it expired.
        expires: Timestamp,
    },
    /// Another network than the trust root's.
    #[error("the proof is of the network {found}, expected {expected}")]
    Network {
        /// What the trust root says.
        expected: Network,
        /// What the proof says.
        found: Network,
    },
    /// The statement names another log than the trust root.
    #[error("the liabilities were stated for another log than the trusted one")]
    Origin,
    /// The statement is of another snapshot than the proof.
    #[error("the signed liabilities are of another snapshot than the proof")]
    OtherSnapshot,
    /// The envelope is not a signed statement of liabilities.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The signer is not the platform.
    #[error("{0} is not a receipt key of the platform")]
    NotAReceiptKey(DidKey),
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
    /// The statement is not in the log at the place that the proof gives.
    #[error("the liabilities are not proved to be in the log: {0}")]
    NotInLog(TlogError),
}

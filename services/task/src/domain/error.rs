//! Why a verb is refused.

use proof_of_agent::StatementError;

use super::criteria::Failed;
use super::state::State;

/// Why a verb is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DomainError {
    /// The state does not allow it.
    #[error("a task that is {0} does not allow this")]
    State(State),
    /// The agent does not hold the claim.
    #[error("the claim is not held by this agent: the task is {0}")]
    ClaimNotHeld(State),
    /// The signature does not hold, or signs something else than the call says.
    #[error("the signature does not hold: {0}")]
    Signature(String),
    /// The statement does not continue the chain.
    #[error("the chain does not go on like this: {0}")]
    Chain(String),
    /// The result fails a criterion.
    #[error("the result fails criterion {}: {}", .0.place, .0.why)]
    Criterion(Failed),
    /// The criteria were not checked against this task's terms.
    #[error("the result was not checked against the terms")]
    Unchecked,
    /// A statement before is not in the log yet.
    #[error("the statement before is not logged yet")]
    Pending,
    /// The table of states does not know this change: a bug.
    #[error("no edge leads from {0} to {1}")]
    Edge(State, State),
    /// A statement of the platform's cannot be built: a bug.
    #[error("a statement cannot be built: {0}")]
    Statement(#[from] StatementError),
    /// What is stored contradicts itself: a bug.
    #[error("the stored task contradicts itself: {0}")]
    Corrupt(&'static str),
}

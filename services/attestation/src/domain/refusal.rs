//! Why a statement is not appended, or a question not answered.

use poa_common::{AgentId, FieldViolation};
use proof_of_agent::{ChainError, EnvelopeError, StatementError};

/// Why a statement is not appended. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A field is not as it should be: a statement that is none, for one.
    #[error("{} is not as the contract says: {}", .0.field, .0.description)]
    Malformed(FieldViolation),
    /// It is not signed by whom it has to be signed.
    #[error("the statement's signature cannot be taken: {problem}")]
    Signature {
        /// `signature`, `key`, `role` or `account`.
        problem: &'static str,
    },
    /// No such agent is known here: it does not exist, or its registration has not arrived yet.
    #[error("the agent {agent} is not known")]
    AgentUnknown {
        /// The agent that the statement names.
        agent: AgentId,
    },
    /// The agent is retired, or belongs to another account.
    #[error("the agent {agent} may not do this: it is {problem}")]
    AgentNotActive {
        /// The agent that the statement names.
        agent: AgentId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It does not continue the task's chain.
    #[error("the statement does not continue the task's receipt chain: {detail}")]
    Chain {
        /// What does not fit, for a program.
        problem: &'static str,
        /// What does not fit, for people.
        detail: String,
    },
    /// Other liabilities are logged for this snapshot.
    #[error("other liabilities are logged for this snapshot: what is logged stays")]
    OtherLiabilities,
}

// === impl Refusal ===

impl Refusal {
    /// A field that is not as it should be.
    pub(crate) fn malformed(field: &str, description: impl ToString) -> Self {
        Self::Malformed(FieldViolation { field: field.to_owned(), description: description.to_string() })
    }

    /// Bytes that are no statement.
    pub(crate) fn of_statement(field: &str, error: &StatementError) -> Self {
        Self::malformed(field, error)
    }

    /// An envelope that does not open.
    pub(crate) fn of_envelope(field: &str, error: &EnvelopeError) -> Self {
        match error {
            EnvelopeError::SignerMissing(_) | EnvelopeError::BadSignature(_) | EnvelopeError::WrongKey(_) => {
                Self::Signature { problem: "signature" }
            }
            EnvelopeError::TooLarge
            | EnvelopeError::Malformed(_)
            | EnvelopeError::Signatures
            | EnvelopeError::PayloadType
            | EnvelopeError::Statement(_) => Self::malformed(field, error),
        }
    }

    /// A statement that the grammar does not allow.
    pub(crate) fn of_chain(error: &ChainError) -> Self {
        let problem = match error {
            ChainError::Envelope { .. } => "envelope",
            ChainError::TooLong => "length",
            ChainError::Order { .. } => "order",
            ChainError::Predecessor { .. } => "predecessor",
            ChainError::Mismatch { field, .. } => *field,
            ChainError::ClaimNumber { .. } => "claimNumber",
            ChainError::NotAReceiptKey(_) => "signer",
            ChainError::NotAnArbiterKey(_) => "signer",
            ChainError::AgentKeyCompromised => "agentKeyState",
            ChainError::Policy => "policy",
            ChainError::NoSuchCriterion => "failedCriterion",
            ChainError::OtherTerms { .. } => "terms",
            ChainError::NotApproved { .. } => "decision",
        };
        Self::chain(problem, error)
    }

    /// A statement that does not fit, for a reason of our own.
    pub(crate) fn chain(problem: &'static str, detail: impl ToString) -> Self {
        Self::Chain { problem, detail: detail.to_string() }
    }

    /// The reason of the registry.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "FIELDS_INVALID",
            Self::Signature { .. } => "SIGNATURE_INVALID",
            Self::AgentUnknown { .. } | Self::AgentNotActive { .. } => "AGENT_NOT_ACTIVE",
            Self::Chain { .. } => "CHAIN_MISMATCH",
            Self::OtherLiabilities => "REQUEST_ID_REUSED",
        }
    }
}

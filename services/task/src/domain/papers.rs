//! Statements: writing the platform's, reading the agents', holding both against the chain.

use poa_common::Env;
use proof_of_agent::{Author, Chain, ChainError, DidKey, Envelope, EnvelopeError, Nonce, Statement};

use super::error::DomainError;
use super::saga::Paper;

/// What the platform writes statements with: its receipt key's name, and nonces.
#[derive(Clone, Debug)]
pub(crate) struct Pen {
    /// The receipt key that the attestation service signs with.
    pub(crate) signer: DidKey,
    /// Where nonces come from.
    pub(crate) env: Env,
}

// === impl Pen ===

impl Pen {
    /// The platform, for itself.
    pub(super) fn platform(&self) -> Author {
        Author::platform(self.signer, self.nonce())
    }

    /// The platform, for a requester who is signed in but has no key.
    pub(crate) fn for_requester(&self) -> Author {
        Author::platform_for_requester(self.signer, self.nonce())
    }

    fn nonce(&self) -> Nonce {
        Nonce::new(self.env.random())
    }
}

/// Reads a statement from stored bytes. Its signature was checked before it was stored.
pub(super) fn statement_of(paper: &Paper) -> Result<Statement, DomainError> {
    match paper {
        Paper::Payload(payload) => statement_of_payload(payload),
        Paper::Envelope(envelope) => {
            let envelope = Envelope::from_json(envelope)
                .map_err(|_malformed| DomainError::Corrupt("a stored envelope does not parse"))?;
            statement_of_payload(envelope.payload())
        }
    }
}

/// Reads a statement from its stored payload.
pub(crate) fn statement_of_payload(payload: &[u8]) -> Result<Statement, DomainError> {
    Statement::parse(payload).map_err(|_malformed| DomainError::Corrupt("a stored statement does not parse"))
}

/// Reads what an agent signed, and verifies the signature.
pub(crate) fn parse_envelope(bytes: &[u8]) -> Result<Statement, EnvelopeError> {
    Envelope::from_json(bytes)?.open()
}

/// The chain of stored statements, in their order.
pub(crate) fn chain_of<'a>(
    papers: impl IntoIterator<Item = &'a Paper>,
    receipt_keys: &[DidKey],
) -> Result<Chain, DomainError> {
    let mut chain = Chain::new(receipt_keys);
    for paper in papers {
        let statement = statement_of(paper)?;
        chain.append(statement).map_err(|_broken| DomainError::Corrupt("the stored chain does not hold"))?;
    }
    Ok(chain)
}

/// What a program can make of a chain's refusal.
pub(crate) fn problem_of(error: &ChainError) -> String {
    match error {
        ChainError::Envelope { .. } | ChainError::NotAReceiptKey(_) | ChainError::NotAnArbiterKey(_) => {
            "signature"
        }
        ChainError::TooLong => "length",
        ChainError::Order { .. } | ChainError::NotApproved { .. } => "order",
        ChainError::Predecessor { .. } => "predecessor",
        ChainError::Mismatch { field, .. } => field,
        ChainError::ClaimNumber { .. } => "claimNumber",
        ChainError::AgentKeyCompromised => "agentKey",
        ChainError::Policy => "policy",
        ChainError::NoSuchCriterion => "failedCriterion",
        ChainError::OtherTerms { .. } => "terms",
    }
    .to_owned()
}

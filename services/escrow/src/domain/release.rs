//! Whether a receipt chain allows a release, and to whom: decided here, whatever the caller says.

use poa_common::{AccountId, AgentId};
use proof_of_agent::{Chain, ChainError, DecisionKind, DidKey, Digest, Envelope, EnvelopeError, TrustRoot};

use super::escrow::Escrow;

/// What was verified, kept beside the release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The agent that did the work.
    pub(crate) agent: AgentId,
    /// The key that it signed with.
    pub(crate) agent_key: DidKey,
    /// The terms that the chain is about.
    pub(crate) terms: Digest,
    /// SHA-256 of the result.
    pub(crate) output: Digest,
    /// The decision that allows it.
    pub(crate) decision: Digest,
    /// Its kind.
    pub(crate) decision_kind: DecisionKind,
}

/// Why a chain allows no release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorised {
    /// An envelope cannot be read.
    #[error("envelope {place} of the chain: {source}")]
    Envelope {
        /// Its place, counted from 0.
        place: usize,
        /// What is wrong with it.
        source: EnvelopeError,
    },
    /// The chain does not lead to a release.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain is sound, and about something else than what is held.
    #[error("the chain's {0} is not that of the escrow")]
    Mandate(&'static str),
}

/// Verifies a chain against the mandate, and answers with the account to pay.
pub(crate) fn authorise(
    escrow: &Escrow,
    mandate: &Digest,
    chain: &[Vec<u8>],
    root: &TrustRoot,
) -> Result<(AccountId, Evidence), Unauthorised> {
    let envelopes = chain
        .iter()
        .enumerate()
        .map(|(place, bytes)| {
            Envelope::from_json(bytes).map_err(|source| Unauthorised::Envelope { place, source })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let chain = Chain::new(root.receipt_keys()).with_arbiters(root.arbiter_keys()).continued(&envelopes)?;
    let release = chain.authorised_release(mandate)?;
    // The digest of the mandate implies all of these: a pair assertion costs nothing.
    let rules = [
        (release.escrow == escrow.id, "escrow"),
        (release.task == escrow.task, "task"),
        (Some(release.payer) == escrow.payer, "payer"),
        (release.amount == escrow.amount, "amount"),
        (release.fee == escrow.fee && release.fee_bps == escrow.fee_basis_points, "fee"),
        (release.payee_net == escrow.payee_net, "payee's part"),
        (release.network == root.network(), "network"),
        (release.rail == escrow.rail(), "rail"),
    ];
    if let Some((_, what)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(Unauthorised::Mandate(what));
    }
    let evidence = Evidence {
        agent: release.agent,
        agent_key: release.agent_key,
        terms: release.terms,
        output: release.output,
        decision: release.decision,
        decision_kind: release.decision_kind,
    };
    Ok((release.payee, evidence))
}

/// The name of a decision in the database.
pub(crate) fn decision_name(kind: DecisionKind) -> &'static str {
    match kind {
        DecisionKind::Accepted => "accepted",
        DecisionKind::Rejected => "rejected",
        DecisionKind::DeadlinePassed => "deadline_passed",
        DecisionKind::CriteriaMet => "criteria_met",
        DecisionKind::AcceptedInPart => "accepted_in_part",
        DecisionKind::RevisionRequested => "revision_requested",
        DecisionKind::DeadlineExtended => "deadline_extended",
        DecisionKind::Disputed => "disputed",
        DecisionKind::Verdict => "verdict",
        DecisionKind::Expired => "expired",
        DecisionKind::Canceled => "canceled",
    }
}

// === impl Unauthorised ===

impl Unauthorised {
    /// The name for a program.
    pub(crate) fn problem(&self) -> &'static str {
        match self {
            Self::Envelope { .. } => "envelope",
            Self::Mandate(_) => "mandate",
            Self::Chain(error) => match error {
                ChainError::Envelope { .. } => "envelope",
                ChainError::TooLong => "length",
                ChainError::Order { .. } => "order",
                ChainError::Predecessor { .. } => "predecessor",
                ChainError::Mismatch { .. } => "mismatch",
                ChainError::ClaimNumber { .. } => "claim-number",
                ChainError::NotAReceiptKey(_) => "receipt-key",
                ChainError::NotAnArbiterKey(_) => "arbiter-key",
                ChainError::AgentKeyCompromised => "agent-key",
                ChainError::Policy => "policy",
                ChainError::NoSuchCriterion => "criterion",
                ChainError::OtherTerms { .. } => "terms",
                ChainError::NotApproved { .. } => "decision",
            },
        }
    }

    /// Whether newer receipt keys might change the answer.
    pub(crate) fn is_of_an_unknown_key(&self) -> bool {
        matches!(self, Self::Chain(ChainError::NotAReceiptKey(_)))
    }
}

//! One task's chain, with what this service holds it to beyond the grammar.

use poa_common::AccountId;
use proof_of_agent::bundle::MAX_ENTRIES;
use proof_of_agent::reputation::Facts;
use proof_of_agent::{Body, Chain, ChainError, DidKey, Digest, Kind, Position, Statement};

use super::Refusal;

/// Statements that may still follow a resubmission until the task has ended: the platform's receipt, a
/// rejection, a cancellation and the settlement.
const ROOM_FOR_THE_END: usize = 4;

/// A task's chain, replayed.
#[derive(Clone, Debug)]
pub(crate) struct TaskChain {
    chain: Chain,
    /// Statements of the receipt: without claims that lapsed.
    path: usize,
}

/// A place in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Statements up to here.
    pub(crate) length: usize,
    /// The digest of the last of them.
    pub(crate) last: Digest,
}

/// Where a chain ends, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainEnd {
    /// The end. Length and last digest decide all that may follow: a statement names what it follows, and
    /// a claim, which names the offer, takes back what came between.
    pub(crate) place: Place,
    /// Who offered the task.
    pub(crate) requester: AccountId,
    /// Who is paid under the current claim.
    pub(crate) payee: Option<AccountId>,
}

// === impl TaskChain ===

impl TaskChain {
    /// A chain without statements, on a platform with these receipt keys.
    pub(crate) fn new(receipt_keys: &[DidKey]) -> Self {
        Self { chain: Chain::new(receipt_keys), path: 0 }
    }

    /// Appends a statement whose signature holds. After a refusal the chain is as it was.
    pub(crate) fn append(&mut self, statement: Statement) -> Result<(), Refusal> {
        let path = match statement.body() {
            Body::TermsOffered(_) => 1,
            Body::TermsAccepted(_) => 2,
            Body::WorkSubmitted(_) | Body::WorkReceived(_) | Body::Decision(_) | Body::Settlement(_) => {
                self.path.saturating_add(1)
            }
        };
        // A receipt that fits no bundle would verify nowhere.
        let resubmission =
            statement.kind() == Kind::WorkSubmitted && self.chain.position() == Position::Rejected;
        if resubmission && path.saturating_add(ROOM_FOR_THE_END) > MAX_ENTRIES {
            return Err(Refusal::chain("length", "too many results of this claim were rejected"));
        }
        if let Err(error) = self.chain.check(&statement) {
            return Err(self.refusal(&statement, &error));
        }
        self.chain.append(statement).map_err(|error| Refusal::of_chain(&error))?;
        self.path = path;
        Ok(())
    }

    /// What a statement that is about to be appended means for an agent's reputation.
    pub(crate) fn facts(&self, statement: &Statement) -> Option<Facts> {
        Facts::of(&self.chain, statement)
    }

    /// Who offered the task; none before the offer.
    pub(crate) fn requester(&self) -> Option<AccountId> {
        Some(self.chain.terms_offered()?.requester)
    }

    /// Where it ends; none before the offer.
    pub(crate) fn end(&self) -> Option<ChainEnd> {
        Some(ChainEnd {
            place: Place { length: self.chain.len(), last: self.chain.last()? },
            requester: self.chain.terms_offered()?.requester,
            payee: self.chain.terms_accepted().map(|accepted| accepted.account),
        })
    }

    /// How many statements it has.
    pub(crate) fn len(&self) -> usize {
        self.chain.len()
    }

    /// The account that the current claim's work is paid to.
    pub(crate) fn payee(&self) -> Option<AccountId> {
        self.chain.terms_accepted().map(|accepted| accepted.account)
    }

    /// About how many bytes it takes in memory: each statement is there as text and read.
    pub(crate) fn weight(&self) -> usize {
        let chain = &self.chain;
        [
            chain.offer(),
            chain.acceptance(),
            chain.submission(),
            chain.received(),
            chain.decision(),
            chain.settlement(),
        ]
        .into_iter()
        .flatten()
        .map(|statement| statement.payload().len().saturating_mul(2))
        .sum()
    }

    /// A statement at a place that another one of its kind has taken is a twin, whatever the grammar says first.
    fn refusal(&self, statement: &Statement, error: &ChainError) -> Refusal {
        let chain = &self.chain;
        let taken = match statement.kind() {
            Kind::TermsOffered => chain.offer(),
            Kind::TermsAccepted => chain.acceptance(),
            Kind::WorkSubmitted => chain.submission(),
            Kind::WorkReceived => chain.received(),
            Kind::Decision => chain.decision(),
            Kind::Settlement => chain.settlement(),
        };
        let same_place = taken.is_some_and(|taken| {
            taken.context().predecessor == statement.context().predecessor
                && claim_number(taken) == claim_number(statement)
        });
        if same_place {
            Refusal::chain("twin", "another statement of this kind stands at its place")
        } else {
            Refusal::of_chain(error)
        }
    }
}

/// What tells claims of one task apart: all of them follow the offer.
fn claim_number(statement: &Statement) -> Option<u32> {
    statement.body().as_terms_accepted().map(|accepted| accepted.claim_number)
}

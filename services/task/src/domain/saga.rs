//! A task with its receipt chain: what the verbs change and the store writes.

use std::time::Duration;

use poa_common::{AccountId, AgentId, EscrowId, Msat, TaskId, Timestamp};
use proof_of_agent::statement::Kind;
use proof_of_agent::{Digest, Rail, ReleasePolicy, Statement};
use uuid::Uuid;

use super::error::DomainError;
use super::hold::Hold;
use super::papers;
use super::state::State;
use super::time::{MeshTime, Moment};

/// A task with its receipt chain.
#[derive(Clone, Debug)]
pub(crate) struct Saga {
    /// What is fixed.
    pub(crate) offer: Offer,
    /// What changes.
    pub(crate) status: Status,
    /// The hold invoice, where one funds the task and was made.
    pub(crate) hold: Option<Hold>,
    /// The receipt chain so far, pending statements last.
    pub(crate) statements: Vec<Entry>,
    /// Statements that were refused since it was loaded: the requests that brought them are forgotten.
    pub(crate) refused: Vec<Entry>,
}

/// What is fixed when a task is offered.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) task: TaskId,
    pub(crate) requester: AccountId,
    pub(crate) capability: String,
    pub(crate) price: Msat,
    pub(crate) fee: Msat,
    pub(crate) payee: Msat,
    pub(crate) policy: ReleasePolicy,
    pub(crate) direct_agent: Option<AgentId>,
    pub(crate) escrow: EscrowId,
    /// Where the price comes from.
    pub(crate) rail: Rail,
    /// How long the offer stands.
    pub(crate) open: Duration,
    /// How long an agent may work in all.
    pub(crate) work: Duration,
    /// How long the requester may review.
    pub(crate) review: Duration,
    /// The longest lease.
    pub(crate) lease: Duration,
    /// The digest of TermsOffered.
    pub(crate) terms: Digest,
}

/// What changes in a task's life.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Grows with every visible change.
    pub(crate) version: i64,
    pub(crate) state: State,
    /// While REFUNDING: where it will end.
    pub(crate) end: Option<End>,
    pub(crate) claim: Option<Claim>,
    /// How many claims there were.
    pub(crate) claims: u32,
    /// How many results were submitted.
    pub(crate) submissions: u32,
    /// When the offer ends; set when it opens.
    pub(crate) open_due: Option<MeshTime>,
    /// When the review of the result ends.
    pub(crate) review_due: Option<MeshTime>,
    /// After a rejection: until when another result is taken.
    pub(crate) resubmit_due: Option<MeshTime>,
    /// Why it ended, was rejected or was given back last.
    pub(crate) note: String,
    /// Whether the price is known to be held.
    pub(crate) held: bool,
    /// The payer's access token, while the price is to be held.
    pub(crate) token: Option<SealedToken>,
    pub(crate) updated: Timestamp,
}

/// The payer's access token, sealed with the service's key.
#[derive(Clone, Debug)]
pub(crate) struct SealedToken {
    pub(crate) sealed: Vec<u8>,
    pub(crate) expires: Timestamp,
}

/// How a refund ends a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By the requester, or because it could not be funded.
    Canceled,
    /// By a deadline.
    Expired,
}

/// An agent's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) agent: AgentId,
    /// Who is paid.
    pub(crate) account: AccountId,
    /// The lease that the agent agreed to.
    pub(crate) lease: Duration,
    pub(crate) lease_due: MeshTime,
    pub(crate) work_due: MeshTime,
    /// The digest of TermsAccepted.
    pub(crate) acceptance: Digest,
}

/// A statement of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// From 1, without gaps.
    pub(crate) seq: u32,
    pub(crate) kind: Kind,
    pub(crate) digest: Digest,
    pub(crate) standing: Standing,
    /// Its bytes: always of pending ones and of the last, of others where they were loaded.
    pub(crate) paper: Option<Paper>,
    /// The account with whose token it came.
    pub(crate) account: Option<AccountId>,
    /// The request that brought it: forgotten if it is refused.
    pub(crate) request: Option<Uuid>,
}

/// Whether a statement is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Pending,
    Appended,
}

/// The bytes of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Paper {
    /// A payload that the platform is to sign.
    Payload(Vec<u8>),
    /// A signed envelope.
    Envelope(Vec<u8>),
}

// === impl Saga ===

impl Saga {
    /// Moves to another state; every change of a task that is seen from outside passes here or [`Saga::touch`].
    pub(super) fn go(&mut self, next: State, at: Moment) -> Result<(), DomainError> {
        if !self.status.state.may_become(next) {
            return Err(DomainError::Edge(self.status.state, next));
        }
        self.status.state = next;
        self.touch(at);
        Ok(())
    }

    /// Notes that something changed.
    pub(super) fn touch(&mut self, at: Moment) {
        self.status.version = self.status.version.saturating_add(1);
        self.status.updated = at.wall;
    }

    /// The first statement that is not in the log.
    pub(crate) fn pending(&self) -> Option<&Entry> {
        self.statements.iter().find(|entry| entry.standing == Standing::Pending)
    }

    /// Whether the chain holds a statement of a kind, pending or not.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.statements.iter().any(|entry| entry.kind == kind)
    }

    /// Whether the chain holds this very statement.
    pub(crate) fn holds(&self, digest: Digest) -> bool {
        self.statements.iter().any(|entry| entry.digest == digest)
    }

    /// The last statement, read from its bytes.
    pub(super) fn last_statement(&self) -> Result<Statement, DomainError> {
        let last = self.statements.last().ok_or(DomainError::Corrupt("a chain without terms"))?;
        let paper = last.paper.as_ref().ok_or(DomainError::Corrupt("the last statement was not loaded"))?;
        papers::statement_of(paper)
    }

    /// Adds a statement at the end of the chain, to be logged.
    pub(super) fn push(
        &mut self,
        statement: &Statement,
        paper: Paper,
        account: Option<AccountId>,
        request: Option<Uuid>,
    ) {
        let seq = self.statements.last().map_or(1, |last| last.seq.saturating_add(1));
        self.statements.push(Entry {
            seq,
            kind: statement.kind(),
            digest: statement.digest(),
            standing: Standing::Pending,
            paper: Some(paper),
            account,
            request,
        });
    }

    /// Adds a statement of the platform's.
    pub(super) fn state(&mut self, statement: &Statement) {
        self.push(statement, Paper::Payload(statement.payload().to_vec()), None, None);
    }

    /// The claim, which must be there.
    pub(super) fn claim(&self) -> Result<&Claim, DomainError> {
        self.status.claim.as_ref().ok_or(DomainError::Corrupt("a claimed task without a claim"))
    }

    /// Whether this account, through an agent that it may act as, holds the claim or did the work.
    pub(crate) fn is_claimed_by(&self, account: AccountId, may_act_as: impl Fn(AgentId) -> bool) -> bool {
        self.status.claim.as_ref().is_some_and(|claim| claim.account == account && may_act_as(claim.agent))
    }
}

// === impl End ===

impl End {
    /// The state in which it ends.
    pub(crate) fn state(self) -> State {
        match self {
            Self::Canceled => State::Canceled,
            Self::Expired => State::Expired,
        }
    }
}

// === impl Paper ===

impl Paper {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Payload(bytes) | Self::Envelope(bytes) => bytes,
        }
    }
}

//! Which statement may follow which: the grammar of a task's receipt chain as a pure state machine.
//!
//! The attestation service appends to it, the escrow asks it whether sats may be released, and a verifier
//! replays it: one implementation of the rules.

mod error;
mod position;
mod release;
mod rules;

pub use error::ChainError;
pub use position::Position;
pub use release::{Release, authorises_release};

use poa_common::Msat;

use crate::did::DidKey;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::statement::{
    Body, Deadline, Decision, Settlement, SettlementKind, Statement, TermsAccepted, TermsOffered,
    WorkReceived, WorkSubmitted,
};

/// Statements of one replayed chain. A chain needs five to seven; every lapsed claim adds one and every
/// rejection three.
pub const MAX_STATEMENTS: usize = 256;
/// Statements after which no new claim is taken, and no decision that lets the work go on: a chain that is full of lapsed
/// claims must still have room for its end, or the sats would be held for ever.
pub const MAX_BEFORE_CLAIM: usize = 240;
/// Statements after which a result cannot be replaced by another, for the same reason.
pub const MAX_BEFORE_RESUBMISSION: usize = 248;

/// A task's statements so far, as far as they matter for what may come next.
///
/// [`Chain::append`] checks a statement against the grammar; it does not check signatures, because a
/// platform's statement is appended before it is signed. [`Chain::replay`] opens envelopes, and so checks
/// both.
#[derive(Clone, Debug)]
pub struct Chain {
    receipt_keys: Vec<DidKey>,
    arbiter_keys: Vec<DidKey>,
    position: Position,
    offer: Option<Statement>,
    acceptance: Option<Statement>,
    submission: Option<Statement>,
    received: Option<Statement>,
    decision: Option<Statement>,
    settlement: Option<Statement>,
    captured: Captured,
    work_extension_seconds: u64,
    last: Option<Digest>,
    length: usize,
}

/// What was paid in parts, before the settlement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The sum of the parts, before the fee.
    pub amount: Msat,
    /// The fee that was taken of them.
    pub fee: Msat,
}

// === impl Chain ===

impl Chain {
    /// An empty chain on a platform that signs with one of `receipt_keys`.
    pub fn new(receipt_keys: &[DidKey]) -> Self {
        Self {
            receipt_keys: receipt_keys.to_vec(),
            arbiter_keys: Vec::new(),
            position: Position::Start,
            offer: None,
            acceptance: None,
            submission: None,
            received: None,
            decision: None,
            settlement: None,
            captured: Captured::default(),
            work_extension_seconds: 0,
            last: None,
            length: 0,
        }
    }

    /// The same chain, in which these keys judge disputes.
    #[must_use]
    pub fn with_arbiters(mut self, arbiter_keys: &[DidKey]) -> Self {
        self.arbiter_keys = arbiter_keys.to_vec();
        self
    }

    /// Opens each envelope (which verifies its signature) and appends its statement, in order.
    pub fn replay<'a>(
        envelopes: impl IntoIterator<Item = &'a Envelope>,
        receipt_keys: &[DidKey],
    ) -> Result<Self, ChainError> {
        Self::new(receipt_keys).continued(envelopes)
    }

    /// The same with the envelopes that follow: of a chain [with arbiters](Self::with_arbiters) too.
    pub fn continued<'a>(
        mut self,
        envelopes: impl IntoIterator<Item = &'a Envelope>,
    ) -> Result<Self, ChainError> {
        for (place, envelope) in (self.length..).zip(envelopes) {
            let statement = envelope.open().map_err(|source| ChainError::Envelope { place, source })?;
            self.append(statement)?;
        }
        Ok(self)
    }

    /// Whether `statement` may come next. It changes nothing.
    pub fn check(&self, statement: &Statement) -> Result<(), ChainError> {
        rules::check(self, statement)
    }

    /// Appends a statement. After an error the chain is as it was.
    pub fn append(&mut self, statement: Statement) -> Result<(), ChainError> {
        self.check(&statement)?;
        self.position = self.position.after(statement.body());
        self.last = Some(statement.digest());
        self.length = self.length.saturating_add(1);
        match statement.body() {
            Body::TermsOffered(_) => self.offer = Some(statement),
            Body::TermsAccepted(_) => {
                self.acceptance = Some(statement);
                self.work_extension_seconds = 0;
                (self.submission, self.received, self.decision) = (None, None, None);
            }
            Body::WorkSubmitted(_) => {
                self.submission = Some(statement);
                (self.received, self.decision) = (None, None);
            }
            Body::WorkReceived(_) => self.received = Some(statement),
            Body::Decision(decision) => match decision.deadline {
                // It decides nothing of the task.
                Some(deadline) => self.extend(deadline, decision.extended_seconds.unwrap_or_default()),
                None => self.decision = Some(statement),
            },
            Body::Settlement(settlement) if settlement.kind == SettlementKind::Captured => {
                self.captured = self.captured.with(settlement.amount_msat, settlement.fee_msat);
            }
            Body::Settlement(_) => self.settlement = Some(statement),
        }
        Ok(())
    }

    fn extend(&mut self, deadline: Deadline, seconds: u32) {
        if deadline == Deadline::Work {
            self.work_extension_seconds = self.work_extension_seconds.saturating_add(u64::from(seconds));
        }
    }

    /// Where the task stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many statements were appended.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The digest of the last statement: the predecessor of the next, unless that is a new claim.
    pub fn last(&self) -> Option<Digest> {
        self.last
    }

    /// The offer's statement.
    pub fn offer(&self) -> Option<&Statement> {
        self.offer.as_ref()
    }

    /// The statement of the current claim.
    pub fn acceptance(&self) -> Option<&Statement> {
        self.acceptance.as_ref()
    }

    /// The statement of the current claim's latest submission.
    pub fn submission(&self) -> Option<&Statement> {
        self.submission.as_ref()
    }

    /// The platform's receipt of that submission.
    pub fn received(&self) -> Option<&Statement> {
        self.received.as_ref()
    }

    /// The decision on that submission, or on the task; moved deadlines are none.
    pub fn decision(&self) -> Option<&Statement> {
        self.decision.as_ref()
    }

    /// The settlement that ends the task.
    pub fn settlement(&self) -> Option<&Statement> {
        self.settlement.as_ref()
    }

    /// What was paid in parts so far.
    pub fn captured(&self) -> Captured {
        self.captured
    }

    /// What is still held, in msat: the price without what was captured.
    pub fn rest(&self) -> Option<Msat> {
        self.terms_offered()?.price_msat.checked_sub(self.captured.amount).ok()
    }

    /// By how much the current claim's time for the work was extended, in seconds.
    pub fn work_extension_seconds(&self) -> u64 {
        self.work_extension_seconds
    }

    /// What the offer says.
    pub fn terms_offered(&self) -> Option<&TermsOffered> {
        self.offer.as_ref()?.body().as_terms_offered()
    }

    /// What the current claim says.
    pub fn terms_accepted(&self) -> Option<&TermsAccepted> {
        self.acceptance.as_ref()?.body().as_terms_accepted()
    }

    /// What the latest submission says.
    pub fn work_submitted(&self) -> Option<&WorkSubmitted> {
        self.submission.as_ref()?.body().as_work_submitted()
    }

    /// What the platform says of it.
    pub fn work_received(&self) -> Option<&WorkReceived> {
        self.received.as_ref()?.body().as_work_received()
    }

    /// What the decision says.
    pub fn decided(&self) -> Option<&Decision> {
        self.decision.as_ref()?.body().as_decision()
    }

    /// What the settlement says.
    pub fn settled(&self) -> Option<&Settlement> {
        self.settlement.as_ref()?.body().as_settlement()
    }
}

// === impl Captured ===

impl Captured {
    /// With one more part. The rules have held it against the price, so that no sum overflows.
    fn with(self, amount: Msat, fee: Msat) -> Self {
        Self {
            amount: self.amount.checked_add(amount).unwrap_or(self.amount),
            fee: self.fee.checked_add(fee).unwrap_or(self.fee),
        }
    }

    /// The fee of one more part: that of the sum of all parts, without what was taken before. Many small parts cost what
    /// one large part costs.
    pub fn next_fee(self, amount: Msat, fee_bps: u32) -> Option<Msat> {
        let total = self.amount.checked_add(amount).ok()?;
        total.share_floor(fee_bps).ok()?.checked_sub(self.fee).ok()
    }
}

/// The places of the statements that a receipt needs: the last one and its predecessors back to the offer, in
/// order. Claims that lapsed and what happened under them are left out, because a claim's predecessor is
/// the offer.
pub fn receipt_path(statements: &[Statement]) -> Vec<usize> {
    let mut path = Vec::new();
    let mut wanted = statements.last().map(Statement::digest);
    for (place, statement) in statements.iter().enumerate().rev() {
        if Some(statement.digest()) == wanted {
            path.push(place);
            wanted = statement.context().predecessor;
        }
    }
    path.reverse();
    path
}

//! From the offer to OPEN, or to nothing.

use super::error::DomainError;
use super::hold::Lock;
use super::saga::{End, Paper, Saga, Standing};
use super::state::State;
use super::time::Moment;

// === impl Saga ===

impl Saga {
    /// Escrow holds the price, or the requester's channel has locked it under this invoice.
    pub(crate) fn funded(&mut self, lock: Option<Lock>, at: Moment) {
        self.status.held = true;
        self.status.token = None;
        if let Some(lock) = lock {
            self.learn(lock, at);
        }
    }

    /// The price cannot be held. The refund makes the escrow's id void, so that a late hold finds nothing to do.
    pub(crate) fn abandon_funding(&mut self, note: &str, at: Moment) -> Result<(), DomainError> {
        self.status.token = None;
        self.status.end = Some(End::Canceled);
        note.clone_into(&mut self.status.note);
        self.go(State::Refunding, at)
    }

    /// Escrow refuses to hold the price, or its invoice was not paid: the terms go. The request is forgotten with them, so
    /// that it may be tried again, unless it has had its answer, the invoice.
    pub(crate) fn refuse_funding(&mut self, note: &str, at: Moment) -> Result<(), DomainError> {
        let mut terms = std::mem::take(&mut self.statements);
        if self.status.state == State::Funding {
            self.refused.append(&mut terms);
        }
        self.abandon_funding(note, at)
    }

    /// The terms are in the log: the task is open to agents, and its time runs.
    pub(super) fn open(&mut self, at: Moment) -> Result<(), DomainError> {
        self.status.open_due = Some(at.mesh.after(self.offer.open));
        self.go(State::Open, at)
    }

    /// A pending statement is in the log now, under this envelope.
    pub(super) fn mark_appended(&mut self, seq: u32, envelope: Vec<u8>) -> Result<(), DomainError> {
        let entry = self
            .statements
            .iter_mut()
            .find(|entry| entry.seq == seq && entry.standing == Standing::Pending)
            .ok_or(DomainError::Corrupt("no such pending statement"))?;
        entry.standing = Standing::Appended;
        entry.paper = Some(Paper::Envelope(envelope));
        Ok(())
    }
}

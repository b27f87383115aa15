//! What may be said once.
//!
//! A leaf hides what its statement says, and still must show when two statements take one place: two successors of one statement,
//! two first statements of one task, two events of one number. Each leaf carries the hash of the place that its statement takes;
//! two leaves with the same one are equivocation, and anybody who reads the log sees it.

use std::fmt::Display;

use poa_common::{AgentId, LiabilitiesId, TaskId};

use crate::digest::Digest;

/// The hash of a place that one statement may take: `SHA-256("poa.slot.v1/" ‖ name ‖ 0x0A ‖ content)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(Digest);

/// Keeps these hashes apart from all others.
const TAG: &[u8] = b"poa.slot.v1/";

// === impl Slot ===

impl Slot {
    /// The first statement of a task: the content is the task's id.
    pub fn offer(task: &TaskId) -> Self {
        Self::of("offer", &[task.to_string().as_bytes()])
    }

    /// A claim of a task: the content is the digest of the terms, and the claim's number in four bytes, big-endian.
    pub fn claim(terms: &Digest, claim_number: u32) -> Self {
        Self::of("claim", &[terms.as_bytes(), &claim_number.to_be_bytes()])
    }

    /// The end of a task, which is one whatever led to it: the content is the task's id.
    pub fn end(task: &TaskId) -> Self {
        Self::of("end", &[task.to_string().as_bytes()])
    }

    /// Whatever else follows a statement: the content is that statement's digest.
    pub fn next(predecessor: &Digest) -> Self {
        Self::of("next", &[predecessor.as_bytes()])
    }

    /// An event of an agent's key: the content is the agent's id, a newline, and the event's number in decimal.
    pub fn key_event(agent: &AgentId, sequence: u32) -> Self {
        Self::lines("key", agent, &sequence)
    }

    /// A version of an agent: the content is the agent's id, a newline, and the version's name.
    pub fn agent_version(agent: &AgentId, version: &str) -> Self {
        Self::lines("version", agent, &version)
    }

    /// What was owed at a moment: the content is the id of the snapshot.
    pub fn liabilities(snapshot: &LiabilitiesId) -> Self {
        Self::of("liabilities", &[snapshot.to_string().as_bytes()])
    }

    /// A slot that was computed elsewhere, such as one read from a log.
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The hash.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }

    fn lines(name: &str, first: &impl Display, second: &impl Display) -> Self {
        Self::of(name, &[format!("{first}\n{second}").as_bytes()])
    }

    fn of(name: &str, content: &[&[u8]]) -> Self {
        let parts: Vec<&[u8]> =
            [TAG, name.as_bytes(), b"\n"].into_iter().chain(content.iter().copied()).collect();
        Self(Digest::of_parts(&parts))
    }
}

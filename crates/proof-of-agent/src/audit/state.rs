//! What an auditor remembers between two runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agents::Agents;
use super::receipts::Promise;
use super::slots::{Slots, TAKEN_BYTES};
use super::tree::Tree;
use crate::digest::Digest;

/// The first line of a state's file.
const MAGIC: &[u8] = b"poa.audit.v1\n";

/// The edge of the tree that was audited, and what later entries are held against.
///
/// Its file is `poa.audit.v1\n`, a line of JSON, the sorted slots of 24 bytes each, and SHA-256 over all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(super) head: Head,
    pub(super) slots: Slots,
}

/// All but the slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Head {
    /// Of which log.
    pub(super) origin: String,
    /// The checkpoint that was seen last, as a signed note; empty before the first.
    pub(super) note: String,
    /// The tree under it.
    pub(super) tree: Tree,
    /// The keys of agents.
    pub(super) agents: Agents,
    /// Statements that were promised a place beyond the tree.
    pub(super) promises: BTreeMap<u64, Promise>,
    /// Findings of all runs.
    pub(super) findings: u64,
    /// How many slots follow.
    slots: u64,
}

/// Why bytes are not a state of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Cut off, or changed since it was written.
    #[error("the state is torn: begin anew with another file, and keep this one")]
    Torn,
    /// Not a state of a version that this auditor reads.
    #[error("the file is not an auditor's state of a known version")]
    Unknown,
    /// Of another log.
    #[error("the state is of the log {found}, and the trust root is of {expected}: use another file for it")]
    OtherLog {
        /// The trust root's origin.
        expected: String,
        /// The state's.
        found: String,
    },
}

// === impl State ===

impl State {
    /// That of somebody who has seen nothing of a log.
    pub fn new(origin: impl Into<String>) -> Self {
        let head = Head {
            origin: origin.into(),
            note: String::new(),
            tree: Tree::default(),
            agents: Agents::new(),
            promises: BTreeMap::new(),
            findings: 0,
            slots: 0,
        };
        Self { head, slots: Slots::default() }
    }

    /// How many entries were audited.
    pub fn size(&self) -> u64 {
        self.head.tree.size()
    }

    /// The root over them.
    pub fn root(&self) -> Digest {
        self.head.tree.root()
    }

    /// The checkpoint that was seen last, as a signed note; empty before the first.
    pub fn note(&self) -> &str {
        &self.head.note
    }

    /// Findings of all runs so far.
    pub fn findings(&self) -> u64 {
        self.head.findings
    }

    /// The bytes of its file.
    #[expect(clippy::expect_used, reason = "strings, numbers and maps of ids always serialise")]
    pub fn encode(&self) -> Vec<u8> {
        let slots = self.slots.len();
        let head = Head { slots: u64::try_from(slots).unwrap_or(u64::MAX), ..self.head.clone() };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(serde_json::to_vec(&head).expect("a state is plain data"));
        bytes.push(b'\n');
        bytes.reserve(slots.saturating_mul(TAKEN_BYTES).saturating_add(Digest::LENGTH));
        self.slots.write(&mut bytes);
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// One variant per cause.
    pub fn decode(bytes: &[u8], origin: &str) -> Result<Self, StateError> {
        let (body, digest) = bytes.split_last_chunk::<{ Digest::LENGTH }>().ok_or(StateError::Unknown)?;
        if !body.starts_with(MAGIC) {
            return Err(StateError::Unknown);
        }
        if Digest::of(body).as_bytes() != digest {
            return Err(StateError::Torn);
        }
        let rest = body.get(MAGIC.len()..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\n').ok_or(StateError::Unknown)?;
        let (head, slots) = (&rest[..line], &rest[line + 1..]);
        let head: Head = serde_json::from_slice(head).map_err(|_| StateError::Unknown)?;
        if head.origin != origin {
            let (expected, found) = (origin.to_owned(), head.origin);
            return Err(StateError::OtherLog { expected, found });
        }
        let slots = Slots::read(slots, head.tree.size()).ok_or(StateError::Torn)?;
        let whole = u64::try_from(slots.len()).is_ok_and(|count| count == head.slots);
        if !whole || !head.tree.is_sound() {
            return Err(StateError::Torn);
        }
        Ok(Self { head: Head { slots: 0, ..head }, slots })
    }
}

//! What an auditor reports.

use std::fmt;

use serde::Serialize;

/// Findings of one run that are told one by one; more are only counted.
pub const MAX_FINDINGS: usize = 1_000;

/// What was found. The names are stable: scripts match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FindingKind {
    /// Two signed checkpoints of one log that no single tree has.
    Fork,
    /// The log shows a smaller tree than it signed before, and does not show that it is the beginning of that one.
    RolledBack,
    /// The log shows an older checkpoint of the same tree than one that it signed before.
    StaleCheckpoint,
    /// The new tree does not begin with the one that was seen last, or the log does not prove that it does.
    Inconsistent,
    /// The entries that the log shows do not make the tree that it signed.
    EntriesMismatch,
    /// A tile does not agree with the entries.
    TileMismatch,
    /// Another leaf stands where a statement was promised.
    RewrittenLeaf,
    /// Something that was promised, or that is public, is not shown.
    Omission,
    /// Two statements in a place that one may take, or two ends of one task.
    Twin,
    /// An entry that no reader of this version understands.
    BadEntry,
    /// A record of reputation that its statement cannot carry.
    BadRecord,
    /// A key event, a version or a statement of liabilities that is not what it must be.
    BadNotice,
    /// The events of an agent's key do not follow each other.
    KeyEventGap,
    /// The platform stated another state of an agent's key than the log shows.
    WrongKeyState,
    /// A checkpoint that no key of the trust root has signed.
    BadCheckpoint,
    /// Fewer witnesses have cosigned the checkpoint than the trust root asks for.
    NotWitnessed,
    /// A receipt that does not hold by itself.
    BadReceipt,
}

/// Something that shows a finding to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What it is.
    pub name: String,
    /// It: a signed note, an envelope, or hexadecimal digits.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was found.
    pub kind: FindingKind,
    /// The place in the log that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// A sentence for people.
    pub detail: String,
    /// What shows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

// === impl FindingKind ===

impl FindingKind {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::RolledBack => "rolledBack",
            Self::StaleCheckpoint => "staleCheckpoint",
            Self::Inconsistent => "inconsistent",
            Self::EntriesMismatch => "entriesMismatch",
            Self::TileMismatch => "tileMismatch",
            Self::RewrittenLeaf => "rewrittenLeaf",
            Self::Omission => "omission",
            Self::Twin => "twin",
            Self::BadEntry => "badEntry",
            Self::BadRecord => "badRecord",
            Self::BadNotice => "badNotice",
            Self::KeyEventGap => "keyEventGap",
            Self::WrongKeyState => "wrongKeyState",
            Self::BadCheckpoint => "badCheckpoint",
            Self::NotWitnessed => "notWitnessed",
            Self::BadReceipt => "badReceipt",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Finding ===

impl Finding {
    pub(super) fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self { kind, log_index: None, detail: detail.into(), evidence: Vec::new() }
    }

    pub(super) fn at(self, log_index: u64) -> Self {
        Self { log_index: Some(log_index), ..self }
    }

    pub(super) fn with(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence { name: name.into(), text: text.into() });
        self
    }
}

//! The auditor: from one checkpoint to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::agents::Agents;
use super::finding::{Finding, FindingKind, MAX_FINDINGS};
use super::slots::Taken;
use super::state::State;
use super::tree::Tree;
use super::{notices, records};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::digest::Digest;
use crate::tlog::{EntryKind, LogEntry, Slot, Tile, leaf_hash, verify_consistency};
use crate::trust::TrustRoot;

/// How long after its append a statement is in a published checkpoint.
pub const MERGE_DELAY: Duration = Duration::from_secs(10);

/// An entry as the log shows it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The bytes of the leaf.
    pub entry: &'a [u8],
    /// The signed statement of a public entry as JSON; empty of all others.
    pub envelope: &'a [u8],
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing is new.
    Same,
    /// Feed the entries from `first` up to `size`, and then call [`Auditor::finish`].
    Read {
        /// The first new one.
        first: u64,
        /// The size of the new tree.
        size: u64,
    },
    /// The log shows an older tree: call [`Auditor::older`] with a proof that the one seen last begins with it.
    Older {
        /// The size of the older tree.
        size: u64,
    },
    /// The checkpoint is not believed.
    Refused,
}

/// What was checked in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// New entries.
    pub entries: u64,
    /// Of those, public statements.
    pub notices: u64,
    /// Of those, with a record of reputation.
    pub records: u64,
    /// Checkpoints, of the log and given ones.
    pub checkpoints: u64,
    /// Proofs of consistency.
    pub proofs: u64,
    /// Tiles.
    pub tiles: u64,
    /// Receipts.
    pub receipts: u64,
    /// Statements of receipts.
    pub statements: u64,
}

/// Follows one log.
pub struct Auditor<'a> {
    pub(super) root: &'a TrustRoot,
    pub(super) state: State,
    step: Option<Step>,
    findings: Vec<Finding>,
    told: BTreeSet<Digest>,
    pub(super) checked: Checked,
    /// The statements of receipts that were looked at, by their place in the chain.
    pub(super) statements: BTreeMap<Slot, (Digest, String)>,
}

/// What is fed and not yet known to be what was signed.
struct Step {
    checkpoint: Checkpoint,
    note: String,
    tree: Tree,
    agents: Agents,
    fresh: Vec<Taken>,
    kept: Vec<u64>,
    findings: Vec<Finding>,
    checked: Checked,
}

// === impl Auditor ===

impl<'a> Auditor<'a> {
    /// Goes on where a state ended.
    pub fn new(root: &'a TrustRoot, state: State) -> Self {
        Self {
            root,
            state,
            step: None,
            findings: Vec::new(),
            told: BTreeSet::new(),
            checked: Checked::default(),
            statements: BTreeMap::new(),
        }
    }

    /// What it remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What it has checked since it was made.
    pub fn checked(&self) -> Checked {
        self.checked
    }

    /// The findings since they were taken last.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Looks at a checkpoint that the log shows.
    pub fn begin(&mut self, note: &str) -> Next {
        self.step = None;
        let checkpoint = match self.root.open_checkpoint(note) {
            Ok((checkpoint, _)) => Ok(checkpoint),
            Err(CheckpointError::NotWitnessed { quorum, found }) => {
                let detail =
                    format!("{found} of the {quorum} witnesses that the trust root asks for have cosigned");
                self.report(Finding::new(FindingKind::NotWitnessed, detail).with("checkpoint", note));
                Checkpoint::open(note, self.root.log_keys())
            }
            Err(error) => Err(error),
        };
        let checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.report(
                    Finding::new(FindingKind::BadCheckpoint, error.to_string()).with("checkpoint", note),
                );
                return Next::Refused;
            }
        };
        self.checked.checkpoints += 1;
        let (size, seen) = (checkpoint.size, self.state.size());
        if size < seen {
            return Next::Older { size };
        }
        if size == seen && !self.state.note().is_empty() {
            if checkpoint.root == self.state.root() {
                return Next::Same;
            }
            let detail = format!("the log has signed two trees of {size} entries");
            let finding = self.two_notes(FindingKind::Fork, detail, note);
            self.report(finding);
            return Next::Refused;
        }
        self.step = Some(Step {
            checkpoint,
            note: note.to_owned(),
            tree: self.state.head.tree.clone(),
            agents: Agents::new(),
            fresh: Vec::new(),
            kept: Vec::new(),
            findings: Vec::new(),
            checked: Checked::default(),
        });
        Next::Read { first: seen, size }
    }

    /// The log has shown an older checkpoint. `proof` is that of the tree seen last beginning with it, as the log gives it.
    pub fn older(&mut self, note: &str, proof: Option<&[Digest]>) {
        let Ok(checkpoint) = Checkpoint::open(note, self.root.log_keys()) else { return };
        let (seen, root) = (self.state.size(), self.state.root());
        let holds = proof.is_some_and(|proof| {
            verify_consistency(checkpoint.size, &checkpoint.root, seen, &root, proof).is_ok()
        });
        let (kind, detail) = if holds {
            (
                FindingKind::StaleCheckpoint,
                format!("the log shows {} entries, and has signed {seen}", checkpoint.size),
            )
        } else {
            let size = checkpoint.size;
            let detail = format!(
                "the log shows {size} entries, has signed {seen}, and does not show that the ones are the beginning of the others"
            );
            (FindingKind::RolledBack, detail)
        };
        let finding = self.two_notes(kind, detail, note);
        self.report(finding);
    }

    /// Takes the next entries, in order.
    pub fn feed<'e>(&mut self, entries: impl IntoIterator<Item = Shown<'e>>) {
        let Some(step) = &mut self.step else { return };
        for shown in entries {
            let log_index = step.tree.size();
            if log_index >= step.checkpoint.size {
                return;
            }
            let leaf = leaf_hash(shown.entry);
            // A checkpoint's size is within the largest tree.
            let _ = step.tree.push(leaf);
            step.checked.entries += 1;
            if let Some(promise) = self.state.head.promises.get(&log_index) {
                step.kept.push(log_index);
                if promise.leaf != leaf {
                    step.findings.push(promise.rewritten(log_index, &leaf));
                }
            }
            let Ok(entry) = LogEntry::decode(shown.entry) else {
                let finding =
                    Finding::new(FindingKind::BadEntry, "it is no entry of a known version").at(log_index);
                step.findings.push(finding.with("entry", hex::encode(shown.entry)));
                continue;
            };
            step.fresh.extend(Taken::new(&entry.slot, log_index));
            if let Some(record) = &entry.record {
                step.checked.records += 1;
                if let Some(problem) = records::problem(entry.kind, record) {
                    let finding = Finding::new(FindingKind::BadRecord, problem).at(log_index);
                    step.findings.push(finding.with("entry", hex::encode(shown.entry)));
                }
            }
            if EntryKind::NOTICES.contains(&entry.kind) {
                step.checked.notices += 1;
                let agents = (&self.state.head.agents, &mut step.agents);
                step.findings.extend(notices::check(self.root, log_index, &entry, shown.envelope, agents));
            }
            // What would be told no more need not be kept.
            step.findings.truncate(MAX_FINDINGS);
        }
    }

    /// All new entries are fed. `proof` is that the new tree begins with the one seen last, as the log gives it; it is not looked at
    /// in a first run. Answers whether the new checkpoint is the one seen last from now on.
    pub fn finish(&mut self, proof: Option<&[Digest]>) -> bool {
        let Some(step) = self.step.take() else { return false };
        let (size, fed) = (step.checkpoint.size, step.tree.size());
        if fed < size {
            let detail = format!("the log has signed {size} entries, and shows {fed}");
            self.report(Finding::new(FindingKind::Omission, detail).at(fed).with("checkpoint", step.note));
            return false;
        }
        let (seen, seen_root) = (self.state.size(), self.state.root());
        let proved = seen == 0
            || proof.is_some_and(|proof| {
                verify_consistency(seen, &seen_root, size, &step.checkpoint.root, proof).is_ok()
            });
        let made = step.tree.root() == step.checkpoint.root;
        self.checked.proofs += u64::from(seen > 0 && proved);
        if !proved {
            let detail = if made {
                format!(
                    "the log's proof that the tree of {size} entries begins with that of {seen} does not hold, though the entries do"
                )
            } else {
                format!(
                    "neither the entries nor a proof show that the tree of {size} entries begins with that of {seen}"
                )
            };
            let finding = self.two_notes(FindingKind::Inconsistent, detail, &step.note);
            self.report(finding);
        } else if !made {
            let detail = format!("the {size} entries that the log shows do not make the tree that it signed");
            self.report(
                Finding::new(FindingKind::EntriesMismatch, detail).with("checkpoint", step.note.as_str()),
            );
        }
        if !made {
            return false;
        }
        self.commit(step);
        true
    }

    fn commit(&mut self, step: Step) {
        let Step { note, tree, agents, fresh, kept, findings, checked, .. } = step;
        let first = self.state.size();
        for finding in findings {
            self.report(finding.with("checkpoint", note.as_str()));
        }
        for twin in self.state.slots.add(fresh, first) {
            self.report(twin.with("checkpoint", note.as_str()));
        }
        let head = &mut self.state.head;
        head.agents.extend(agents);
        for log_index in kept {
            head.promises.remove(&log_index);
        }
        head.tree = tree;
        head.note = note;
        self.checked.entries += checked.entries;
        self.checked.notices += checked.notices;
        self.checked.records += checked.records;
    }

    /// The tiles at the end of the tree, to be fetched and checked.
    pub fn tiles(&self) -> Vec<Tile> {
        self.state.head.tree.last_tiles()
    }

    /// Checks a tile of [`Auditor::tiles`]; none where the log does not give it.
    pub fn tile(&mut self, tile: &Tile, data: Option<&[u8]>) {
        self.checked.tiles += 1;
        let (kind, detail) = match data {
            None => (FindingKind::Omission, format!("the log does not give the tile {tile}")),
            Some(data) if !self.state.head.tree.agrees(tile, data) => {
                (FindingKind::TileMismatch, format!("the tile {tile} does not agree with the entries"))
            }
            Some(_) => return,
        };
        let finding = Finding::new(kind, detail).with("checkpoint", self.state.note());
        self.report(finding.with("tile", data.map(hex::encode).unwrap_or_default()));
    }

    /// Tells a finding, once.
    pub(super) fn report(&mut self, finding: Finding) {
        let place = finding.log_index.map(u64::to_be_bytes).unwrap_or_default();
        let name = [finding.kind.as_str().as_bytes(), finding.detail.as_bytes(), &place];
        if self.told.len() < MAX_FINDINGS && !self.told.insert(Digest::of_parts(&name)) {
            return;
        }
        self.state.head.findings = self.state.head.findings.saturating_add(1);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// A finding that two signed notes show.
    pub(super) fn two_notes(&self, kind: FindingKind, detail: String, other: &str) -> Finding {
        Finding::new(kind, detail).with("seen", self.state.note()).with("shown", other)
    }
}

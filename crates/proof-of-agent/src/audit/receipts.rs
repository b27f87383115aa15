//! What others hold: receipts and checkpoints, against the audited tree.

use poa_common::Timestamp;
use serde::{Deserialize, Serialize};

use super::auditor::{Auditor, MERGE_DELAY};
use super::finding::{Finding, FindingKind};
use crate::bundle::Bundle;
use crate::chain::Chain;
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::notice::{AgentVersion, KeyEvent};
use crate::statement::{Body, Role, Statement};
use crate::tlog::{LogEntry, verify_consistency, verify_inclusion};

/// Promised statements that are remembered: those of a few hundred receipts.
pub const MAX_PROMISES: usize = 4_096;

/// What the log shows at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The hash of the leaf.
    pub hash: Digest,
    /// That it is in the audited tree.
    pub proof: Vec<Digest>,
}

/// Whether all of a receipt, or a checkpoint, could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All of it.
    Yes,
    /// The audited tree does not reach it: look at it again when it has grown.
    Ahead,
}

/// A statement that has a place beyond the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Promise {
    pub(super) leaf: Digest,
    /// In which receipt.
    receipt: String,
    /// Since when it is promised, in seconds since 1970.
    since: i64,
}

/// A leaf that a receipt says is in the log.
struct Promised {
    log_index: u64,
    leaf: Digest,
    proof: Vec<Digest>,
}

// === impl Promise ===

impl Promise {
    pub(super) fn rewritten(&self, log_index: u64, found: &Digest) -> Finding {
        let detail = format!("another leaf stands where {} has a statement", self.receipt);
        Finding::new(FindingKind::RewrittenLeaf, detail)
            .at(log_index)
            .with("promised leaf", self.leaf.to_string())
            .with("found leaf", found.to_string())
    }
}

// === impl Auditor ===

impl Auditor<'_> {
    /// The size from which a proof of consistency to the audited tree is needed, for a checkpoint that somebody else holds.
    pub fn proof_for(&self, note: &str) -> Option<u64> {
        let size = Checkpoint::read_unverified(note).ok()?.size;
        (size > 0 && size < self.state.size()).then_some(size)
    }

    /// Holds a checkpoint that somebody else has seen against the audited tree. `proof` is that of [`Auditor::proof_for`], as the log
    /// gives it.
    pub fn checkpoint(&mut self, name: &str, note: &str, proof: Option<&[Digest]>) -> Settled {
        let checkpoint = match Checkpoint::open(note, self.root.log_keys()) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                let detail = format!("{name}: {error}");
                self.report(Finding::new(FindingKind::BadCheckpoint, detail).with("checkpoint", note));
                return Settled::Yes;
            }
        };
        let (size, audited, root) = (checkpoint.size, self.state.size(), self.state.root());
        if size > audited {
            return Settled::Ahead;
        }
        self.checked.checkpoints += 1;
        // Between trees of one size, and from the empty one, there is nothing to prove with.
        let proof = if size == audited || size == 0 { Some(&[][..]) } else { proof };
        let holds = proof
            .is_some_and(|proof| verify_consistency(size, &checkpoint.root, audited, &root, proof).is_ok());
        if !holds {
            let detail = match proof {
                Some(_) => {
                    format!(
                        "{name}: a signed tree of {size} entries is not the beginning of the one with {audited}"
                    )
                }
                None => format!(
                    "{name}: the log does not prove that a signed tree of {size} entries is the beginning of the one with {audited}"
                ),
            };
            let finding = self.two_notes(FindingKind::Fork, detail, note);
            self.report(finding);
        }
        Settled::Yes
    }

    /// A checkpoint that somebody else holds is still ahead of the log, after the time that it takes to publish.
    pub fn stale(&mut self, name: &str, note: &str) {
        let size = Checkpoint::read_unverified(note).map_or(0, |checkpoint| checkpoint.size);
        let detail = format!("{name}: the log has signed {size} entries, and shows {}", self.state.size());
        let finding = self.two_notes(FindingKind::StaleCheckpoint, detail, note);
        self.report(finding);
    }

    /// The places at which the log's leaves are needed for a receipt: those that the audited tree reaches.
    pub fn places(&self, bundle: &Bundle) -> Vec<u64> {
        let notices = bundle.key_events.iter().chain(&bundle.agent_version).map(|entry| entry.log_index);
        let places = bundle.entries.iter().map(|entry| entry.log_index).chain(notices);
        places.filter(|place| *place < self.state.size()).collect()
    }

    /// Holds a receipt against the audited tree. `shown` answers what the log shows at a place, if it shows anything; its checkpoint
    /// is to be given to [`Auditor::checkpoint`] too.
    pub fn receipt(
        &mut self,
        name: &str,
        bundle: &Bundle,
        shown: impl Fn(u64) -> Option<Leaf>,
        now: Timestamp,
    ) -> Settled {
        let (statements, promised) = match self.open(bundle) {
            Ok(opened) => opened,
            Err(problem) => {
                self.report(Finding::new(FindingKind::BadReceipt, format!("{name}: {problem}")));
                return Settled::Yes;
            }
        };
        self.twins(name, bundle, &statements);
        let since = promised_since(&statements).unwrap_or(now).min(now).unix_timestamp();
        let mut settled = Settled::Yes;
        for promised in promised {
            if promised.log_index >= self.state.size() {
                settled = Settled::Ahead;
                let promise = Promise { leaf: promised.leaf, receipt: name.to_owned(), since };
                let promises = &mut self.state.head.promises;
                if promises.len() < MAX_PROMISES {
                    promises.entry(promised.log_index).or_insert(promise);
                }
                continue;
            }
            self.leaf(name, bundle, &promised, shown(promised.log_index));
        }
        if settled == Settled::Ahead {
            return settled;
        }
        self.checked.receipts += 1;
        for received in statements.iter().filter_map(|statement| statement.body().as_work_received()) {
            let agent = self.state.head.agents.get(&received.agent).cloned().unwrap_or_default();
            if let Err((kind, problem)) = agent.vouches(received) {
                let detail = format!("{name}: {problem}");
                self.report(Finding::new(kind, detail).at(received.submission_log_index));
            }
        }
        settled
    }

    /// What was promised, and is not in the tree after the time that it takes to publish.
    pub fn overdue(&mut self, now: Timestamp) {
        let (size, now) = (self.state.size(), now.unix_timestamp());
        let delay = i64::try_from(MERGE_DELAY.as_secs()).unwrap_or(i64::MAX);
        let late = |promise: &Promise| now.saturating_sub(promise.since) > delay;
        let overdue: Vec<(u64, String)> = self
            .state
            .head
            .promises
            .iter()
            .filter(|(log_index, promise)| **log_index >= size && late(promise))
            .map(|(log_index, promise)| (*log_index, promise.receipt.clone()))
            .collect();
        for (log_index, receipt) in overdue {
            let detail =
                format!("{receipt}: a statement was promised more than {delay} s ago, and is not there");
            let finding = Finding::new(FindingKind::Omission, detail).at(log_index);
            self.report(finding.with("checkpoint", self.state.note().to_owned()));
        }
    }

    /// Whether something is promised beyond the tree.
    pub fn is_waiting(&self) -> bool {
        self.state.head.promises.keys().any(|log_index| *log_index >= self.state.size())
    }

    /// The statements of a receipt, and the leaves that it says are in the log. What it proves by itself is proved.
    fn open(&self, bundle: &Bundle) -> Result<(Vec<Statement>, Vec<Promised>), String> {
        let checkpoint = Checkpoint::open(&bundle.checkpoint, self.root.log_keys());
        let checkpoint = checkpoint.map_err(|error| error.to_string())?;
        let (mut statements, mut promised) = (Vec::new(), Vec::new());
        let mut chain = Chain::new(self.root.receipt_keys()).with_arbiters(self.root.arbiter_keys());
        for entry in &bundle.entries {
            let (statement, signature) = entry.envelope.open_signed().map_err(|error| error.to_string())?;
            self.signed_by_whom_it_must_be(&statement, bundle, entry.log_index)?;
            chain.append(statement.clone()).map_err(|error| error.to_string())?;
            let leaf = LogEntry::of_signed(&statement, signature).with_record(entry.record).leaf_hash();
            promised.push(Promised { log_index: entry.log_index, leaf, proof: entry.proof.clone() });
            statements.push(statement);
        }
        let made = |envelope| LogEntry::of_notice::<KeyEvent>(envelope);
        for notice in &bundle.key_events {
            let leaf = made(&notice.envelope).map_err(|error| error.to_string())?.leaf_hash();
            promised.push(Promised { log_index: notice.log_index, leaf, proof: notice.proof.clone() });
        }
        if let Some(notice) = &bundle.agent_version {
            let made = LogEntry::of_notice::<AgentVersion>(&notice.envelope);
            let leaf = made.map_err(|error| error.to_string())?.leaf_hash();
            promised.push(Promised { log_index: notice.log_index, leaf, proof: notice.proof.clone() });
        }
        for it in promised.iter().filter(|it| it.log_index < checkpoint.size) {
            verify_inclusion(&it.leaf, it.log_index, checkpoint.size, &it.proof, &checkpoint.root)
                .map_err(|error| format!("the proof of the entry {}: {error}", it.log_index))?;
        }
        Ok((statements, promised))
    }

    /// A receipt of another platform, or one that somebody made up, accuses nobody.
    fn signed_by_whom_it_must_be(
        &self,
        statement: &Statement,
        bundle: &Bundle,
        log_index: u64,
    ) -> Result<(), String> {
        let context = statement.context();
        if context.task != bundle.task {
            return Err("a statement is of another task".to_owned());
        }
        if context.network != self.root.network() || !self.root.has_origin(&context.origin) {
            return Err("a statement is of another log".to_owned());
        }
        let may = match context.role {
            Role::Platform => self.root.may_sign_receipts(context.signer, log_index),
            Role::Arbiter => self.root.may_judge(context.signer, log_index),
            Role::Requester | Role::Agent => true,
        };
        if may { Ok(()) } else { Err(format!("{} may not sign at the place {log_index}", context.signer)) }
    }

    fn leaf(&mut self, name: &str, bundle: &Bundle, promised: &Promised, shown: Option<Leaf>) {
        self.checked.statements += 1;
        let (size, root) = (self.state.size(), self.state.root());
        let shown =
            shown.filter(|it| verify_inclusion(&it.hash, promised.log_index, size, &it.proof, &root).is_ok());
        let finding = match shown {
            Some(leaf) if leaf.hash == promised.leaf => return,
            Some(leaf) => {
                let detail = format!("{name}: another leaf stands where the receipt has a statement");
                Finding::new(FindingKind::RewrittenLeaf, detail).with("found leaf", leaf.hash.to_string())
            }
            None => {
                let detail = format!("{name}: the log does not show the statement that the receipt has");
                Finding::new(FindingKind::Omission, detail)
            }
        };
        let finding = finding.at(promised.log_index).with("promised leaf", promised.leaf.to_string());
        let finding = finding.with("receipt's checkpoint", bundle.checkpoint.as_str());
        self.report(finding.with("checkpoint", self.state.note().to_owned()));
    }

    /// Two receipts that have different statements in one place: of a chain, or as the end of a task.
    fn twins(&mut self, name: &str, bundle: &Bundle, statements: &[Statement]) {
        for statement in statements {
            let (slot, digest) = (statement.slot(), statement.digest());
            let (before, other) = self.statements.entry(slot).or_insert((digest, name.to_owned()));
            if *before != digest {
                let detail =
                    format!("{other} and {name} have different statements in one place of {}", bundle.task);
                let finding = Finding::new(FindingKind::Twin, detail).with("one", before.to_string());
                self.report(finding.with("other", digest.to_string()));
                return;
            }
        }
    }
}

/// When the platform signed the last of these statements: from then on it is promised.
fn promised_since(statements: &[Statement]) -> Option<Timestamp> {
    let time = |statement: &Statement| match statement.body() {
        Body::WorkReceived(received) => Some(received.received_time),
        Body::Decision(decision) => Some(decision.decided_time),
        Body::Settlement(settlement) => Some(settlement.settled_time),
        Body::TermsOffered(_) | Body::TermsAccepted(_) | Body::WorkSubmitted(_) => None,
    };
    statements.iter().filter_map(time).max()
}

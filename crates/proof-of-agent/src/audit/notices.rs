//! Statements that are public: each makes its entry, and is signed by whom it must be.

use super::agents::{Agent, Agents};
use super::finding::{Finding, FindingKind};
use crate::dsse::Envelope;
use crate::liabilities::Liabilities;
use crate::notice::{AgentVersion, KeyEvent, Notice, NoticeStatement};
use crate::tlog::{EntryKind, LogEntry};
use crate::trust::TrustRoot;

/// What is wrong, and its name.
type Problem = (FindingKind, String);

/// Checks the statement of a public entry. `changed` holds the agents as they are since the last checkpoint, `known` as they were.
pub(super) fn check(
    root: &TrustRoot,
    log_index: u64,
    entry: &LogEntry,
    envelope: &[u8],
    (known, changed): (&Agents, &mut Agents),
) -> Option<Finding> {
    if envelope.is_empty() {
        let detail = "the signed statement of a public entry is withheld";
        return Some(Finding::new(FindingKind::Omission, detail).at(log_index));
    }
    let checked = match entry.kind {
        EntryKind::Liabilities => open::<Liabilities>(root, entry, envelope)
            .and_then(|statement| by_platform(root, log_index, &statement)),
        EntryKind::KeyEvent => key_event(root, log_index, entry, envelope, (known, changed)),
        EntryKind::AgentVersion => version(root, entry, envelope, (known, changed)),
        // Statements of tasks are not public: there is nothing to hold against the entry.
        EntryKind::Receipt(_) => Ok(()),
    };
    let (kind, detail) = checked.err()?;
    Some(Finding::new(kind, detail).at(log_index).with("envelope", String::from_utf8_lossy(envelope)))
}

fn key_event(
    root: &TrustRoot,
    log_index: u64,
    entry: &LogEntry,
    envelope: &[u8],
    (known, changed): (&Agents, &mut Agents),
) -> Result<(), Problem> {
    let statement = open::<KeyEvent>(root, entry, envelope)?;
    let event = statement.notice();
    let agent =
        changed.entry(event.agent).or_insert_with(|| known.get(&event.agent).cloned().unwrap_or_default());
    agent.take(log_index, statement.digest(), event)?;
    by_platform(root, log_index, &statement)
}

fn version(
    root: &TrustRoot,
    entry: &LogEntry,
    envelope: &[u8],
    (known, changed): (&Agents, &Agents),
) -> Result<(), Problem> {
    let statement = open::<AgentVersion>(root, entry, envelope)?;
    let agent = statement.notice().agent;
    let keys: Option<&Agent> = changed.get(&agent).or_else(|| known.get(&agent));
    if keys.is_some_and(|keys| keys.has(statement.signer())) {
        return Ok(());
    }
    let detail = format!("a version of {agent} is signed with {}, which was not its key", statement.signer());
    Err((FindingKind::BadNotice, detail))
}

/// A statement of this log and network that makes the entry.
fn open<N: Notice>(
    root: &TrustRoot,
    entry: &LogEntry,
    envelope: &[u8],
) -> Result<NoticeStatement<N>, Problem> {
    let bad = |detail: String| (FindingKind::BadNotice, detail);
    let envelope = Envelope::from_json(envelope).map_err(|error| bad(error.to_string()))?;
    let statement = NoticeStatement::<N>::open(&envelope).map_err(|error| bad(error.to_string()))?;
    let made = LogEntry::of_notice::<N>(&envelope).map_err(|error| bad(error.to_string()))?;
    if made != *entry {
        return Err(bad("the statement does not make the entry".to_owned()));
    }
    if statement.network() != root.network() || !root.has_origin(statement.origin()) {
        return Err(bad("the statement is of another log".to_owned()));
    }
    Ok(statement)
}

fn by_platform<N: Notice>(
    root: &TrustRoot,
    log_index: u64,
    statement: &NoticeStatement<N>,
) -> Result<(), Problem> {
    if root.may_sign_receipts(statement.signer(), log_index) {
        return Ok(());
    }
    let detail = format!("{} is not a receipt key of the platform at this place", statement.signer());
    Err((FindingKind::BadNotice, detail))
}

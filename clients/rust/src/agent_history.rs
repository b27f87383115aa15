//! What became of an agent's keys, and which of them signed what: checked here, whatever the server says.

use poa_common::{AgentId, Timestamp};
use poa_proto::auth::v1 as api;
use poa_proto::auth::v1::key_event::Kind;
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, KeyReason};
use proof_of_agent::{AgentVersion, DidKey, Envelope, KeyEvent, NoticeStatement, TrustRoot};

use crate::times::from_time;

/// All events of an agent's keys. Each is signed by whoever it says, and they follow one another without a gap.
///
/// That the server shows all of them, and in the order of the log, is for the log to say: `poa log audit`.
#[derive(Clone, Debug)]
pub struct KeyHistory {
    agent: AgentId,
    events: Vec<KeyEvent>,
}

/// What became of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLife {
    /// The event that made it the agent's.
    pub from: u32,
    /// The event that ended it; none where it signs.
    pub ended: Option<KeyEnd>,
}

/// The end of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEnd {
    /// The event.
    pub sequence: u32,
    /// Why.
    pub reason: KeyReason,
    /// Since when somebody else may have had it; of a compromised key alone.
    pub compromised_since: Option<Timestamp>,
}

/// A version whose statement holds.
#[derive(Clone, Debug)]
pub struct VersionCheck {
    /// The statement.
    pub statement: NoticeStatement<AgentVersion>,
    /// What became of the key that signed it.
    pub key: KeyLife,
}

/// What a server says of an agent does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A key event is malformed, not signed as it says, or does not follow the one before.
    #[error("the key event {sequence} of the agent does not hold: {problem}")]
    Event {
        /// The event's number.
        sequence: i32,
        /// What is wrong.
        problem: String,
    },
    /// A version is not what its statement says, or is not signed by a key of the agent.
    #[error("the version {version} of the agent does not hold: {problem}")]
    Version {
        /// The version's name.
        version: String,
        /// What is wrong.
        problem: String,
    },
}

// === impl KeyHistory ===

impl KeyHistory {
    /// Checks the events of an agent, oldest first.
    ///
    /// # Errors
    /// `Event` for the first that does not hold.
    pub fn check(agent: AgentId, events: &[api::KeyEvent]) -> Result<Self, HistoryError> {
        let mut history = Self { agent, events: Vec::with_capacity(events.len()) };
        for event in events {
            let problem = |problem: String| HistoryError::Event { sequence: event.sequence, problem };
            let read = key_event(event).map_err(problem)?;
            read.check().map_err(|error| problem(error.to_string()))?;
            history.follows(&read).map_err(|error| problem(error.to_owned()))?;
            history.events.push(read);
        }
        if history.events.is_empty() {
            return Err(HistoryError::Event { sequence: 1, problem: "it is missing".to_owned() });
        }
        Ok(history)
    }

    /// Whether an event can come after those that are there.
    fn follows(&self, event: &KeyEvent) -> Result<(), &'static str> {
        let last = self.events.last();
        if event.agent != self.agent || last.is_some_and(|last| last.account != event.account) {
            return Err("it is of another agent or account");
        }
        if usize::try_from(event.sequence).ok() != Some(self.events.len() + 1) {
            return Err("there is a gap before it");
        }
        let Some(last) = last else { return Ok(()) };
        let revoked = last.kind == KeyEventKind::Revoked;
        match event.change() {
            Some(change) if change.key != last.key => Err("it is of a key that the agent did not have"),
            Some(change) if revoked && change.new_key.is_none() => Err("the key was revoked already"),
            Some(_) if revoked && event.authority == Authority::Key => {
                Err("a key that was revoked has signed it")
            }
            Some(_) => Ok(()),
            None => Err("an agent registers once"),
        }
    }

    /// The events, oldest first: at least one.
    pub fn events(&self) -> &[KeyEvent] {
        &self.events
    }

    /// The key that signs; none where it was revoked and has no successor.
    pub fn current(&self) -> Option<DidKey> {
        let last = self.events.last().filter(|event| event.kind != KeyEventKind::Revoked);
        last.map(|event| event.key)
    }

    /// What became of a key; none where it never was the agent's.
    pub fn life(&self, key: DidKey) -> Option<KeyLife> {
        let began = |event: &KeyEvent| event.kind != KeyEventKind::Revoked && event.key == key;
        let from = self.events.iter().rfind(|event| began(event))?.sequence;
        let mut ends = self.events.iter().filter(|event| event.sequence > from);
        let ended = ends.find_map(|event| {
            let (ended, reason) = event.ended()?;
            let compromised_since = event.compromised_since;
            (ended == key).then_some(KeyEnd { sequence: event.sequence, reason, compromised_since })
        });
        Some(KeyLife { from, ended })
    }

    /// Checks that a version is what its statement says, that the statement is for the log of the trust root, and that a key of
    /// the agent has signed it: which, and what became of it, is in the answer.
    ///
    /// # Errors
    /// `Version`.
    pub fn check_version(
        &self,
        version: &api::AgentVersion,
        trust_root: &TrustRoot,
    ) -> Result<VersionCheck, HistoryError> {
        let problem = |problem: &str| HistoryError::Version {
            version: version.version.clone(),
            problem: problem.to_owned(),
        };
        let opened = Envelope::from_json(&version.envelope).and_then(|it| NoticeStatement::open(&it));
        let statement: NoticeStatement<AgentVersion> = opened.map_err(|error| problem(&error.to_string()))?;
        let said = statement.notice();
        if statement.network() != trust_root.network() || !trust_root.has_origin(statement.origin()) {
            return Err(problem("its statement is for another log than the trusted one"));
        }
        let shown_size = u64::try_from(version.build_size).ok();
        let same = said.agent == self.agent
            && version.agent_id == said.agent.to_string()
            && version.version == said.version
            && version.build_digest == said.build_digest.as_bytes()
            && shown_size == Some(said.build_size)
            && version.source_ref == said.source_ref.as_deref().unwrap_or_default();
        if !same {
            return Err(problem("its statement says something else than the server"));
        }
        let key = self.life(statement.signer());
        let key = key.ok_or_else(|| problem("it is not signed with a key of the agent"))?;
        Ok(VersionCheck { statement, key })
    }
}

/// The event in the protocol's types.
fn key_event(event: &api::KeyEvent) -> Result<KeyEvent, String> {
    let key =
        |name: &str, bytes: &[u8]| DidKey::from_slice(bytes).map_err(|error| format!("`{name}`: {error}"));
    let proof = |name: &str, bytes: &[u8]| match bytes {
        [] => Ok(None),
        bytes => <[u8; 64]>::try_from(bytes)
            .map(|bytes| Some(KeyProof::new(bytes)))
            .map_err(|_| format!("`{name}` has not 64 bytes")),
    };
    let kind = match event.kind() {
        Kind::Unspecified => return Err("its kind is unknown to this version".to_owned()),
        Kind::Registered => KeyEventKind::Registered,
        Kind::Rotated => KeyEventKind::Rotated,
        Kind::Revoked => KeyEventKind::Revoked,
    };
    let reason = match event.reason() {
        api::KeyReason::Unspecified => None,
        api::KeyReason::Superseded => Some(KeyReason::Superseded),
        api::KeyReason::Compromised => Some(KeyReason::Compromised),
    };
    let previous_key = match event.previous_key.as_slice() {
        [] => None,
        bytes => Some(key("previous_key", bytes)?),
    };
    let event_time = event.event_time.as_ref().and_then(from_time);
    Ok(KeyEvent {
        agent: event.agent_id.parse().map_err(|error| format!("`agent_id`: {error}"))?,
        account: event.account_id.parse().map_err(|error| format!("`account_id`: {error}"))?,
        sequence: u32::try_from(event.sequence).map_err(|_| "its number is negative".to_owned())?,
        kind,
        key: key("public_key", &event.public_key)?,
        previous_key,
        reason,
        compromised_since: event.compromised_since.as_ref().and_then(from_time),
        authority: if event.by_owner { Authority::Owner } else { Authority::Key },
        authorisation: proof("authorisation", &event.authorisation)?,
        key_proof: proof("key_proof", &event.key_proof)?,
        event_time: event_time.ok_or_else(|| "`event_time` is missing".to_owned())?,
    })
}

#[cfg(test)]
#[path = "agent_history_tests.rs"]
mod tests;

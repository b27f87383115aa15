//! The keys of agents, as the log's key events make them.

use std::collections::BTreeMap;

use poa_common::AgentId;
use serde::{Deserialize, Serialize};

use super::finding::FindingKind;
use crate::bundle::MAX_KEY_EVENTS;
use crate::did::DidKey;
use crate::digest::Digest;
use crate::notice::{Authority, KeyEvent, KeyEventKind, KeyReason};
use crate::statement::{AgentKeyState, WorkReceived};

/// All agents that the log names.
pub(super) type Agents = BTreeMap<AgentId, Agent>;

/// The events of one agent's keys, in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Agent {
    events: Vec<Event>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Event {
    log_index: u64,
    sequence: u32,
    digest: Digest,
    key: DidKey,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revoked: bool,
    /// The key that signs no more because of it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<(DidKey, KeyReason)>,
}

// === impl Agent ===

impl Agent {
    /// Takes the next event.
    ///
    /// # Errors
    /// What is wrong with it. It is taken nevertheless, so that one gap is told once.
    pub(super) fn take(
        &mut self,
        log_index: u64,
        digest: Digest,
        event: &KeyEvent,
    ) -> Result<(), (FindingKind, String)> {
        let judged = self.judge(event);
        if self.events.len() < MAX_KEY_EVENTS {
            self.events.push(Event {
                log_index,
                sequence: event.sequence,
                digest,
                key: event.key,
                revoked: event.kind == KeyEventKind::Revoked,
                ended: event.ended(),
            });
        }
        judged
    }

    fn judge(&self, event: &KeyEvent) -> Result<(), (FindingKind, String)> {
        let last = self.events.last();
        let before = last.map_or(0, |event| event.sequence);
        if Some(event.sequence) != before.checked_add(1) {
            let detail =
                format!("the event {} of {} follows the event {before}", event.sequence, event.agent);
            return Err((FindingKind::KeyEventGap, detail));
        }
        if self.events.len() >= MAX_KEY_EVENTS {
            let detail = format!("{} has more than {MAX_KEY_EVENTS} key events", event.agent);
            return Err((FindingKind::BadNotice, detail));
        }
        let Some(last) = last else { return Ok(()) };
        if event.change().is_none_or(|change| change.key != last.key) {
            let detail =
                format!("the event {} of {} ends another key than the agent's", event.sequence, event.agent);
            return Err((FindingKind::BadNotice, detail));
        }
        // A key that was revoked has nothing more to say: only the owner changes what is after it.
        if last.revoked && event.authority == Authority::Key {
            let detail = format!("the event {} of {} is by a revoked key", event.sequence, event.agent);
            return Err((FindingKind::BadNotice, detail));
        }
        Ok(())
    }

    /// Whether a key is or was the agent's.
    pub(super) fn has(&self, key: DidKey) -> bool {
        self.events.iter().any(|event| event.key == key)
    }

    /// Whether the log says of the key that signed a work what the platform said of it.
    ///
    /// # Errors
    /// What it says instead.
    pub(super) fn vouches(&self, received: &WorkReceived) -> Result<(), (FindingKind, String)> {
        let before = || self.events.iter().filter(|event| event.log_index < received.submission_log_index);
        let introduced = before().any(|event| {
            event.digest == received.key_event && event.key == received.agent_key && !event.revoked
        });
        if !introduced {
            let detail = format!(
                "the key event {} that made {} the key of {} is not in the log before the submission",
                received.key_event, received.agent_key, received.agent
            );
            return Err((FindingKind::Omission, detail));
        }
        let mut state = AgentKeyState::Active;
        for (_, reason) in
            before().filter_map(|event| event.ended).filter(|(key, _)| *key == received.agent_key)
        {
            state = match reason {
                KeyReason::Superseded => AgentKeyState::Superseded,
                KeyReason::Compromised => AgentKeyState::Compromised,
            };
        }
        if state == received.agent_key_state {
            return Ok(());
        }
        let detail = format!(
            "the platform stated that the key {} of {} was {:?} when it received the work at {}, and the log says {:?}",
            received.agent_key,
            received.agent,
            received.agent_key_state,
            received.submission_log_index,
            state
        );
        Err((FindingKind::WrongKeyState, detail))
    }
}

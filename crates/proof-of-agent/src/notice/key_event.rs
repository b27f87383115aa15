//! What becomes of an agent's key: registered, rotated, revoked.
//!
//! The platform signs and logs each event; whoever asked for it has signed too, so that nobody need believe the platform that the
//! old key, or the holder of the new one, agreed. The texts that those keys sign begin with a tag of their own: an agent's key
//! never signs bytes that a server made up.

use poa_common::{AccountId, AgentId, Timestamp};
use serde::{Deserialize, Serialize};
use time::UtcOffset;
use time::format_description::well_known::Rfc3339;

use super::Notice;
use crate::did::DidKey;
use crate::digest::Digest;
use crate::json;
use crate::statement::{Role, StatementError};
use crate::tlog::{EntryKind, Slot};

/// The first line of the text that a new agent's key signs.
pub const REGISTER_TAG: &str = "poa.auth.v1.RegisterAgent";
/// The first line of the text that the keys sign when one takes the other's place.
const ROTATE_TAG: &str = "poa.auth.v1.RotateAgentKey";
/// The first line of the text that a key signs to revoke itself.
const REVOKE_TAG: &str = "poa.auth.v1.RevokeAgentKey";

/// A signature over one of the texts: 64 bytes of Ed25519.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyProof(#[serde(with = "json::base64_bytes")] Vec<u8>);

/// What happened to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyEventKind {
    /// The agent's first key.
    Registered,
    /// Another key took its place.
    Rotated,
    /// The key signs no more, and no other took its place.
    Revoked,
}

/// Why a key signs no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeyReason {
    /// It was replaced in good order: all that it signed holds.
    Superseded,
    /// Somebody else may have it: what it signed from a moment on is in doubt.
    Compromised,
}

/// Who asked for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authority {
    /// The agent's key itself, which has signed.
    Key,
    /// The account that owns the agent, signed in at the platform.
    Owner,
}

/// What a rotation or a revocation is to change: what the keys sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The agent.
    pub agent: AgentId,
    /// Which event of the agent's key this is: 2 for the first after its registration.
    pub sequence: u32,
    /// The key that signs no more.
    pub key: DidKey,
    /// The key that takes its place; none for a revocation.
    pub new_key: Option<DidKey>,
    /// Why.
    pub reason: KeyReason,
    /// Since when somebody else may have had it; of a compromised key alone.
    pub compromised_since: Option<Timestamp>,
}

/// One event of an agent's key. It is signed in the role `platform`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The agent.
    pub agent: AgentId,
    /// The account that owns it.
    pub account: AccountId,
    /// Which event of the agent's key this is: 1 for its registration, and so on without a gap.
    pub sequence: u32,
    /// What happened.
    pub kind: KeyEventKind,
    /// The key that is the agent's from now on; of a revocation the key that was revoked.
    pub key: DidKey,
    /// The key that was rotated away.
    pub previous_key: Option<DidKey>,
    /// Why the key before, or the revoked one, signs no more.
    pub reason: Option<KeyReason>,
    /// Since when somebody else may have had it.
    pub compromised_since: Option<Timestamp>,
    /// Who asked.
    pub authority: Authority,
    /// The signature of the key that signs no more, where it asked.
    pub authorisation: Option<KeyProof>,
    /// The signature of the key that signs from now on.
    pub key_proof: Option<KeyProof>,
    /// When.
    pub event_time: Timestamp,
}

/// The body's JSON. The key stands in it, and its digest is the subject.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyEventBody {
    agent: AgentId,
    account: AccountId,
    sequence: u32,
    kind: KeyEventKind,
    key: DidKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_key: Option<DidKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<KeyReason>,
    #[serde(default, with = "json::optional_utc", skip_serializing_if = "Option::is_none")]
    compromised_since: Option<Timestamp>,
    authority: Authority,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorisation: Option<KeyProof>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_proof: Option<KeyProof>,
    #[serde(with = "json::utc")]
    event_time: Timestamp,
}

/// The text that a new agent's key signs: tag, account and key in lower-case hex, a line each, without a newline at the end.
pub fn registration_text(account: &AccountId, key: &DidKey) -> String {
    format!("{REGISTER_TAG}\n{account}\n{}", hex::encode(key.as_bytes()))
}

// === impl KeyProof ===

impl KeyProof {
    /// A signature that was made over one of the texts.
    pub fn new(signature: [u8; 64]) -> Self {
        Self(signature.to_vec())
    }

    /// The bytes: 64 of a proof that holds.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for KeyProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&json::base64_encode(&self.0))
    }
}

// === impl KeyChange ===

impl KeyChange {
    /// The text that is signed: tag, agent, sequence, the key that signs no more, the new one if there is one, the reason, and since
    /// when the key is compromised (or nothing), a line each, without a newline at the end. Keys are in lower-case hex.
    pub fn text(&self) -> String {
        let (tag, new_key) = match &self.new_key {
            Some(new_key) => (ROTATE_TAG, format!("{}\n", hex::encode(new_key.as_bytes()))),
            None => (REVOKE_TAG, String::new()),
        };
        let reason = self.reason.as_str();
        let since = self.compromised_since.and_then(rfc3339).unwrap_or_default();
        let key = hex::encode(self.key.as_bytes());
        format!("{tag}\n{}\n{}\n{key}\n{new_key}{reason}\n{since}", self.agent, self.sequence)
    }
}

/// As statements spell a moment.
fn rfc3339(at: Timestamp) -> Option<String> {
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).ok()
}

// === impl KeyReason ===

impl KeyReason {
    /// The spelling in a statement.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Compromised => "compromised",
        }
    }
}

// === impl KeyEvent ===

impl KeyEvent {
    /// What the keys had to sign for a rotation or a revocation; none for a registration.
    pub fn change(&self) -> Option<KeyChange> {
        let (agent, sequence, compromised_since) = (self.agent, self.sequence, self.compromised_since);
        let (key, new_key) = match self.kind {
            KeyEventKind::Registered => return None,
            KeyEventKind::Rotated => (self.previous_key?, Some(self.key)),
            KeyEventKind::Revoked => (self.key, None),
        };
        Some(KeyChange { agent, sequence, key, new_key, reason: self.reason?, compromised_since })
    }

    /// The key that signs no more because of this event, and why.
    pub fn ended(&self) -> Option<(DidKey, KeyReason)> {
        Some((self.change()?.key, self.reason?))
    }

    /// Checks every rule that it can be held to by itself, signatures included.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), StatementError> {
        let rotated = self.kind == KeyEventKind::Rotated;
        let first = self.kind == KeyEventKind::Registered;
        let by_key = self.authority == Authority::Key && !first;
        let compromised = self.reason == Some(KeyReason::Compromised);
        let rules = [
            (
                self.sequence > 0 && first == (self.sequence == 1),
                "sequence",
                "a registration is the first event, and no other is",
            ),
            (self.previous_key.is_some() == rotated, "previousKey", "a rotation alone has one"),
            (self.previous_key != Some(self.key), "previousKey", "a key does not follow itself"),
            (self.reason.is_some() != first, "reason", "all but a registration have one"),
            (
                compromised || self.compromised_since.is_none(),
                "compromisedSince",
                "a compromised key alone has it",
            ),
            (
                !compromised || self.compromised_since.is_some(),
                "compromisedSince",
                "a compromised key has it",
            ),
            (!first || self.authority == Authority::Key, "authority", "a key registers itself"),
            (
                self.authorisation.is_some() == by_key,
                "authorisation",
                "the key that asked has signed, and no other",
            ),
            (
                self.key_proof.is_some() != (self.kind == KeyEventKind::Revoked),
                "keyProof",
                "a key that signs from now on has signed, and no other",
            ),
            (self.proofs_hold(), "keyProof", "a signature does not hold for what the event says"),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, field, problem)) => Err(StatementError::Invalid { field, problem }),
            None => Ok(()),
        }
    }

    /// The signatures that are there hold for what the event says.
    fn proofs_hold(&self) -> bool {
        let text = self.change().map(|change| change.text());
        let text = text.unwrap_or_else(|| registration_text(&self.account, &self.key));
        let holds = |key: DidKey, proof: &Option<KeyProof>| {
            proof.as_ref().is_none_or(|proof| key.verifies(text.as_bytes(), &proof.0))
        };
        let ended = self.change().map_or(self.key, |change| change.key);
        holds(self.key, &self.key_proof) && holds(ended, &self.authorisation)
    }
}

impl Notice for KeyEvent {
    type Wire = KeyEventBody;

    const NAME: &'static str = "KeyEvent";
    const SUBJECT: &'static str = "key";
    const ROLE: Role = Role::Platform;
    const ENTRY: EntryKind = EntryKind::KeyEvent;
    const STRINGS: &'static [&'static str] = &["/kind", "/reason", "/authority"];

    fn to_wire(&self) -> (Digest, KeyEventBody) {
        let event = self.clone();
        let body = KeyEventBody {
            agent: event.agent,
            account: event.account,
            sequence: event.sequence,
            kind: event.kind,
            key: event.key,
            previous_key: event.previous_key,
            reason: event.reason,
            compromised_since: event.compromised_since,
            authority: event.authority,
            authorisation: event.authorisation,
            key_proof: event.key_proof,
            event_time: event.event_time,
        };
        (Digest::of(self.key.as_bytes()), body)
    }

    fn from_wire(subject: Digest, body: KeyEventBody) -> Result<Self, StatementError> {
        let event = Self {
            agent: body.agent,
            account: body.account,
            sequence: body.sequence,
            kind: body.kind,
            key: body.key,
            previous_key: body.previous_key,
            reason: body.reason,
            compromised_since: body.compromised_since,
            authority: body.authority,
            authorisation: body.authorisation,
            key_proof: body.key_proof,
            event_time: body.event_time,
        };
        if subject != Digest::of(event.key.as_bytes()) {
            return Err(StatementError::Invalid {
                field: "subject",
                problem: "it is not the digest of the key",
            });
        }
        event.check()?;
        Ok(event)
    }

    fn slot(&self) -> Slot {
        Slot::key_event(&self.agent, self.sequence)
    }
}

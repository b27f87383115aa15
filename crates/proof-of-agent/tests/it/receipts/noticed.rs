//! Notices that the library does not make, signed and logged as if it did: but for the rule that is broken, all of it holds.

use ed25519_dalek::Signer as _;
use poa_common::Network;
use proof_of_agent::dsse::statement_digest;
use proof_of_agent::notice::{KeyProof, Notice, registration_text};
use proof_of_agent::statement::TYPE_NAMESPACE;
use proof_of_agent::tlog::{self, EntryKind, LogEntry, Slot};
use proof_of_agent::{
    AgentVersion, Bundle, BundleEntry, Checkpoint, Digest, Envelope, KeyEvent, NoticeEntry, ReleasePolicy,
};
use serde_json::{Value, json};

use super::spoilt_statements::set;
use super::{Vector, sorted};
use crate::fixture::{ORIGIN, World, grow, id};
use crate::plan::{did, key, sealed};

/// A notice, by whom it is signed, and where it stands in the log.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) payload: Vec<u8>,
    pub(super) signer: u8,
    pub(super) at: u64,
    entry: EntryKind,
    slot: Slot,
}

/// The frame of a notice.
fn framed<N: Notice>(notice: &N, signer: u8) -> Value {
    let (subject, body) = notice.to_wire();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": N::SUBJECT, "digest": { "sha256": subject } }],
        "predicateType": format!("{TYPE_NAMESPACE}{}/v1", N::NAME),
        "predicate": {
            "network": "simulated",
            "logOrigin": ORIGIN,
            "nonce": "c9".repeat(16),
            "signer": did(signer),
            "signerRole": N::ROLE,
            "body": serde_json::to_value(body).unwrap(),
        },
    })
}

fn written(value: &Value) -> Vec<u8> {
    sorted(value).to_string().into_bytes()
}

impl Raw {
    /// A key event, by the platform, at the beginning of the log.
    pub(super) fn event(event: &KeyEvent) -> Self {
        let payload = written(&framed(event, 1));
        Self { payload, signer: 1, at: 0, entry: EntryKind::KeyEvent, slot: event.slot() }
    }

    /// A version, by a key of the agent, next in the log.
    pub(super) fn version(version: &AgentVersion, signer: u8) -> Self {
        let payload = written(&framed(version, signer));
        Self { payload, signer, at: 1, entry: EntryKind::AgentVersion, slot: version.slot() }
    }

    /// With another value at a JSON pointer; null takes the member away.
    pub(super) fn with(self, pointer: &str, to: Value) -> Self {
        self.edited(|it| set(it, pointer, to))
    }

    pub(super) fn edited(self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut value: Value = serde_json::from_slice(&self.payload).unwrap();
        edit(&mut value);
        Self { payload: written(&value), ..self }
    }

    pub(super) fn rewritten(self, from: &str, to: &str) -> Self {
        let text = String::from_utf8(self.payload).unwrap();
        assert!(text.contains(from), "{text}");
        Self { payload: text.replacen(from, to, 1).into_bytes(), ..self }
    }

    pub(super) fn at(self, at: u64) -> Self {
        Self { at, ..self }
    }

    /// By another key, which the statement names.
    pub(super) fn by(self, signer: u8) -> Self {
        Self { signer, ..self.with("/predicate/signer", json!(did(signer))) }
    }

    fn envelope(&self) -> Envelope {
        sealed(&self.payload, did(self.signer))
    }

    fn leaf(&self) -> Digest {
        let pair = [did(self.signer).as_bytes().as_slice(), &self.envelope().signatures()[0].sig].concat();
        LogEntry {
            kind: self.entry,
            statement: statement_digest(&self.payload),
            signatures: Digest::of(&pair),
            slot: self.slot,
            record: None,
        }
        .leaf_hash()
    }
}

/// Terms, and notices in the order in which they are handed over.
pub(super) fn bundle(events: &[Raw], version: Option<&Raw>) -> Bundle {
    const OFFER: u64 = 2;
    let world = World::new();
    let envelope = world.sign(&world.offer(ReleasePolicy::OnAcceptance));
    let last = events.iter().chain(version).map(|it| it.at).max().unwrap_or(OFFER).max(OFFER);
    let size = last + 3;
    let mut leaves: Vec<Digest> = (0..size).map(|it| Digest::of(&it.to_be_bytes())).collect();
    let mut log = |at: u64, leaf: Digest| leaves[usize::try_from(at).unwrap()] = leaf;
    log(OFFER, LogEntry::of(&envelope).unwrap().leaf_hash());
    events.iter().chain(version).for_each(|it| log(it.at, it.leaf()));
    let nodes = grow(&leaves);
    let proof = |at| tlog::inclusion_proof(at, size, &nodes).unwrap();
    let root = tlog::root(size, &nodes).unwrap();
    let note = Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&key(4)).unwrap();
    let entry = BundleEntry { envelope, log_index: OFFER, proof: proof(OFFER), record: None };
    let mut bundle = Bundle::new(Network::Simulated, id(7), vec![entry], note);
    let notice = |it: &Raw| NoticeEntry { envelope: it.envelope(), log_index: it.at, proof: proof(it.at) };
    bundle.key_events = events.iter().map(notice).collect();
    bundle.agent_version = version.map(notice);
    bundle
}

/// A receipt with one key event.
pub(super) fn of_event(name: &'static str, event: Raw) -> Vector {
    Vector::of(name, bundle(&[event], None))
}

/// A receipt with the agent's registration, and a version.
pub(super) fn of_version(name: &'static str, version: &Raw) -> Vector {
    let registration = Raw::event(&World::new().registration());
    Vector::of(name, bundle(&[registration], Some(version)))
}

/// What the keys sign of an event.
pub(super) fn text_of(event: &KeyEvent) -> String {
    let change = event.change().map(|change| change.text());
    change.unwrap_or_else(|| registration_text(&event.account, &event.key))
}

pub(super) fn proof(seed: u8, text: &str) -> KeyProof {
    KeyProof::new(key(seed).sign(text.as_bytes()).to_bytes())
}

/// The event with the signatures of these keys over what it says, and no others.
pub(super) fn proven(event: KeyEvent, key_proof: Option<u8>, authorisation: Option<u8>) -> KeyEvent {
    let text = text_of(&event);
    let signed = |seed: Option<u8>| seed.map(|seed| proof(seed, &text));
    KeyEvent { key_proof: signed(key_proof), authorisation: signed(authorisation), ..event }
}

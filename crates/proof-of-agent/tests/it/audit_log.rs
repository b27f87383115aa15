//! A log that the auditor's tests write, honest or not.

use std::collections::HashMap;

use poa_common::Network;
use proof_of_agent::audit::{Auditor, FindingKind, Leaf, Next, Shown, State};
use proof_of_agent::notice::{Authority, KeyChange, KeyEventKind, KeyProof, KeyReason};
use proof_of_agent::reputation::Facts;
use proof_of_agent::tlog::{
    self, EntryKind, LogEntry, Node, Slot, Tile, TileKind, consistency_proof, inclusion_proof, leaf_hash,
    write_entries,
};
use proof_of_agent::{
    AgentKeyState, Bundle, BundleEntry, Checkpoint, DidKey, Digest, KeyEvent, Kind, SettlementKind,
    Statement, TrustRoot, WorkReceived,
};

use super::fixture::{NOW, ORIGIN, World, id, record};

/// A log that a test writes as it likes.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) entries: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) nodes: HashMap<Node, Digest>,
}

impl Log {
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    pub(super) fn push_bytes(&mut self, entry: Vec<u8>, envelope: Vec<u8>) -> u64 {
        let place = self.size();
        let new = tlog::new_nodes_for_append(place, &[leaf_hash(&entry)], &self.nodes).unwrap();
        self.nodes.extend(new);
        self.entries.push((entry, envelope));
        place
    }

    pub(super) fn push(&mut self, entry: &LogEntry) -> u64 {
        self.push_bytes(entry.encode(), Vec::new())
    }

    /// An entry of some task or other.
    pub(super) fn other(number: u64) -> LogEntry {
        let digest = |tag: u8| Digest::of_parts(&[&[tag], &number.to_be_bytes()]);
        LogEntry {
            kind: EntryKind::Receipt(Kind::TermsOffered),
            statement: digest(1),
            signatures: digest(2),
            slot: Slot::from_digest(digest(3)),
            record: None,
        }
    }

    pub(super) fn fill(&mut self, count: u64) {
        for _ in 0..count {
            self.push(&Self::other(self.size()));
        }
    }

    pub(super) fn key_event(&mut self, world: &World, event: &KeyEvent) -> u64 {
        let envelope = world.stated(event).sign(&world.platform).unwrap();
        let entry = LogEntry::of_notice::<KeyEvent>(&envelope).unwrap();
        self.push_bytes(entry.encode(), envelope.to_json())
    }

    pub(super) fn note(&self, world: &World, size: u64) -> String {
        let root = tlog::root(size, &self.nodes).unwrap();
        Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&world.log).unwrap()
    }

    pub(super) fn proof(&self, old: u64, new: u64) -> Vec<Digest> {
        consistency_proof(old, new, &self.nodes).unwrap()
    }

    /// The log from its beginning, with another entry in one place.
    pub(super) fn rewritten(&self, place: usize, entry: &LogEntry) -> Self {
        let mut forged = Self::default();
        for (at, (bytes, envelope)) in self.entries.iter().enumerate() {
            let bytes = if at == place { entry.encode() } else { bytes.clone() };
            forged.push_bytes(bytes, envelope.clone());
        }
        forged
    }

    pub(super) fn shown(&self, first: u64, end: u64) -> impl Iterator<Item = Shown<'_>> {
        let range = usize::try_from(first).unwrap()..usize::try_from(end).unwrap();
        self.entries[range].iter().map(|(entry, envelope)| Shown { entry, envelope })
    }

    pub(super) fn tile(&self, tile: &Tile) -> Vec<u8> {
        match tile.kind {
            TileKind::Hashes(_) => tile.nodes().flat_map(|node| self.nodes[&node].to_vec()).collect(),
            TileKind::Entries => {
                let shown = self.shown(tile.start(), tile.start() + tile.width);
                write_entries(shown.map(|shown| shown.entry).collect::<Vec<_>>())
            }
        }
    }

    /// An auditor reads up to a size, and the tiles there.
    pub(super) fn audit(&self, auditor: &mut Auditor<'_>, world: &World, size: u64) -> bool {
        let seen = auditor.state().size();
        let next = auditor.begin(&self.note(world, size));
        assert_eq!(next, Next::Read { first: seen, size });
        auditor.feed(self.shown(seen, size));
        let went_on = auditor.finish(Some(&self.proof(seen, size)));
        for tile in auditor.tiles() {
            auditor.tile(&tile, Some(&self.tile(&tile)));
        }
        went_on
    }

    pub(super) fn leaf(&self, place: u64, size: u64) -> Option<Leaf> {
        let (entry, _) = self.entries.get(usize::try_from(place).unwrap())?;
        Some(Leaf { hash: leaf_hash(entry), proof: inclusion_proof(place, size, &self.nodes).ok()? })
    }

    /// A paid task, with other entries between its own. Answers with the places.
    pub(super) fn paid_task(&mut self, world: &World) -> (Vec<Statement>, Vec<u64>) {
        self.task(world, AgentKeyState::Active)
    }

    pub(super) fn task(&mut self, world: &World, state: AgentKeyState) -> (Vec<Statement>, Vec<u64>) {
        let mut statements = world.paid();
        statements.truncate(3);
        let mut chain = world.empty_chain();
        let mut places = Vec::new();
        for place in 0..6 {
            if place == 3 {
                let body = WorkReceived {
                    submission_log_index: places[2],
                    agent_key_state: state,
                    ..world.received()
                };
                let received = statements[2].successor(world.by_platform(), body).unwrap();
                statements.push(received);
                let decided = world.decide(&statements[3], proof_of_agent::DecisionKind::CriteriaMet);
                statements.push(decided);
                statements.push(world.settle(&statements[4], SettlementKind::Released));
            }
            let statement = statements[place].clone();
            let found = Facts::of(&chain, &statement).map(record);
            let entry = LogEntry::of(&world.sign(&statement)).unwrap().with_record(found);
            places.push(self.push(&entry));
            chain.append(statement).unwrap();
            self.fill(2);
        }
        (statements, places)
    }

    pub(super) fn bundle(
        &self,
        world: &World,
        statements: &[Statement],
        places: &[u64],
        size: u64,
    ) -> Bundle {
        let mut chain = world.empty_chain();
        let mut entries = Vec::new();
        for (statement, log_index) in statements.iter().zip(places) {
            let found = Facts::of(&chain, statement).map(record);
            let proof = inclusion_proof(*log_index, size, &self.nodes).unwrap_or_default();
            entries.push(BundleEntry {
                envelope: world.sign(statement),
                log_index: *log_index,
                proof,
                record: found,
            });
            chain.append(statement.clone()).unwrap();
        }
        Bundle::new(Network::Simulated, id(7), entries, self.note(world, size))
    }
}

pub(super) fn auditor(root: &TrustRoot) -> Auditor<'_> {
    Auditor::new(root, State::new(ORIGIN))
}

pub(super) fn kinds(auditor: &mut Auditor<'_>) -> Vec<FindingKind> {
    auditor.take_findings().into_iter().map(|finding| finding.kind).collect()
}

/// A log with an agent and a paid task in it.
pub(super) fn honest(world: &World) -> Log {
    let mut log = Log::default();
    log.key_event(world, &world.registration());
    log.fill(40);
    log.paid_task(world);
    log
}

pub(super) fn change(world: &World, sequence: u32, kind: KeyEventKind, reason: KeyReason) -> KeyEvent {
    let (old, new) = (DidKey::of(&world.agent), DidKey::of(&world.arbiter));
    let rotated = kind == KeyEventKind::Rotated;
    let change = KeyChange {
        agent: id(5),
        sequence,
        key: old,
        new_key: rotated.then_some(new),
        reason,
        compromised_since: (reason == KeyReason::Compromised).then_some(NOW),
    };
    let proof = |key: &ed25519_dalek::SigningKey| {
        use ed25519_dalek::Signer as _;
        KeyProof::new(key.sign(change.text().as_bytes()).to_bytes())
    };
    KeyEvent {
        sequence,
        kind,
        key: if rotated { new } else { old },
        previous_key: rotated.then_some(old),
        reason: Some(reason),
        compromised_since: change.compromised_since,
        authority: Authority::Key,
        authorisation: Some(proof(&world.agent)),
        key_proof: rotated.then(|| proof(&world.arbiter)),
        ..world.registration()
    }
}

//! Two receipts, with every kind of statement and every role that signs.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use poa_common::{AgentId, Network, TaskId};
use proof_of_agent::notice::AgentVersion;
use proof_of_agent::reputation::{Facts, Record};
use proof_of_agent::tlog::LogEntry;
use proof_of_agent::{
    Bundle, BundleEntry, DecisionKind, DidKey, Digest, Envelope, KeyEvent, KeyInRange, Nonce, NoticeEntry,
    NoticeStatement, ReleasePolicy, SettlementKind, Statement, TrustRoot, Trusted, Witnesses,
};

use crate::fixture::{self, LOG_GAP, NOW, ORIGIN, RESULT, World, id};
use crate::log::{Log, SIZE, log_key, witness};

/// Where the key event, the agent's version and the disputed task begin.
const KEY_EVENT: u64 = 0;
const VERSION: u64 = 1;
const DISPUTED: u64 = 20;

/// A receipt before the log is there: envelopes, their places and their records.
pub(crate) struct Receipt {
    pub(crate) name: &'static str,
    task: TaskId,
    entries: Vec<(Envelope, u64, Option<Record>)>,
}

/// The receipts, and the notices that they share.
pub(crate) struct Receipts {
    pub(crate) all: [Receipt; 2],
    pub(crate) registration: Envelope,
    pub(crate) version: Envelope,
}

/// Whom a verifier believes: the log, one witness, the receipt key and the arbiter.
pub(crate) fn trust_root(world: &World) -> TrustRoot {
    let root = SigningKey::from_bytes(&[7; 32]);
    let receipt_keys = world.receipt_keys().into_iter().map(KeyInRange::always).collect();
    TrustRoot::of(Trusted {
        witnesses: Witnesses { quorum: 1, keys: vec![witness(world)] },
        arbiter_keys: vec![KeyInRange::always(DidKey::of(&world.arbiter))],
        root_keys: vec![DidKey::of(&root)],
        ..Trusted::new(Network::Simulated, ORIGIN, vec![log_key(world)], receipt_keys)
    })
    .unwrap()
    .sign(&root)
    .unwrap()
}

// === impl Receipts ===

impl Receipts {
    pub(crate) fn new(world: &World) -> Self {
        let paid = (1..).map(|place| LOG_GAP * place - 1).zip(world.paid()).collect();
        let disputed = (DISPUTED..).zip(disputed(world)).collect();
        Self {
            all: [
                Receipt::new(world, "paid", id(7), paid),
                Receipt::new(world, "disputed", id(11), disputed),
            ],
            registration: world.stated(&world.registration()).sign(&world.platform).unwrap(),
            version: version(world),
        }
    }

    /// The entries of the log, by place.
    pub(crate) fn placed(&self) -> BTreeMap<u64, LogEntry> {
        let receipts =
            self.all.iter().flat_map(|receipt| &receipt.entries).map(|(envelope, index, record)| {
                (*index, LogEntry::of(envelope).unwrap().with_record(*record))
            });
        let notices = [
            (KEY_EVENT, LogEntry::of_notice::<KeyEvent>(&self.registration).unwrap()),
            (VERSION, LogEntry::of_notice::<AgentVersion>(&self.version).unwrap()),
        ];
        receipts.chain(notices).collect()
    }

    pub(crate) fn bundle(&self, receipt: &Receipt, log: &Log, world: &World) -> Bundle {
        let entries = receipt.entries.iter().map(|(envelope, log_index, record)| BundleEntry {
            envelope: envelope.clone(),
            log_index: *log_index,
            proof: log.inclusion(*log_index, SIZE),
            record: *record,
        });
        let notice = |envelope: &Envelope, log_index| NoticeEntry {
            envelope: envelope.clone(),
            log_index,
            proof: log.inclusion(log_index, SIZE),
        };
        let mut bundle =
            Bundle::new(Network::Simulated, receipt.task, entries.collect(), log.note(SIZE, world));
        bundle.key_events.push(notice(&self.registration, KEY_EVENT));
        bundle.agent_version = Some(notice(&self.version, VERSION));
        bundle.result = Some(RESULT.to_vec());
        bundle
    }
}

// === impl Receipt ===

impl Receipt {
    fn new(world: &World, name: &'static str, task: TaskId, statements: Vec<(u64, Statement)>) -> Self {
        let mut chain = world.empty_chain();
        let mut entries = Vec::new();
        for (index, statement) in statements {
            let record = Facts::of(&chain, &statement).map(fixture::record);
            entries.push((world.sign(&statement), index, record));
            chain.append(statement).unwrap();
        }
        Self { name, task, entries }
    }

    /// Each envelope and its place in the log.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = (&Envelope, u64)> {
        self.entries.iter().map(|(envelope, index, _)| (envelope, *index))
    }
}

/// A task whose requester has a key of its own, and whose end an arbiter decided.
fn disputed(world: &World) -> Vec<Statement> {
    let author = world.by_requester();
    let terms = fixture::terms(ReleasePolicy::OnAcceptance);
    let offer = Statement::offer(id(11), Network::Simulated, ORIGIN, author, terms).unwrap();
    let acceptance = world.accept(&offer, 1);
    let submission = world.submit(&acceptance, &acceptance);
    let received = world.receive(&submission, DISPUTED + 2);
    let dispute = fixture::decision(DecisionKind::Disputed);
    let dispute = received.successor(world.by_requester(), dispute).unwrap();
    let verdict = world.decide(&dispute, DecisionKind::Verdict);
    let settlement = world.settle(&verdict, SettlementKind::Split);
    vec![offer, acceptance, submission, received, dispute, verdict, settlement]
}

/// A version of the agent.
fn version(world: &World) -> Envelope {
    let version = AgentVersion {
        agent: id::<AgentId>(5),
        version: "1.4.0".to_owned(),
        build_digest: Digest::of(b"build"),
        build_size: 5,
        source_ref: Some("https://example.org/agent@1".to_owned()),
        measurements: Vec::new(),
        published_time: NOW,
    };
    let (signer, nonce) = (DidKey::of(&world.agent), Nonce::new([99; Nonce::LENGTH]));
    let statement = NoticeStatement::new(Network::Simulated, ORIGIN, signer, nonce, &version).unwrap();
    statement.sign(&world.agent).unwrap()
}

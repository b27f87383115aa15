//! Receipts of every shape: what goes into a log, and the bundle over it.

use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{Msat, Network, Timestamp};
use proof_of_agent::dsse::{PAYLOAD_TYPE, pae};
use proof_of_agent::note::WitnessKey;
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, KeyReason, Notice};
use proof_of_agent::reputation::Facts;
use proof_of_agent::tlog::{self, LogEntry};
use proof_of_agent::trust::{KeyInRange, RootSignature, Trusted, Witnesses};
use proof_of_agent::{
    AgentVersion, Author, Bundle, BundleEntry, Chain, Checkpoint, Decision, DecisionKind, DidKey, Digest,
    Envelope, KeyEvent, LogKey, Nonce, NoticeEntry, NoticeStatement, ReleasePolicy, Settlement,
    SettlementKind, Statement, TrustRoot,
};

use crate::fixture::{LOG_GAP, NOW, ORIGIN, World, decision, grow, id, settlement};

/// The log's name after it was moved.
pub(crate) const NEW_ORIGIN: &str = "simulated.poa/11aa";
/// What the agent's build is.
pub(crate) const BUILD: &[u8] = b"an archive of the agent's build";
/// The agent's second key, and the platform's.
pub(crate) const SECOND_AGENT_KEY: u8 = 8;
pub(crate) const SECOND_RECEIPT_KEY: u8 = 9;
/// The witnesses' keys.
pub(crate) const WITNESSES: [u8; 3] = [6, 10, 11];
/// When a witness has seen a checkpoint, in seconds since 1970.
pub(crate) const SEEN_AT: u64 = 1_767_323_045;

/// A key of the fixture: World's are the first seven.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn did(seed: u8) -> DidKey {
    DidKey::of(&key(seed))
}

/// The key of a fixture that has this name.
pub(crate) fn key_of(signer: DidKey) -> SigningKey {
    (1..=16).map(key).find(|key| DidKey::of(key) == signer).unwrap()
}

/// An envelope of any bytes in the payload, signed for the signer: what the library itself does not sign.
pub(crate) fn sealed(payload: &[u8], signer: DidKey) -> Envelope {
    let signature = key_of(signer).sign(&pae(PAYLOAD_TYPE, payload)).to_bytes();
    enveloped(payload, &signer.to_string(), &signature)
}

pub(crate) fn enveloped(payload: &[u8], keyid: &str, signature: &[u8]) -> Envelope {
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let value = serde_json::json!({
        "payloadType": PAYLOAD_TYPE,
        "payload": base64(payload),
        "signatures": [{ "keyid": keyid, "sig": base64(signature) }],
    });
    Envelope::from_json(&serde_json::to_vec(&value).unwrap()).unwrap()
}

pub(crate) fn witness_key(place: usize) -> WitnessKey {
    WitnessKey::new(format!("witness{place}.example/w"), did(WITNESSES[place])).unwrap()
}

/// A statement of the task, and where it stands.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) statement: Statement,
    pub(crate) log_index: u64,
    /// In the log, and not in the receipt: a claim that lapsed.
    pub(crate) left_out: bool,
}

/// What goes into a log.
pub(crate) struct Plan {
    pub(crate) statements: Vec<Placed>,
    pub(crate) events: Vec<(NoticeStatement<KeyEvent>, u64)>,
    pub(crate) version: Option<(NoticeStatement<AgentVersion>, u64)>,
    pub(crate) size: u64,
    pub(crate) origin: &'static str,
    /// Places of [`WITNESSES`] that have seen the checkpoint.
    pub(crate) seen_by: Vec<usize>,
    /// A place of [`Self::statements`], and the record that the log and the bundle have there in the place of the right one.
    pub(crate) recorded: Option<(usize, Option<proof_of_agent::reputation::Record>)>,
}

impl Plan {
    /// Every third entry is the task's, the first is the agent's registration.
    pub(crate) fn of(world: &World, statements: &[Statement]) -> Self {
        let statements: Vec<Placed> = (1..)
            .zip(statements)
            .map(|(place, statement)| Placed {
                statement: statement.clone(),
                log_index: LOG_GAP * place - 1,
                left_out: false,
            })
            .collect();
        let size = statements.last().map_or(1, |last| last.log_index + 3);
        let events = vec![(world.stated(&world.registration()), 0)];
        Self { statements, events, version: None, size, origin: ORIGIN, seen_by: Vec::new(), recorded: None }
    }

    pub(crate) fn without(mut self, place: usize) -> Self {
        self.statements[place].left_out = true;
        self
    }

    pub(crate) fn with_event(mut self, world: &World, event: &KeyEvent, place: u64) -> Self {
        self.events.push((world.stated(event), place));
        self
    }

    /// The chain, with the lapsed claims.
    pub(crate) fn records(&self) -> Vec<Option<proof_of_agent::reputation::Record>> {
        let keys = [did(1), did(SECOND_RECEIPT_KEY)];
        let mut chain = Chain::new(&keys).with_arbiters(&[did(5)]);
        let record = |placed: &Placed| {
            let record = Facts::of(&chain, &placed.statement).map(crate::fixture::record);
            // A chain that the verifier will refuse is built all the same.
            let _ = chain.append(placed.statement.clone());
            record
        };
        let mut records: Vec<_> = self.statements.iter().map(record).collect();
        if let Some((place, other)) = self.recorded {
            records[place] = other;
        }
        records
    }

    pub(crate) fn bundle(&self) -> Bundle {
        let mut leaves: Vec<Digest> = (0..self.size).map(|it| Digest::of(&it.to_be_bytes())).collect();
        let mut set = |place: u64, entry: LogEntry| {
            leaves[usize::try_from(place).unwrap()] = entry.leaf_hash();
        };
        let events: Vec<_> = self.events.iter().map(|(event, at)| notice(event, *at, &mut set)).collect();
        let version = self.version.as_ref().map(|(version, at)| notice(version, *at, &mut set));
        let records = self.records();
        let mut entries = Vec::new();
        for (placed, record) in self.statements.iter().zip(records) {
            let envelope = sealed(placed.statement.payload(), placed.statement.context().signer);
            set(placed.log_index, LogEntry::of(&envelope).unwrap().with_record(record));
            if !placed.left_out {
                let log_index = placed.log_index;
                entries.push(BundleEntry { envelope, log_index, proof: Vec::new(), record });
            }
        }
        let nodes = grow(&leaves);
        let proof = |place: u64| tlog::inclusion_proof(place, self.size, &nodes).unwrap();
        let root = tlog::root(self.size, &nodes).unwrap();
        let checkpoint = Checkpoint { origin: self.origin.to_owned(), size: self.size, root };
        let mut bundle = Bundle::new(Network::Simulated, id(7), entries, checkpoint.sign(&key(4)).unwrap());
        for place in &self.seen_by {
            let line = witness_key(*place).cosign(&checkpoint.text(), SEEN_AT, &key(WITNESSES[*place]));
            bundle.checkpoint.push_str(&line);
        }
        bundle.entries.iter_mut().for_each(|entry| entry.proof = proof(entry.log_index));
        let is_claimed = self.statements.iter().any(|it| it.statement.body().as_terms_accepted().is_some());
        if is_claimed {
            bundle.key_events = events;
        }
        bundle.agent_version = version;
        bundle.key_events.iter_mut().for_each(|entry| entry.proof = proof(entry.log_index));
        bundle.agent_version.iter_mut().for_each(|entry| entry.proof = proof(entry.log_index));
        bundle
    }
}

fn notice<N: Notice>(
    statement: &NoticeStatement<N>,
    log_index: u64,
    set: &mut impl FnMut(u64, LogEntry),
) -> NoticeEntry {
    let envelope = statement.sign(&key_of(statement.signer())).unwrap();
    set(log_index, LogEntry::of_notice::<N>(&envelope).unwrap());
    NoticeEntry { envelope, log_index, proof: Vec::new() }
}

/// The receipt of statements that follow each other, all of them in it.
pub(crate) fn receipt(world: &World, statements: &[Statement]) -> Bundle {
    Plan::of(world, statements).bundle()
}

// === Key events and versions ===

/// The agent's second key takes the first one's place: both have signed.
pub(crate) fn rotation(world: &World, reason: KeyReason, since: Option<Timestamp>) -> KeyEvent {
    let mut event = KeyEvent {
        sequence: 2,
        kind: KeyEventKind::Rotated,
        key: did(SECOND_AGENT_KEY),
        previous_key: Some(DidKey::of(&world.agent)),
        reason: Some(reason),
        compromised_since: since,
        ..world.registration()
    };
    let text = event.change().unwrap().text();
    let proof = |seed| Some(KeyProof::new(key(seed).sign(text.as_bytes()).to_bytes()));
    (event.authorisation, event.key_proof) = (proof(2), proof(SECOND_AGENT_KEY));
    event
}

/// The owner revokes the agent's first key.
pub(crate) fn revocation(world: &World, reason: KeyReason, since: Option<Timestamp>) -> KeyEvent {
    KeyEvent {
        sequence: 2,
        kind: KeyEventKind::Revoked,
        reason: Some(reason),
        compromised_since: since,
        authority: Authority::Owner,
        key_proof: None,
        ..world.registration()
    }
}

pub(crate) fn version() -> AgentVersion {
    AgentVersion {
        agent: id(5),
        version: "1.4.0".to_owned(),
        build_digest: Digest::of(BUILD),
        build_size: 31,
        source_ref: Some("https://example.org/agent@1.4.0".to_owned()),
        measurements: Vec::new(),
        published_time: NOW,
    }
}

pub(crate) fn version_stated(version: &AgentVersion, seed: u8) -> NoticeStatement<AgentVersion> {
    let nonce = Nonce::new([90; Nonce::LENGTH]);
    NoticeStatement::new(Network::Simulated, ORIGIN, did(seed), nonce, version).unwrap()
}

// === Trust roots ===

/// What the verifier of a whole instance believes.
pub(crate) fn trusted() -> Trusted {
    let log_key = LogKey::new(ORIGIN, did(4)).unwrap();
    let receipt_keys = vec![KeyInRange::always(did(1))];
    let mut trusted = Trusted::new(Network::Simulated, ORIGIN, vec![log_key], receipt_keys);
    trusted.arbiter_keys = vec![KeyInRange::always(did(5))];
    trusted.root_keys = vec![did(7)];
    trusted
}

pub(crate) fn trust_root() -> TrustRoot {
    TrustRoot::of(trusted()).unwrap()
}

pub(crate) fn witnessed(quorum: u32) -> Trusted {
    Trusted { witnesses: Witnesses { quorum, keys: (0..3).map(witness_key).collect() }, ..trusted() }
}

/// The instance whose log was moved, and goes on under another name.
pub(crate) fn moved() -> Trusted {
    let log_key = LogKey::new(NEW_ORIGIN, did(4)).unwrap();
    Trusted {
        revision: 2,
        origin: NEW_ORIGIN.to_owned(),
        prior_origins: vec![ORIGIN.to_owned()],
        log_keys: vec![log_key],
        ..trusted()
    }
}

/// The second receipt key takes over at a place of the log.
pub(crate) fn ranges(change: u64) -> Trusted {
    let receipt_keys = vec![
        KeyInRange { key: did(1), from: 0, until: Some(change) },
        KeyInRange { key: did(SECOND_RECEIPT_KEY), from: change, until: None },
    ];
    Trusted { revision: 2, receipt_keys, ..trusted() }
}

/// A signature that does not hold.
pub(crate) fn bad_signature() -> RootSignature {
    RootSignature { key: did(7), sig: vec![0; 64] }
}

// === Money ===

/// A settlement that pays `paid` of what is left after `before` with `fee_before` was paid, and gives `refund` back.
pub(crate) fn payment(
    kind: SettlementKind,
    before: i64,
    fee_before: i64,
    paid: i64,
    refund: i64,
) -> Settlement {
    // 500 basis points: see the fixture's terms.
    let fee = (before + paid) * 500 / 10_000 - fee_before;
    Settlement {
        kind,
        amount_msat: Msat::new(paid + refund),
        fee_msat: Msat::new(fee),
        payee_msat: Msat::new(paid - fee),
        refund_msat: (refund > 0).then(|| Msat::new(refund)),
        payee: Some(id(2)),
        ..settlement(SettlementKind::Released)
    }
}

pub(crate) fn refund(amount: i64) -> Settlement {
    Settlement { amount_msat: Msat::new(amount), ..settlement(SettlementKind::Refunded) }
}

pub(crate) fn verdict(amount: i64) -> Decision {
    Decision { amount_msat: Some(Msat::new(amount)), ..decision(DecisionKind::Verdict) }
}

// === Chains ===

/// A task that was paid, up to so many statements.
pub(crate) fn up_to(length: usize) -> Vec<Statement> {
    World::new().paid()[..length].to_vec()
}

/// A task whose work was received, and what came of it.
pub(crate) fn received_then(tell: impl for<'a> FnOnce(Story<'a>) -> Story<'a>) -> Vec<Statement> {
    let world = World::new();
    tell(Story::received(&world)).statements
}

/// A task up to a decision of this kind.
pub(crate) fn up_to_decision(kind: DecisionKind) -> Vec<Statement> {
    match kind {
        DecisionKind::Verdict => received_then(|story| story.judged(40_011)),
        DecisionKind::CriteriaMet => up_to(5),
        DecisionKind::Expired | DecisionKind::Canceled => {
            let world = World::new();
            Story::new(&world, vec![world.offer(ReleasePolicy::OnAcceptance)]).decided(kind).statements
        }
        _ => received_then(|story| story.decided(kind)),
    }
}

/// A chain that grows by one statement after another.
pub(crate) struct Story<'a> {
    pub(crate) world: &'a World,
    pub(crate) statements: Vec<Statement>,
}

impl<'a> Story<'a> {
    pub(crate) fn new(world: &'a World, statements: Vec<Statement>) -> Self {
        Self { world, statements }
    }

    /// The work was received, under the policy `onAcceptance`.
    pub(crate) fn received(world: &'a World) -> Self {
        Self::new(world, world.up_to_received(ReleasePolicy::OnAcceptance))
    }

    pub(crate) fn last(&self) -> &Statement {
        self.statements.last().unwrap()
    }

    pub(crate) fn then(mut self, author: Author, body: impl Into<proof_of_agent::Body>) -> Self {
        self.statements.push(self.last().successor(author, body).unwrap());
        self
    }

    pub(crate) fn decided(self, kind: DecisionKind) -> Self {
        let next = self.world.decide(self.last(), kind);
        let mut statements = self.statements;
        statements.push(next);
        Self { statements, ..self }
    }

    pub(crate) fn judged(self, amount: i64) -> Self {
        let author = self.world.by_arbiter();
        self.decided(DecisionKind::Disputed).then(author, verdict(amount))
    }

    pub(crate) fn settled(self, settlement: Settlement) -> Self {
        let author = self.world.by_platform();
        self.then(author, settlement)
    }

    /// Another result under the latest claim, and its receipt, as the plan will log them.
    pub(crate) fn resubmitted(mut self) -> Self {
        let is_claim = |it: &&Statement| it.body().as_terms_accepted().is_some();
        let acceptance = self.statements.iter().rev().find(is_claim).unwrap().clone();
        let submission = self.world.submit(self.last(), &acceptance);
        self.statements.push(submission.clone());
        let log_index = LOG_GAP * u64::try_from(self.statements.len()).unwrap() - 1;
        self.statements.push(self.world.receive(&submission, log_index));
        self
    }
}

//! A platform, an agent and a task, with keys and ids that are the same in every run.

use std::cell::Cell;
use std::collections::HashMap;

use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{AccountId, AgentId, EscrowId, Msat, Network, TaskId, Timestamp, TransferId, TypedId};
use proof_of_agent::notice::{Authority, KeyEventKind, KeyProof, registration_text};
use proof_of_agent::reputation::{Facts, Pseudonym, Record};
use proof_of_agent::tlog::{self, LogEntry, Node};
use proof_of_agent::{
    AgentKeyState, Author, Bundle, BundleEntry, Chain, Checkpoint, Content, Criterion, Deadline, Decision,
    DecisionKind, DidKey, Digest, Envelope, KeyEvent, LogKey, Nonce, NoticeEntry, NoticeStatement, Rail,
    ReleasePolicy, Settlement, SettlementKind, Statement, TermsAccepted, TermsOffered, TrustRoot,
    WorkReceived, WorkSubmitted,
};
use time::macros::datetime;
use uuid::Uuid;

pub(crate) const ORIGIN: &str = "simulated.poa/00ff";
pub(crate) const INPUT: &[u8] = b"please count to three";
pub(crate) const RESULT: &[u8] = b"{\"count\":[1,2,3]}";
pub(crate) const NOW: Timestamp = datetime!(2026-01-02 03:04:05.678901 UTC);

/// A price whose fee does not divide evenly.
pub(crate) const PRICE: Msat = Msat::new(100_999);
pub(crate) const FEE: Msat = Msat::new(5_049);
pub(crate) const NET: Msat = Msat::new(95_950);

/// A part of the price, and its fee: the same share, rounded down.
pub(crate) const PART: Msat = Msat::new(40_011);
pub(crate) const PART_FEE: Msat = Msat::new(2_000);

pub(crate) struct World {
    pub(crate) platform: SigningKey,
    pub(crate) agent: SigningKey,
    pub(crate) requester: SigningKey,
    pub(crate) log: SigningKey,
    pub(crate) arbiter: SigningKey,
    pub(crate) witness: SigningKey,
    nonces: Cell<u8>,
}

pub(crate) fn id<T: TypedId>(number: u128) -> T {
    T::from_uuid(Uuid::from_u128(number))
}

impl World {
    pub(crate) fn new() -> Self {
        let key = |byte: u8| SigningKey::from_bytes(&[byte; 32]);
        Self {
            platform: key(1),
            agent: key(2),
            requester: key(3),
            log: key(4),
            arbiter: key(5),
            witness: key(6),
            nonces: Cell::new(0),
        }
    }

    pub(crate) fn nonce(&self) -> Nonce {
        self.nonces.set(self.nonces.get().wrapping_add(1));
        Nonce::new([self.nonces.get(); Nonce::LENGTH])
    }

    pub(crate) fn by_platform(&self) -> Author {
        Author::platform(DidKey::of(&self.platform), self.nonce())
    }

    pub(crate) fn for_requester(&self) -> Author {
        Author::platform_for_requester(DidKey::of(&self.platform), self.nonce())
    }

    pub(crate) fn by_requester(&self) -> Author {
        Author::requester(DidKey::of(&self.requester), self.nonce())
    }

    pub(crate) fn by_agent(&self) -> Author {
        Author::agent(DidKey::of(&self.agent), self.nonce())
    }

    pub(crate) fn by_arbiter(&self) -> Author {
        Author::arbiter(DidKey::of(&self.arbiter), self.nonce())
    }

    /// The first event of the agent's key.
    pub(crate) fn registration(&self) -> KeyEvent {
        let (account, key) = (id::<AccountId>(2), DidKey::of(&self.agent));
        let proof = self.agent.sign(registration_text(&account, &key).as_bytes());
        KeyEvent {
            agent: id(5),
            account,
            sequence: 1,
            kind: KeyEventKind::Registered,
            key,
            previous_key: None,
            reason: None,
            compromised_since: None,
            authority: Authority::Key,
            authorisation: None,
            key_proof: Some(KeyProof::new(proof.to_bytes())),
            event_time: NOW,
        }
    }

    /// A key event as the platform states it: the same bytes for the same event.
    pub(crate) fn stated(&self, event: &KeyEvent) -> NoticeStatement<KeyEvent> {
        let signer = DidKey::of(&self.platform);
        let nonce = Nonce::new([200 + u8::try_from(event.sequence).unwrap(); Nonce::LENGTH]);
        NoticeStatement::new(Network::Simulated, ORIGIN, signer, nonce, event).unwrap()
    }

    pub(crate) fn receipt_keys(&self) -> Vec<DidKey> {
        vec![DidKey::of(&self.platform)]
    }

    pub(crate) fn trust_root(&self) -> TrustRoot {
        let log_key = LogKey::new(ORIGIN, DidKey::of(&self.log)).unwrap();
        TrustRoot::new(Network::Simulated, ORIGIN, vec![log_key], self.receipt_keys(), None).unwrap()
    }

    pub(crate) fn offer(&self, policy: ReleasePolicy) -> Statement {
        self.offer_of(self.for_requester(), terms(policy))
    }

    pub(crate) fn offer_of(&self, author: Author, terms: TermsOffered) -> Statement {
        Statement::offer(id(7), Network::Simulated, ORIGIN, author, terms).unwrap()
    }

    pub(crate) fn accept(&self, offer: &Statement, claim_number: u32) -> Statement {
        offer.successor(self.by_agent(), accepted(claim_number)).unwrap()
    }

    /// `before` is the acceptance, or the rejection of an earlier submission.
    pub(crate) fn submit(&self, before: &Statement, acceptance: &Statement) -> Statement {
        before.successor(self.by_agent(), submitted(acceptance)).unwrap()
    }

    pub(crate) fn receive(&self, submission: &Statement, log_index: u64) -> Statement {
        let body = WorkReceived { submission_log_index: log_index, ..self.received() };
        submission.successor(self.by_platform(), body).unwrap()
    }

    pub(crate) fn decide(&self, before: &Statement, kind: DecisionKind) -> Statement {
        let author = match kind {
            DecisionKind::Accepted
            | DecisionKind::AcceptedInPart
            | DecisionKind::RevisionRequested
            | DecisionKind::DeadlineExtended
            | DecisionKind::Disputed
            | DecisionKind::Rejected
            | DecisionKind::Canceled => self.for_requester(),
            DecisionKind::Verdict => self.by_arbiter(),
            DecisionKind::DeadlinePassed | DecisionKind::CriteriaMet | DecisionKind::Expired => {
                self.by_platform()
            }
        };
        before.successor(author, decision(kind)).unwrap()
    }

    /// Up to the platform's receipt, of a task that a hold invoice funds.
    pub(crate) fn held_elsewhere(&self, policy: ReleasePolicy) -> Vec<Statement> {
        let offer =
            self.offer_of(self.for_requester(), TermsOffered { rail: Rail::HoldInvoice, ..terms(policy) });
        let acceptance = self.accept(&offer, 1);
        let submission = self.submit(&acceptance, &acceptance);
        let received = self.receive(&submission, LOG_GAP * 3 - 1);
        vec![offer, acceptance, submission, received]
    }

    pub(crate) fn settle(&self, before: &Statement, kind: SettlementKind) -> Statement {
        before.successor(self.by_platform(), settlement(kind)).unwrap()
    }

    pub(crate) fn received(&self) -> WorkReceived {
        WorkReceived {
            agent: id::<AgentId>(5),
            account: id::<AccountId>(2),
            agent_key: DidKey::of(&self.agent),
            key_event: self.stated(&self.registration()).digest(),
            agent_key_state: AgentKeyState::Active,
            submission_log_index: 0,
            received_time: NOW,
        }
    }

    /// 1 to 4 of a task, the submission being the third entry of the log.
    pub(crate) fn up_to_received(&self, policy: ReleasePolicy) -> Vec<Statement> {
        let offer = self.offer(policy);
        let acceptance = self.accept(&offer, 1);
        let submission = self.submit(&acceptance, &acceptance);
        let received = self.receive(&submission, LOG_GAP * 3 - 1);
        vec![offer, acceptance, submission, received]
    }

    /// 1 to 6 of a task that was paid.
    pub(crate) fn paid(&self) -> Vec<Statement> {
        let mut statements = self.up_to_received(ReleasePolicy::OnAttestation);
        statements.push(self.decide(&statements[3], DecisionKind::CriteriaMet));
        statements.push(self.settle(&statements[4], SettlementKind::Released));
        statements
    }

    pub(crate) fn sign(&self, statement: &Statement) -> Envelope {
        let signer = statement.context().signer;
        let keys = [&self.platform, &self.agent, &self.requester, &self.arbiter];
        let key = keys.into_iter().find(|key| DidKey::of(key) == signer).unwrap();
        Envelope::sign(statement, key).unwrap()
    }

    pub(crate) fn sign_all(&self, statements: &[Statement]) -> Vec<Envelope> {
        statements.iter().map(|statement| self.sign(statement)).collect()
    }

    pub(crate) fn empty_chain(&self) -> Chain {
        Chain::new(&self.receipt_keys()).with_arbiters(&[DidKey::of(&self.arbiter)])
    }

    pub(crate) fn chain(&self, statements: &[Statement]) -> Chain {
        let mut chain = self.empty_chain();
        for statement in statements {
            chain.append(statement.clone()).unwrap();
        }
        chain
    }

    /// A bundle over a log in which other tasks' entries stand between this task's.
    pub(crate) fn bundle(&self, statements: &[Statement]) -> Bundle {
        let entries: Vec<(Envelope, u64)> = (1..)
            .zip(self.sign_all(statements))
            .map(|(place, envelope)| (envelope, LOG_GAP * place - 1))
            .collect();
        self.bundle_at(entries)
    }

    pub(crate) fn bundle_at(&self, entries: Vec<(Envelope, u64)>) -> Bundle {
        let size = entries.iter().map(|(_, index)| index + 3).max().unwrap_or(1);
        let mut leaves: Vec<Digest> = (0..size).map(|index| Digest::of(&index.to_be_bytes())).collect();
        let registration = self.stated(&self.registration()).sign(&self.platform).unwrap();
        leaves[0] = LogEntry::of_notice::<KeyEvent>(&registration).unwrap().leaf_hash();
        let mut chain = self.empty_chain();
        let mut records = Vec::new();
        for (envelope, index) in &entries {
            let statement = envelope.open().unwrap();
            let record = Facts::of(&chain, &statement).map(record);
            let entry = LogEntry::of(envelope).unwrap().with_record(record);
            leaves[usize::try_from(*index).unwrap()] = entry.leaf_hash();
            records.push(record);
            // A chain that the verifier will refuse is built all the same.
            let _ = chain.append(statement);
        }
        let nodes = grow(&leaves);
        let checkpoint =
            Checkpoint { origin: ORIGIN.to_owned(), size, root: tlog::root(size, &nodes).unwrap() };
        let entries = entries
            .into_iter()
            .zip(records)
            .map(|((envelope, log_index), record)| BundleEntry {
                envelope,
                log_index,
                proof: tlog::inclusion_proof(log_index, size, &nodes).unwrap(),
                record,
            })
            .collect();
        let mut bundle = Bundle::new(Network::Simulated, id(7), entries, checkpoint.sign(&self.log).unwrap());
        if chain.acceptance().is_some() {
            let proof = tlog::inclusion_proof(0, size, &nodes).unwrap();
            bundle.key_events.push(NoticeEntry { envelope: registration, log_index: 0, proof });
        }
        bundle
    }
}

/// Every third entry of the log is the task's.
pub(crate) const LOG_GAP: u64 = 3;

pub(crate) fn grow(leaves: &[Digest]) -> HashMap<Node, Digest> {
    tlog::new_nodes_for_append(0, leaves, &HashMap::new()).unwrap().into_iter().collect()
}

pub(crate) fn terms(policy: ReleasePolicy) -> TermsOffered {
    TermsOffered {
        requester: id::<AccountId>(1),
        title: "Count to three".to_owned(),
        capability: Some("math.count".to_owned()),
        input: Content::of(INPUT, "text/plain"),
        criteria: vec![
            Criterion::JsonSchema { schema: "{\"type\":\"object\"}".to_owned() },
            Criterion::Size { min_bytes: 1, max_bytes: Some(1_000) },
        ],
        price_msat: PRICE,
        fee_bps: 500,
        fee_msat: FEE,
        payee_net_msat: NET,
        policy,
        expires_in_seconds: 86_400,
        claim_seconds: 60,
        work_seconds: 3_600,
        review_seconds: 7_200,
        rail: Rail::Balance,
        escrow: id::<EscrowId>(9),
        direct_agent: None,
        offered_time: NOW,
    }
}

pub(crate) fn accepted(claim_number: u32) -> TermsAccepted {
    TermsAccepted {
        agent: id::<AgentId>(5),
        account: id::<AccountId>(2),
        claim_number,
        lease_seconds: 60,
        accepted_time: NOW,
    }
}

pub(crate) fn submitted(acceptance: &Statement) -> WorkSubmitted {
    WorkSubmitted {
        agent: id::<AgentId>(5),
        claim_number: acceptance.body().as_terms_accepted().unwrap().claim_number,
        acceptance: acceptance.digest(),
        output: Content::of(RESULT, "application/json"),
        started_time: NOW,
        finished_time: NOW,
        build_digest: None,
        source_ref: Some("https://example.org/agent@1".to_owned()),
        tee_evidence_digest: None,
    }
}

/// What the log says in public of facts, of one requester.
pub(crate) fn record(facts: Facts) -> Record {
    Record { facts, requester: Pseudonym::new([3; 16]), standing: 12 }
}

pub(crate) fn decision(kind: DecisionKind) -> Decision {
    let why = Some("three is missing".to_owned());
    let plain = Decision::of(kind, NOW);
    match kind {
        DecisionKind::Rejected | DecisionKind::RevisionRequested | DecisionKind::Disputed => {
            Decision { reason: why, ..plain }
        }
        DecisionKind::DeadlineExtended => {
            Decision { reason: why, deadline: Some(Deadline::Review), extended_seconds: Some(600), ..plain }
        }
        DecisionKind::AcceptedInPart => Decision { amount_msat: Some(PART), ..plain },
        DecisionKind::Verdict => Decision { reason: why, amount_msat: Some(PART), ..plain },
        _ => plain,
    }
}

pub(crate) fn settlement(kind: SettlementKind) -> Settlement {
    let released = kind == SettlementKind::Released;
    if matches!(kind, SettlementKind::Captured | SettlementKind::Split) {
        let whole = settlement(SettlementKind::Released);
        let rest = PRICE.checked_sub(PART).unwrap();
        let split = kind == SettlementKind::Split;
        return Settlement {
            kind,
            amount_msat: if split { PRICE } else { PART },
            fee_msat: PART_FEE,
            payee_msat: PART.checked_sub(PART_FEE).unwrap(),
            refund_msat: split.then_some(rest),
            ..whole
        };
    }
    Settlement {
        escrow: id::<EscrowId>(9),
        kind,
        rail: if kind == SettlementKind::FundingLost { Rail::HoldInvoice } else { Rail::Balance },
        amount_msat: PRICE,
        fee_msat: if released { FEE } else { Msat::ZERO },
        payee_msat: if released { NET } else { Msat::ZERO },
        refund_msat: None,
        payer: id::<AccountId>(1),
        payee: released.then(|| id::<AccountId>(2)),
        transfers: if kind == SettlementKind::FundingLost { vec![] } else { vec![id::<TransferId>(8)] },
        settled_time: NOW,
    }
}

/// Another task's id.
pub(crate) fn other_task() -> TaskId {
    id(70)
}

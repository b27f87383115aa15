//! A task and everybody who has to do with it, without a server.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use poa_common::{AccountId, AgentId, Env, Msat, Network, TransferId};
use proof_of_agent::statement::Kind;
use proof_of_agent::{
    AgentKeyState, Author, Content, Criterion, DidKey, Envelope, Nonce, Rail, ReleasePolicy, Statement,
    TermsAccepted, TermsOffered, WorkReceived, WorkSubmitted,
};

use super::super::*;
use super::DAY;

/// A task and everybody who has to do with it.
pub(super) struct Story {
    pub(super) env: Env,
    pub(super) pen: Pen,
    pub(super) platform: SigningKey,
    pub(super) key: SigningKey,
    pub(super) agent: AgentId,
    pub(super) account: AccountId,
    pub(super) offer: Statement,
    pub(super) saga: Saga,
    pub(super) at: Moment,
    pub(super) channel: Channel,
}

/// What the requester's channel does with what a hold invoice locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Nobody has paid.
    Empty,
    /// It is paid, and can be taken and given back.
    Paid,
    /// It is neither taken nor given back yet.
    Slow,
    /// The network gave it back.
    Broken,
}

pub(super) fn story(policy: ReleasePolicy) -> Story {
    funded_by(Rail::Balance, policy)
}

/// A task that a hold invoice funds.
pub(super) fn hold_story(policy: ReleasePolicy) -> Story {
    funded_by(Rail::HoldInvoice, policy)
}

fn funded_by(rail: Rail, policy: ReleasePolicy) -> Story {
    let (env, _) = poa_testkit::env(3);
    let platform = SigningKey::from_bytes(&env.random());
    let pen = Pen { signer: DidKey::of(&platform), env: env.clone() };
    let at = Moment { mesh: MeshTime::from_micros(1_000_000), wall: env.now() };
    let terms = TermsOffered {
        requester: env.new_id(),
        title: "count".to_owned(),
        capability: Some("math.count".to_owned()),
        input: Content::of(b"in", "text/plain"),
        criteria: vec![Criterion::Size { min_bytes: 1, max_bytes: None }],
        price_msat: Msat::new(10_000),
        fee_bps: 500,
        fee_msat: Msat::new(500),
        payee_net_msat: Msat::new(9_500),
        policy,
        expires_in_seconds: 3_600,
        claim_seconds: 60,
        work_seconds: 600,
        review_seconds: 300,
        rail,
        escrow: env.new_id(),
        direct_agent: None,
        offered_time: at.wall,
    };
    let (requester, escrow) = (terms.requester, terms.escrow);
    let offer = Statement::offer(env.new_id(), Network::Simulated, "log.example", pen.for_requester(), terms)
        .unwrap();
    let saga = Saga {
        offer: Offer {
            task: offer.context().task,
            requester,
            capability: "math.count".to_owned(),
            price: Msat::new(10_000),
            fee: Msat::new(500),
            payee: Msat::new(9_500),
            policy,
            direct_agent: None,
            escrow,
            rail,
            open: Duration::from_secs(3_600),
            work: Duration::from_secs(600),
            review: Duration::from_secs(300),
            lease: Duration::from_secs(60),
            terms: offer.digest(),
        },
        status: Status {
            version: 1,
            state: State::Funding,
            end: None,
            claim: None,
            claims: 0,
            submissions: 0,
            open_due: None,
            review_due: None,
            resubmit_due: None,
            note: String::new(),
            held: false,
            token: Some(SealedToken { sealed: vec![1], expires: at.wall + DAY }),
            updated: at.wall,
        },
        hold: None,
        statements: vec![Entry {
            seq: 1,
            kind: Kind::TermsOffered,
            digest: offer.digest(),
            standing: Standing::Pending,
            paper: Some(Paper::Payload(offer.payload().to_vec())),
            account: Some(requester),
            request: Some(uuid::Uuid::nil()),
        }],
        refused: Vec::new(),
    };
    let key = SigningKey::from_bytes(&env.random());
    let channel = if rail == Rail::Balance { Channel::Paid } else { Channel::Empty };
    Story { agent: env.new_id(), account: env.new_id(), env, pen, platform, key, offer, saga, at, channel }
}

// === impl Story ===

impl Story {
    pub(super) fn next(&self) -> Next {
        next_step(&self.saga, self.at)
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.at.mesh = self.at.mesh.after(span);
    }

    pub(super) fn author(&self) -> Author {
        Author::agent(DidKey::of(&self.key), Nonce::new(self.env.random()))
    }

    pub(super) fn papers(&self) -> Vec<Paper> {
        self.saga.statements.iter().filter_map(|entry| entry.paper.clone()).collect()
    }

    pub(super) fn chain(&self) -> proof_of_agent::Chain {
        chain_of(&self.papers(), &[self.pen.signer]).unwrap()
    }

    /// Carries out the next step as escrow and attestation would, when all goes well. Answers whether there was one, and an
    /// answer to it.
    pub(super) fn step(&mut self) -> bool {
        let (pen, at) = (self.pen.clone(), self.at);
        let Next::Step(step) = self.next() else {
            return false;
        };
        let transfer: TransferId = self.env.new_id();
        let ledger = self.saga.offer.rail == Rail::Balance
            || self.saga.hold.as_ref().is_some_and(|hold| hold.fate == Fate::Secured);
        match step {
            Step::HoldFunds if self.saga.offer.rail == Rail::Balance => self.saga.funded(None, at),
            Step::HoldFunds => match (self.channel, self.saga.status.state) {
                (Channel::Empty, State::Funding) => self.saga.awaiting(self.lock(0), at).unwrap(),
                (Channel::Empty | Channel::Slow, _) => return false,
                (Channel::Paid, _) => self.saga.funded(Some(self.lock(10_000)), at),
                (Channel::Broken, _) => self.saga.refuse_funding("unpaid", at).unwrap(),
            },
            Step::Secure => match self.channel {
                Channel::Empty | Channel::Slow => return false,
                Channel::Paid => self.saga.secured(),
                Channel::Broken => self.saga.lost(&pen, at).unwrap(),
            },
            Step::Capture if self.channel == Channel::Slow && !ledger => return false,
            Step::Capture if self.channel == Channel::Broken && !ledger => {
                self.saga.lost(&pen, at).unwrap();
            }
            Step::GiveUp => self.saga.give_up(&pen, at).unwrap(),
            Step::EndLost => self.saga.end_lost(&pen, at).unwrap(),
            Step::Append(seq) => self.append(seq),
            Step::Capture => self.saga.captured(transfer, &pen, at).unwrap(),
            Step::Refund => {
                if self.channel == Channel::Slow && !ledger {
                    return false;
                }
                let held = (self.saga.status.held && ledger).then_some(transfer);
                self.saga.refunded(held, &pen, at).unwrap();
            }
            Step::AbandonFunding => self.saga.abandon_funding("token", at).unwrap(),
            Step::LapseClaim => self.saga.lapse(at).unwrap(),
            Step::ExpireOffer | Step::ExpireRejected => self.saga.expire("late", &pen, at).unwrap(),
            Step::Release => self.saga.approve(proof_of_agent::DecisionKind::CriteriaMet, &pen, at).unwrap(),
            Step::AcceptBySilence => {
                self.saga.approve(proof_of_agent::DecisionKind::DeadlinePassed, &pen, at).unwrap();
            }
        }
        true
    }

    /// What escrow says of the invoice.
    pub(super) fn lock(&self, paid: i64) -> Lock {
        let height = |height: u32| if paid > 0 { height } else { 0 };
        Lock {
            invoice: Bolt11("lnbcrt1".to_owned()),
            expires: self.at.wall + Duration::from_secs(600),
            paid: Msat::new(paid),
            expiry_height: height(800_100),
            guard_height: height(800_064),
        }
    }

    /// The chain has come to the guard height.
    pub(super) fn guard(&mut self) {
        let news = News { lock: Some(self.lock(10_000)), guard_reached: true, fate: None };
        self.saga.hear(news, self.at);
    }

    /// An event says what became of what is locked.
    pub(super) fn hears(&mut self, fate: Fate) -> bool {
        let news = News { lock: Some(self.lock(10_000)), guard_reached: false, fate: Some(fate) };
        self.saga.hear(news, self.at)
    }

    /// A task that a hold invoice funds, claimed.
    pub(super) fn claimed_on_hold(policy: ReleasePolicy) -> Self {
        let mut story = hold_story(policy);
        story.channel = Channel::Paid;
        assert_eq!(story.rest(), State::Open);
        story.claim().unwrap();
        assert_eq!(story.rest(), State::Claimed);
        story
    }

    /// The last statement's settlement.
    pub(super) fn settlement(&self) -> proof_of_agent::Settlement {
        let last = papers::statement_of(self.papers().last().unwrap()).unwrap();
        last.body().as_settlement().unwrap().clone()
    }

    pub(super) fn append(&mut self, seq: u32) {
        let entry = self.saga.statements.iter().find(|entry| entry.seq == seq).unwrap();
        let (envelope, countersignature) = match entry.paper.clone().unwrap() {
            Paper::Payload(payload) => {
                let statement = Statement::parse(&payload).unwrap();
                (Envelope::sign(&statement, &self.platform).unwrap().to_json(), None)
            }
            Paper::Envelope(envelope) => {
                let statement = parse_envelope(&envelope).unwrap();
                let receipt = (statement.kind() == Kind::WorkSubmitted).then(|| self.receive(&statement));
                (envelope, receipt)
            }
        };
        self.saga.appended(seq, envelope, countersignature, &self.pen, self.at).unwrap();
    }

    pub(super) fn receive(&self, submission: &Statement) -> (Statement, Vec<u8>) {
        let body = WorkReceived {
            agent: self.agent,
            account: self.account,
            agent_key: submission.context().signer,
            key_event: proof_of_agent::Digest::of(b"key event"),
            agent_key_state: AgentKeyState::Active,
            submission_log_index: 3,
            received_time: self.at.wall,
        };
        let author = Author::platform(self.pen.signer, Nonce::new(self.env.random()));
        let statement = submission.successor(author, body).unwrap();
        let envelope = Envelope::sign(&statement, &self.platform).unwrap().to_json();
        (statement, envelope)
    }

    pub(super) fn rest(&mut self) -> State {
        for _ in 0..20 {
            if !self.step() {
                return self.saga.status.state;
            }
        }
        panic!("the task does not come to rest: {:?}", self.saga.status.state);
    }

    /// Goes on until this step, or until there is none.
    pub(super) fn rest_before(&mut self, step: Step) {
        for _ in 0..20 {
            if self.next() == Next::Step(step) || !self.step() {
                return;
            }
        }
        panic!("the task does not come to rest: {:?}", self.saga.status.state);
    }

    pub(super) fn claim(&mut self) -> Result<(), DomainError> {
        self.claim_for(60)
    }

    pub(super) fn claim_for(&mut self, lease_seconds: u32) -> Result<(), DomainError> {
        let offer = &self.offer;
        let accepted = TermsAccepted {
            agent: self.agent,
            account: self.account,
            claim_number: self.saga.status.claims + 1,
            lease_seconds,
            accepted_time: self.at.wall,
        };
        let statement = offer.successor(self.author(), accepted).unwrap();
        let envelope = Envelope::sign(&statement, &self.key).unwrap().to_json();
        let acceptance = Acceptance {
            agent: self.agent,
            account: self.account,
            request: uuid::Uuid::nil(),
            signed: SignedAcceptance { statement, envelope },
        };
        let chain = chain_of([&Paper::Payload(offer.payload().to_vec())], &[self.pen.signer]).unwrap();
        self.saga.claim_for(&acceptance, &chain, None, self.at)
    }

    pub(super) fn submit(&mut self, result: &[u8]) -> Result<(), DomainError> {
        let chain = self.chain();
        let acceptance = chain.acceptance().unwrap().clone();
        let last = papers::statement_of(self.papers().last().unwrap()).unwrap();
        let result = Body { media_type: "text/plain".to_owned(), place: Place::Inline(result.to_vec()) };
        let work = WorkSubmitted {
            agent: self.agent,
            claim_number: self.saga.status.claims,
            acceptance: acceptance.digest(),
            output: result.content(),
            started_time: self.at.wall,
            finished_time: self.at.wall,
            build_digest: None,
            source_ref: None,
            tee_evidence_digest: None,
        };
        let statement = last.successor(self.author(), work).unwrap();
        let envelope = Envelope::sign(&statement, &self.key).unwrap().to_json();
        let submission =
            Submission { account: self.account, request: uuid::Uuid::nil(), result, statement, envelope };
        let checked = submission.check(&self.offer)?;
        self.saga.submit(&checked, &chain, self.at)
    }

    /// A task whose result waits to be judged.
    pub(super) fn submitted() -> Self {
        let mut story = story(ReleasePolicy::OnAcceptance);
        story.rest();
        story.claim().unwrap();
        story.rest();
        story.submit(b"one").unwrap();
        story
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.saga.statements.iter().map(|entry| entry.kind).collect()
    }
}

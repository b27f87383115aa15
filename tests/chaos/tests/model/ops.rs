//! From the schedule to requests: what a client knows at that moment goes into them.

use ed25519_dalek::{Signer as _, SigningKey};
use poa_common::{TaskId, TypedId};
use poa_proto::attestation::v1::ListAttestationsRequest;
use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_proto::auth::v1::RegisterAgentRequest;
use poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient;
use poa_proto::escrow::v1::{CreateDepositRequest, CreateOutsideInvoiceRequest, CreateWithdrawalRequest};
use poa_proto::task::v1::task::State;
use poa_proto::task::v1::{
    AcceptResultRequest, CancelTaskRequest, ClaimNextTaskRequest, ClaimTaskRequest, Content,
    CreateTaskRequest, Criterion, RejectResultRequest, ReleaseClaimRequest, ReleasePolicy, RenewClaimRequest,
    SubmitResultRequest, content, criterion,
};
use proof_of_agent::statement::Kind as Paper;
use proof_of_agent::{
    Content as Named, DecisionKind, Digest, Envelope, Statement, TermsAccepted, WorkSubmitted,
};
use sha2::{Digest as _, Sha256};

use crate::client::{Call, with};
use crate::plan::{Kind, Service, What};
use crate::shape::Verb;
use crate::world::{Agent, Known, Op, World};

/// What every task asks for.
pub(crate) const CAPABILITY: &str = "text.model";
/// How every good result begins.
const PATTERN: &str = "^good";
/// A task's times, in seconds: far longer than a run, so that only time that is let pass ends them.
pub(crate) const OPEN_SECONDS: i64 = 3_600;
pub(crate) const WORK_SECONDS: i64 = 1_200;
pub(crate) const REVIEW_SECONDS: i64 = 1_800;

/// A request that is ready to be sent, and what it means.
type Ready = (Call, usize, Option<(String, Verb)>);

// === impl World ===

impl World {
    /// Makes an operation of a plan's entry. None where there is nothing that it could be about: its task was never seen,
    /// its agent never registered.
    pub(crate) async fn prepare(&mut self, id: usize, what: What) -> Option<Op> {
        let (call, account, verb) = match what {
            What::Create { requester, kind, price_msat } => self.create(id, requester, kind, price_msat)?,
            What::Claim { task, agent } => {
                let (task, known) =
                    self.created_by(task).map(|(task, known)| (task.clone(), known.clone()))?;
                self.claim(&task, &known, agent)?
            }
            What::ClaimNext { agent } => {
                let known = self.agents.get(&agent)?;
                let request = ClaimNextTaskRequest {
                    request_id: self.uuid(),
                    agent_id: known.id?.to_string(),
                    capabilities: vec![CAPABILITY.to_owned()],
                    min_payee_msat: 0,
                };
                (Call::ClaimNext(request), known.account, None)
            }
            What::Submit { task, agent, good } => self.submit(id, task, agent, good).await?,
            What::Renew { task, agent } | What::Release { task, agent } => self.hold(task, agent, what)?,
            What::Accept { task } | What::Reject { task } | What::Cancel { task } => {
                self.decide(id, task, what)?
            }
            What::Deposit { account, msat } => {
                let request = CreateDepositRequest { request_id: self.uuid(), amount_msat: msat };
                (Call::Deposit(request), account, None)
            }
            What::Withdraw { account, msat } => self.withdraw(account, msat).await?,
            What::Register { account, agent } => (self.register(account, agent), account, None),
            What::Replay { .. } | What::Alter { .. } => return None,
        };
        let hopeless = matches!(what, What::Submit { good: false, .. }) && verb.is_none();
        Some(Op {
            what,
            call,
            account,
            verb,
            first_sent: self.house.env.now(),
            under_way: 0,
            done: None,
            refusal: None,
            unsure: false,
            hopeless,
        })
    }

    pub(crate) fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.house.env.random()).into_uuid().to_string()
    }

    /// A claim under the next number.
    pub(crate) fn claim(&mut self, task: &str, known: &Known, agent: usize) -> Option<Ready> {
        let own = self.agents.get(&agent)?.clone();
        let number = known.claims + 1;
        let offer = Statement::parse(&known.terms).ok()?;
        let accepted = TermsAccepted {
            agent: own.id?,
            account: self.accounts[own.account],
            claim_number: number,
            lease_seconds: offer.body().as_terms_offered()?.claim_seconds,
            accepted_time: self.house.env.now(),
        };
        let statement = offer.successor(self.author(&own), accepted).unwrap();
        let request = ClaimTaskRequest {
            request_id: self.uuid(),
            task_id: task.to_owned(),
            agent_id: own.id?.to_string(),
            acceptance: sign(&statement, &own.key),
        };
        self.acceptances.insert(statement.digest().to_vec(), (agent, number, statement));
        let verb = Verb::Claim { agent, account: own.account, number };
        Some((Call::Claim(request), own.account, Some((task.to_owned(), verb))))
    }

    fn create(&self, id: usize, requester: usize, kind: Kind, price_msat: i64) -> Option<Ready> {
        let pattern = || vec![Criterion { check: Some(criterion::Check::Pattern(PATTERN.to_owned())) }];
        let (criteria, policy, direct) = match kind {
            Kind::Pattern => (pattern(), ReleasePolicy::OnAttestation, None),
            Kind::PatternAndWord => (pattern(), ReleasePolicy::OnAcceptance, None),
            Kind::Word => (Vec::new(), ReleasePolicy::Unspecified, None),
            Kind::Direct(agent) => {
                (Vec::new(), ReleasePolicy::OnAttestation, Some(self.agents.get(&agent)?.id?))
            }
        };
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let request = CreateTaskRequest {
            request_id: self.uuid(),
            title: title(id),
            capability: CAPABILITY.to_owned(),
            input: Some(inline(format!("the work of {id}").into_bytes())),
            criteria,
            price_msat,
            release_policy: policy.into(),
            direct_agent_id: direct.map(|agent| agent.to_string()).unwrap_or_default(),
            open_duration: seconds(OPEN_SECONDS),
            work_duration: seconds(WORK_SECONDS),
            review_duration: seconds(REVIEW_SECONDS),
            ..Default::default()
        };
        Some((Call::Create(request), requester, None))
    }

    /// A result, by the holder of the claim; now and then by whom the plan names, who may have no business there.
    async fn submit(&mut self, id: usize, create: usize, planned: usize, good: bool) -> Option<Ready> {
        let (task, known) = self.created_by(create)?;
        let (task, known) = (task.clone(), known.clone());
        let held = known.view.claim.as_ref().and_then(|claim| self.acceptances.get(&claim.acceptance_digest));
        let of_task = |statement: &Statement| statement.context().task.to_string() == task;
        let own = || self.acceptances.values().find(|(agent, _, paper)| *agent == planned && of_task(paper));
        let (agent, number, acceptance) =
            if id.is_multiple_of(8) { own().or(held)? } else { held.or_else(own)? }.clone();
        let own = self.agents.get(&agent)?.clone();
        let last = match known.view.state() {
            State::Rejected => self.rejection(&task, &own).await?,
            _ => acceptance.clone(),
        };
        let result = format!("{} result {id}", if good { "good" } else { "bad" }).into_bytes();
        let work = WorkSubmitted {
            agent: own.id?,
            claim_number: number,
            acceptance: acceptance.digest(),
            output: Named::of(&result, "text/plain"),
            started_time: self.house.env.now(),
            finished_time: self.house.env.now(),
            build_digest: None,
            source_ref: None,
            tee_evidence_digest: None,
        };
        let statement = last.successor(self.author(&own), work).ok()?;
        let sha256: [u8; 32] = Sha256::digest(&result).into();
        let request = SubmitResultRequest {
            request_id: self.uuid(),
            task_id: task.clone(),
            result: Some(inline(result)),
            submission: sign(&statement, &own.key),
        };
        let meets = good || matches!(known.kind, Kind::Word | Kind::Direct(_));
        let verb = meets.then_some((task, Verb::Submit { account: own.account, number, sha256 }));
        Some((Call::Submit(request), own.account, verb))
    }

    /// The last rejection, which another result must follow.
    async fn rejection(&self, task: &str, agent: &Agent) -> Option<Statement> {
        let channel = self.house.look(Service::Attestation)?;
        let token = self.house.token(self.accounts[agent.account]);
        let request =
            ListAttestationsRequest { task_id: task.to_owned(), page_size: 200, page_token: String::new() };
        let answer = AttestationServiceClient::new(channel).list_attestations(with(&token, request)).await;
        let papers = answer.ok()?.into_inner().attestations;
        let statements =
            papers.iter().filter_map(|paper| Envelope::from_json(&paper.envelope).ok()?.open().ok());
        let rejects = |paper: &Statement| {
            paper.kind() == Paper::Decision
                && paper.body().as_decision().is_some_and(|body| body.kind == DecisionKind::Rejected)
        };
        statements.rev().find(rejects)
    }

    fn hold(&self, create: usize, planned: usize, what: What) -> Option<Ready> {
        let (task, known) = self.created_by(create)?;
        let holder = known.view.claim.as_ref().and_then(|claim| self.agent_numbered(&claim.agent_id));
        let account = self.agents.get(&holder.unwrap_or(planned))?.account;
        let (request_id, task_id) = (self.uuid(), task.clone());
        Some(if matches!(what, What::Renew { .. }) {
            let call = Call::Renew(RenewClaimRequest { request_id, task_id });
            (call, account, Some((task.clone(), Verb::Renew { account })))
        } else {
            let reason = "too much to do".to_owned();
            let call = Call::Release(ReleaseClaimRequest { request_id, task_id, reason });
            (call, account, Some((task.clone(), Verb::Release { account })))
        })
    }

    fn decide(&self, id: usize, create: usize, what: What) -> Option<Ready> {
        let (task, known) = self.created_by(create)?;
        let (request_id, task_id) = (self.uuid(), task.clone());
        let (call, verb) = match what {
            What::Accept { .. } => (Call::Accept(AcceptResultRequest { request_id, task_id }), Verb::Accept),
            What::Reject { .. } => {
                let criterion = matches!(known.kind, Kind::Pattern | Kind::PatternAndWord).then_some(0);
                let reason = format!("not what was asked for, says {id}");
                let call = Call::Reject(RejectResultRequest { request_id, task_id, criterion, reason });
                (call, Verb::Reject)
            }
            _ => (Call::Cancel(CancelTaskRequest { request_id, task_id }), Verb::Cancel),
        };
        Some((call, known.requester, Some((task.clone(), verb))))
    }

    async fn withdraw(&self, account: usize, msat: i64) -> Option<Ready> {
        let channel = self.house.look(Service::Escrow)?;
        let token = self.house.token(self.accounts[account]);
        let request = CreateOutsideInvoiceRequest { amount_msat: msat };
        let answer = FaucetServiceClient::new(channel).create_outside_invoice(with(&token, request)).await;
        let invoice = answer.ok()?.into_inner().invoice;
        let request = CreateWithdrawalRequest {
            request_id: self.uuid(),
            invoice,
            fee_limit_msat: Some(5_000),
            ..Default::default()
        };
        Some((Call::Withdraw(request), account, None))
    }

    /// The registration of an agent, whose key comes from the seed.
    pub(crate) fn register(&mut self, account: usize, agent: usize) -> Call {
        let key = SigningKey::from_bytes(&self.house.env.random());
        let public_key = key.verifying_key().to_bytes();
        let text =
            format!("poa.auth.v1.RegisterAgent\n{}\n{}", self.accounts[account], hex::encode(public_key));
        let request = RegisterAgentRequest {
            request_id: self.uuid(),
            name: format!("agent {agent}"),
            description: String::new(),
            capabilities: vec![CAPABILITY.to_owned()],
            public_key: public_key.to_vec(),
            key_proof: key.sign(text.as_bytes()).to_bytes().to_vec(),
        };
        self.agents.insert(agent, Agent { account, key, id: None });
        Call::Register(request)
    }
}

/// The title by which a task tells which operation created it.
pub(crate) fn title(create: usize) -> String {
    format!("task of {create}")
}

/// The operation that a title tells of.
pub(crate) fn creator(title: &str) -> Option<usize> {
    title.strip_prefix("task of ")?.parse().ok()
}

/// Whether a text is the id of a task.
pub(crate) fn task_id(text: &str) -> Option<uuid::Uuid> {
    text.parse::<TaskId>().ok().map(|task| task.uuid())
}

/// The digest of a statement, as lists show it.
pub(crate) fn digest(envelope: &[u8]) -> Option<Digest> {
    Some(Envelope::from_json(envelope).ok()?.open().ok()?.digest())
}

fn sign(statement: &Statement, key: &SigningKey) -> Vec<u8> {
    Envelope::sign(statement, key).unwrap().to_json()
}

fn inline(bytes: Vec<u8>) -> Content {
    Content { media_type: "text/plain".to_owned(), body: Some(content::Body::Inline(bytes)) }
}

//! Terms and receipt chains, signed by a platform and an agent whose keys are the same in every run.

use ed25519_dalek::SigningKey;
use poa_common::{AccountId, AgentId, EscrowId, Msat, Network, TaskId, TypedId};
use poa_proto::escrow::v1::{
    CaptureEscrowRequest, CaptureEscrowResponse, HoldFundsRequest, HoldFundsResponse, RefundEscrowRequest,
    RefundEscrowResponse,
};
use proof_of_agent::{
    AgentKeyState, Author, Content, Criterion, Decision, DecisionKind, DidKey, Digest, Envelope, LogKey,
    Nonce, Rail, ReleasePolicy, Statement, TermsAccepted, TermsOffered, TrustRoot, WorkReceived,
    WorkSubmitted,
};
use tonic::Status;
use uuid::Uuid;

use crate::world::{User, World};

const ORIGIN: &str = "simulated.poa/00ff";
/// The place of the decision in a chain.
pub(crate) const DECISION: usize = 4;

pub(crate) fn platform() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

pub(crate) fn agent() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

/// Whose receipts the service believes.
pub(crate) fn trust_root() -> TrustRoot {
    let log = DidKey::of(&SigningKey::from_bytes(&[4; 32]));
    let log_key = LogKey::new(ORIGIN, log).unwrap();
    TrustRoot::new(Network::Simulated, ORIGIN, vec![log_key], vec![DidKey::of(&platform())], None).unwrap()
}

fn agent_id() -> AgentId {
    AgentId::from_uuid(Uuid::from_u128(5))
}

/// A task to hold sats for.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) escrow: EscrowId,
    pub(crate) task: TaskId,
    pub(crate) payer: User,
    pub(crate) offer: Statement,
}

/// The terms of a task, with the fee that a platform at 5 % takes.
pub(crate) fn terms(world: &World, payer: AccountId, escrow: EscrowId, msat: i64) -> TermsOffered {
    let price = Msat::new(msat);
    let fee = price.share_floor(500).unwrap();
    TermsOffered {
        requester: payer,
        title: "Count to three".to_owned(),
        capability: None,
        input: Content::of(b"please count to three", "text/plain"),
        criteria: vec![Criterion::Size { min_bytes: 1, max_bytes: None }],
        price_msat: price,
        fee_bps: 500,
        fee_msat: fee,
        payee_net_msat: price.checked_sub(fee).unwrap(),
        policy: ReleasePolicy::OnAttestation,
        expires_in_seconds: 3_600,
        claim_seconds: 60,
        work_seconds: 600,
        review_seconds: 600,
        rail: Rail::Balance,
        escrow,
        direct_agent: None,
        offered_time: world.env.now(),
    }
}

pub(crate) fn offer_of(world: &World, task: TaskId, network: Network, terms: TermsOffered) -> Statement {
    let author = Author::platform_for_requester(DidKey::of(&platform()), Nonce::new(world.env.random()));
    Statement::offer(task, network, ORIGIN, author, terms).unwrap()
}

pub(crate) fn job(world: &World, payer: &User, msat: i64) -> Job {
    let (escrow, task) = (world.env.new_id(), world.env.new_id());
    let offer = offer_of(world, task, Network::Simulated, terms(world, payer.account, escrow, msat));
    Job { escrow, task, payer: payer.clone(), offer }
}

/// Statements 1 to 5, by which `payee` is paid.
pub(crate) fn statements(
    world: &World,
    job: &Job,
    payee: AccountId,
    decision: DecisionKind,
) -> Vec<Statement> {
    let nonce = || Nonce::new(world.env.random());
    let by_agent = || Author::agent(DidKey::of(&agent()), nonce());
    let by_platform = || Author::platform(DidKey::of(&platform()), nonce());
    let now = world.env.now();
    let accepted = TermsAccepted {
        agent: agent_id(),
        account: payee,
        claim_number: 1,
        lease_seconds: 60,
        accepted_time: now,
    };
    let acceptance = job.offer.successor(by_agent(), accepted).unwrap();
    let submitted = WorkSubmitted {
        agent: agent_id(),
        claim_number: 1,
        acceptance: acceptance.digest(),
        output: Content::of(b"1 2 3", "text/plain"),
        started_time: now,
        finished_time: now,
        build_digest: None,
        source_ref: None,
        tee_evidence_digest: None,
    };
    let submission = acceptance.successor(by_agent(), submitted).unwrap();
    let received = WorkReceived {
        agent: agent_id(),
        account: payee,
        agent_key: DidKey::of(&agent()),
        key_event: Digest::of(b"key event"),
        agent_key_state: AgentKeyState::Active,
        submission_log_index: 2,
        received_time: now,
    };
    let received = submission.successor(by_platform(), received).unwrap();
    let reason = (decision == DecisionKind::Rejected).then(|| "three is missing".to_owned());
    let failed_criterion = reason.is_some().then_some(0);
    let decided = Decision { reason, failed_criterion, ..Decision::of(decision, now) };
    let decision = received.successor(by_platform(), decided).unwrap();
    vec![job.offer.clone(), acceptance, submission, received, decision]
}

/// Signs each statement with the key that it names, of those that are known here.
pub(crate) fn sign(statements: &[Statement]) -> Vec<Vec<u8>> {
    let keys = [platform(), agent(), SigningKey::from_bytes(&[9; 32])];
    statements
        .iter()
        .map(|statement| {
            let signer = statement.context().signer;
            let key = keys.iter().find(|key| DidKey::of(key) == signer).unwrap();
            Envelope::sign(statement, key).unwrap().to_json()
        })
        .collect()
}

/// A sound chain.
pub(crate) fn receipts(world: &World, job: &Job, payee: AccountId) -> Vec<Vec<u8>> {
    sign(&statements(world, job, payee, DecisionKind::CriteriaMet))
}

pub(crate) fn hold_request(job: &Job) -> HoldFundsRequest {
    let terms = job.offer.body().as_terms_offered().unwrap();
    HoldFundsRequest {
        escrow_id: job.escrow.to_string(),
        task_id: job.task.to_string(),
        payer_id: job.payer.account.to_string(),
        amount_msat: terms.price_msat.get(),
        terms: job.offer.payload().to_vec(),
        payer_token: job.payer.token.clone(),
    }
}

pub(crate) async fn hold(world: &World, job: &Job) -> Result<HoldFundsResponse, Status> {
    world.internal().hold_funds(hold_request(job)).await.map(tonic::Response::into_inner)
}

/// Holds sats for a new task.
pub(crate) async fn held(world: &World, payer: &User, msat: i64) -> Job {
    let job = job(world, payer, msat);
    hold(world, &job).await.unwrap();
    job
}

pub(crate) async fn capture(
    world: &World,
    job: &Job,
    chain: Vec<Vec<u8>>,
) -> Result<CaptureEscrowResponse, Status> {
    let request = CaptureEscrowRequest { escrow_id: job.escrow.to_string(), chain };
    world.internal().capture_escrow(request).await.map(tonic::Response::into_inner)
}

pub(crate) async fn refund(world: &World, job: &Job) -> Result<RefundEscrowResponse, Status> {
    let request = RefundEscrowRequest { escrow_id: job.escrow.to_string(), task_id: job.task.to_string() };
    world.internal().refund_escrow(request).await.map(tonic::Response::into_inner)
}

/// The digest under which the terms are known.
pub(crate) fn digest(job: &Job) -> Digest {
    job.offer.digest()
}

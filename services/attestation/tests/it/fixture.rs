//! A requester, an agent and their tasks: statements as the task service and the agent make them.

use ed25519_dalek::SigningKey;
use poa_chassis::InProcess;
use poa_chassis::client::PeerChannel;
use poa_common::{AccountId, AgentId, EscrowId, Msat, Network, TaskId, TransferId};
use poa_proto::attestation::v1::append_statement_request::Statement as Given;
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::{AppendStatementRequest, AppendStatementResponse, Attestation};
use proof_of_agent::{
    Author, Content, Criterion, Decision, DecisionKind, DidKey, Digest, Envelope, Nonce, Rail, ReleasePolicy,
    Settlement, SettlementKind, Statement, TermsAccepted, TermsOffered, WorkSubmitted,
};
use tonic::Status;

use crate::server::{Deployment, ORIGIN};

const PRICE: Msat = Msat::new(100_000);
const FEE: Msat = Msat::new(5_000);
const NET: Msat = Msat::new(95_000);
pub(crate) const RESULT: &[u8] = b"{\"count\":[1,2,3]}";

/// Who takes part in a task.
#[derive(Clone)]
pub(crate) struct Cast {
    pub(crate) requester: AccountId,
    pub(crate) payee: AccountId,
    pub(crate) agent_id: AgentId,
    pub(crate) key: SigningKey,
}

/// Makes one task's statements and appends them.
#[derive(Clone)]
pub(crate) struct Play {
    pub(crate) deployment: std::sync::Arc<Deployment>,
    pub(crate) client: AttestationInternalServiceClient<PeerChannel>,
    pub(crate) cast: Cast,
    pub(crate) task: TaskId,
    pub(crate) escrow: EscrowId,
}

impl Cast {
    /// A cast whose agent nobody knows yet.
    pub(crate) fn unregistered(deployment: &Deployment) -> Self {
        let env = &deployment.env;
        Self {
            requester: env.new_id(),
            payee: env.new_id(),
            agent_id: env.new_id(),
            key: SigningKey::from_bytes(&env.random()),
        }
    }

    pub(crate) fn new(deployment: &Deployment) -> Self {
        let cast = Self::unregistered(deployment);
        cast.register(deployment);
        cast
    }

    /// A cast whose agent's key event is in the log, before anything of a task.
    pub(crate) async fn logged(deployment: &Deployment) -> Self {
        let cast = Self::new(deployment);
        notices(deployment, 1).await;
        cast
    }

    pub(crate) fn register(&self, deployment: &Deployment) {
        deployment.auth.register(self.agent_id, self.payee, &self.key);
    }
}

impl Play {
    pub(crate) fn new(deployment: &std::sync::Arc<Deployment>, pipe: &InProcess, cast: &Cast) -> Self {
        Self {
            deployment: std::sync::Arc::clone(deployment),
            client: deployment.as_task(pipe),
            cast: cast.clone(),
            task: deployment.env.new_id(),
            escrow: deployment.env.new_id(),
        }
    }

    /// Another task of the same cast, over the same connection.
    pub(crate) fn next(&self) -> Self {
        let env = &self.deployment.env;
        Self { task: env.new_id(), escrow: env.new_id(), ..self.clone() }
    }

    fn nonce(&self) -> Nonce {
        Nonce::new(self.deployment.env.random())
    }

    pub(crate) fn receipt_key(&self) -> DidKey {
        self.deployment.trust_root.receipt_keys()[0]
    }

    pub(crate) fn by_platform(&self) -> Author {
        Author::platform(self.receipt_key(), self.nonce())
    }

    pub(crate) fn for_requester(&self) -> Author {
        Author::platform_for_requester(self.receipt_key(), self.nonce())
    }

    pub(crate) fn by_agent(&self) -> Author {
        Author::agent(DidKey::of(&self.cast.key), self.nonce())
    }

    pub(crate) fn terms(&self, policy: ReleasePolicy) -> TermsOffered {
        TermsOffered {
            requester: self.cast.requester,
            title: "Count to three".to_owned(),
            capability: None,
            input: Content::of(b"please count to three", "text/plain"),
            criteria: vec![Criterion::Size { min_bytes: 1, max_bytes: Some(1_000) }],
            price_msat: PRICE,
            fee_bps: 500,
            fee_msat: FEE,
            payee_net_msat: NET,
            policy,
            expires_in_seconds: 3_600,
            claim_seconds: 60,
            work_seconds: 3_600,
            review_seconds: 3_600,
            rail: Rail::Balance,
            escrow: self.escrow,
            direct_agent: None,
            offered_time: self.deployment.env.now(),
        }
    }

    pub(crate) fn offer(&self) -> Statement {
        self.offer_under(ReleasePolicy::OnAttestation)
    }

    pub(crate) fn offer_under(&self, policy: ReleasePolicy) -> Statement {
        let author = self.for_requester();
        Statement::offer(self.task, Network::Simulated, ORIGIN, author, self.terms(policy)).unwrap()
    }

    pub(crate) fn accept(&self, offer: &Statement, claim_number: u32) -> Statement {
        let accepted = TermsAccepted {
            agent: self.cast.agent_id,
            account: self.cast.payee,
            claim_number,
            lease_seconds: 60,
            accepted_time: self.deployment.env.now(),
        };
        offer.successor(self.by_agent(), accepted).unwrap()
    }

    /// `before` is the acceptance, or the rejection of an earlier submission.
    pub(crate) fn submit(&self, before: &Statement, acceptance: &Statement) -> Statement {
        self.submit_of(before, acceptance, None)
    }

    /// The same, by a build.
    fn submit_of(&self, before: &Statement, acceptance: &Statement, build: Option<Digest>) -> Statement {
        let now = self.deployment.env.now();
        let submitted = WorkSubmitted {
            agent: self.cast.agent_id,
            claim_number: acceptance.body().as_terms_accepted().unwrap().claim_number,
            acceptance: acceptance.digest(),
            output: Content::of(RESULT, "application/json"),
            started_time: now,
            finished_time: now,
            build_digest: build,
            source_ref: None,
            tee_evidence_digest: None,
        };
        before.successor(self.by_agent(), submitted).unwrap()
    }

    pub(crate) fn decide(&self, before: &Statement, kind: DecisionKind) -> Statement {
        let rejected = kind == DecisionKind::Rejected;
        let author = match kind {
            DecisionKind::Accepted | DecisionKind::Rejected | DecisionKind::Canceled => self.for_requester(),
            _ => self.by_platform(),
        };
        let decision = Decision {
            reason: rejected.then(|| "three is missing".to_owned()),
            ..Decision::of(kind, self.deployment.env.now())
        };
        before.successor(author, decision).unwrap()
    }

    pub(crate) fn settle(&self, before: &Statement, kind: SettlementKind) -> Statement {
        let released = kind == SettlementKind::Released;
        let settlement = Settlement {
            escrow: self.escrow,
            kind,
            rail: Rail::Balance,
            amount_msat: PRICE,
            fee_msat: if released { FEE } else { Msat::ZERO },
            payee_msat: if released { NET } else { Msat::ZERO },
            refund_msat: None,
            payer: self.cast.requester,
            payee: released.then_some(self.cast.payee),
            transfers: vec![self.deployment.env.new_id::<TransferId>()],
            settled_time: self.deployment.env.now(),
        };
        before.successor(self.by_platform(), settlement).unwrap()
    }

    /// Sends a statement that the platform is to sign.
    pub(crate) async fn platform(&self, statement: &Statement) -> Result<AppendStatementResponse, Status> {
        self.send(Given::PlatformPayload(statement.payload().to_vec()), String::new()).await
    }

    /// Sends a statement in the agent's envelope.
    pub(crate) async fn agent(&self, statement: &Statement) -> Result<AppendStatementResponse, Status> {
        self.send(self.enveloped(statement), self.cast.payee.to_string()).await
    }

    /// The same without trying again.
    pub(crate) async fn agent_once(&self, statement: &Statement) -> Result<AppendStatementResponse, Status> {
        let request = self.request(self.enveloped(statement), self.cast.payee.to_string());
        Ok(self.client.clone().append_statement(request).await?.into_inner())
    }

    /// Sends, and tries again while the answer is UNAVAILABLE: a replica that has just started may not have followed
    /// auth's events yet.
    pub(crate) async fn send(
        &self,
        statement: Given,
        account_id: String,
    ) -> Result<AppendStatementResponse, Status> {
        let request = self.request(statement, account_id);
        poa_chassis::client::retry(|| async {
            Ok(self.client.clone().append_statement(request.clone()).await?.into_inner())
        })
        .await
    }

    fn enveloped(&self, statement: &Statement) -> Given {
        Given::Envelope(Envelope::sign(statement, &self.cast.key).unwrap().to_json())
    }

    fn request(&self, statement: Given, account_id: String) -> AppendStatementRequest {
        AppendStatementRequest { task_id: self.task.to_string(), account_id, statement: Some(statement) }
    }

    /// Appends offer, acceptance and submission; answers with them and the platform's receipt.
    pub(crate) async fn up_to_received(&self, policy: ReleasePolicy) -> [Statement; 4] {
        self.received_of(policy, None).await
    }

    async fn received_of(&self, policy: ReleasePolicy, build: Option<Digest>) -> [Statement; 4] {
        let offer = self.offer_under(policy);
        self.platform(&offer).await.unwrap();
        let acceptance = self.accept(&offer, 1);
        self.agent(&acceptance).await.unwrap();
        let submission = self.submit_of(&acceptance, &acceptance, build);
        let received = opened(self.agent(&submission).await.unwrap().countersignature.as_ref().unwrap());
        [offer, acceptance, submission, received]
    }

    /// Appends five statements: up to the decision that the task is paid.
    pub(crate) async fn decided(&self) -> Vec<Statement> {
        self.decided_of(None).await
    }

    async fn decided_of(&self, build: Option<Digest>) -> Vec<Statement> {
        let mut statements = self.received_of(ReleasePolicy::OnAttestation, build).await.to_vec();
        statements.push(self.decide(&statements[3], DecisionKind::CriteriaMet));
        self.platform(&statements[4]).await.unwrap();
        statements
    }

    /// Appends all six statements of a task that is paid.
    pub(crate) async fn paid(&self) -> Vec<Statement> {
        self.paid_with(None).await
    }

    /// The same, by a build.
    pub(crate) async fn paid_with(&self, build: Option<Digest>) -> Vec<Statement> {
        let mut statements = self.decided_of(build).await;
        statements.push(self.settle(&statements[4], SettlementKind::Released));
        self.platform(&statements[5]).await.unwrap();
        statements
    }
}

/// Waits until the log has so many statements that belong to no task.
pub(crate) async fn notices(deployment: &Deployment, expected: i64) {
    let database = deployment.database().await;
    poa_testkit::eventually(crate::server::SOON, "the notices are logged", async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notices").fetch_one(&database);
        count.await.unwrap() == expected
    })
    .await;
}

/// The statement in an answer, its signature verified.
pub(crate) fn opened(attestation: &Attestation) -> Statement {
    let statement = Envelope::from_json(&attestation.envelope).unwrap().open().unwrap();
    assert_eq!(statement.digest().to_vec(), attestation.digest);
    statement
}

/// Reason and `problem` of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, String) {
    let failure = poa_chassis::failure(&answer.unwrap_err());
    let problem = failure.metadata.get("problem").cloned().unwrap_or_default();
    (failure.reason, problem)
}

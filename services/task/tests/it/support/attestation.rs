//! An attestation service that keeps its contract: the real grammar of chains, agents that may be retired, and the same
//! answer for the same statement.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ed25519_dalek::SigningKey;
use poa_common::{AgentId, Code, Env, ServiceError, TaskId};
use poa_proto::attestation::v1 as proto;
use poa_proto::attestation::v1::append_statement_request::Statement as Given;
use poa_proto::attestation::v1::attestation_internal_service_server::AttestationInternalService;
use proof_of_agent::statement::Kind;
use proof_of_agent::{AgentKeyState, Author, Chain, DidKey, Envelope, Nonce, Statement, WorkReceived};
use tonic::{Request, Response, Status};

use super::fault::Faults;

/// The attestation service.
#[derive(Clone)]
pub(crate) struct Attestation {
    pub(crate) faults: Arc<Faults>,
    log: Arc<Mutex<Log>>,
    key: Arc<SigningKey>,
    env: Env,
}

#[derive(Default)]
struct Log {
    agents: HashMap<AgentId, Registered>,
    chains: HashMap<TaskId, Vec<Envelope>>,
    /// By task and digest: what was answered.
    answers: HashMap<(TaskId, Vec<u8>), proto::AppendStatementResponse>,
}

struct Registered {
    account: String,
    key: DidKey,
    active: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str, Vec<(&'static str, String)>);

impl ServiceError for Refused {
    fn code(&self) -> Code {
        if self.0 == "SIGNATURE_INVALID" { Code::InvalidArgument } else { Code::FailedPrecondition }
    }

    fn reason(&self) -> &'static str {
        self.0
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        self.1.clone()
    }

    fn certainly_not_applied(&self) -> bool {
        true
    }
}

// === impl Attestation ===

impl Attestation {
    pub(crate) fn new(key: SigningKey, env: Env) -> Self {
        Self { faults: Arc::default(), log: Arc::default(), key: Arc::new(key), env }
    }

    pub(crate) fn register(&self, agent: AgentId, account: &str, key: DidKey) {
        let registered = Registered { account: account.to_owned(), key, active: true };
        self.log().agents.insert(agent, registered);
    }

    pub(crate) fn retire(&self, agent: AgentId) {
        self.log().agents.get_mut(&agent).unwrap().active = false;
    }

    /// A call of the agent's that was on its way for a long time.
    pub(crate) fn log_late(&self, task: &str, envelope: &[u8], account: &str) {
        let request = proto::AppendStatementRequest {
            task_id: task.to_owned(),
            statement: Some(Given::Envelope(envelope.to_vec())),
            account_id: account.to_owned(),
        };
        self.append(request).unwrap();
    }

    /// The statements of a task, in order.
    pub(crate) fn chain(&self, task: &str) -> Vec<Statement> {
        let log = self.log();
        let chain = log.chains.get(&task.parse().unwrap()).cloned().unwrap_or_default();
        chain.iter().map(|envelope| envelope.open().unwrap()).collect()
    }

    /// The kinds of a task's statements, in order.
    pub(crate) fn kinds(&self, task: &str) -> Vec<Kind> {
        self.chain(task).iter().map(Statement::kind).collect()
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(
        &self,
        request: proto::AppendStatementRequest,
    ) -> Result<proto::AppendStatementResponse, Refused> {
        let task: TaskId = request.task_id.parse().unwrap();
        let envelope = match request.statement.unwrap() {
            Given::Envelope(bytes) => Envelope::from_json(&bytes).unwrap(),
            Given::PlatformPayload(payload) => {
                Envelope::sign(&Statement::parse(&payload).unwrap(), &self.key).unwrap()
            }
        };
        let statement = envelope.open().unwrap();
        assert_eq!(statement.context().task, task);
        let mut log = self.log();
        let known = (task, statement.digest().to_vec());
        if let Some(answer) = log.answers.get(&known) {
            return Ok(answer.clone());
        }
        let agent = match statement.kind() {
            Kind::TermsAccepted => statement.body().as_terms_accepted().map(|body| body.agent),
            Kind::WorkSubmitted => statement.body().as_work_submitted().map(|body| body.agent),
            Kind::TermsOffered | Kind::WorkReceived | Kind::Decision | Kind::Settlement => None,
        };
        if let Some(agent) = agent {
            check_agent(&log, agent, &request.account_id, &statement)?;
        }
        let stored = log.chains.entry(task).or_default();
        let mut chain = Chain::replay(stored.iter(), &[DidKey::of(&self.key)]).unwrap();
        chain
            .append(statement.clone())
            .map_err(|error| Refused("CHAIN_MISMATCH", vec![("problem", error.to_string())]))?;
        stored.push(envelope.clone());
        let mut answer =
            proto::AppendStatementResponse { attestation: Some(shown(&envelope)), countersignature: None };
        if statement.kind() == Kind::WorkSubmitted {
            let received = self.receive(&chain, &statement);
            stored.push(received.clone());
            answer.countersignature = Some(shown(&received));
        }
        log.answers.insert(known, answer.clone());
        Ok(answer)
    }

    fn receive(&self, chain: &Chain, submission: &Statement) -> Envelope {
        let accepted = chain.terms_accepted().unwrap();
        let body = WorkReceived {
            agent: accepted.agent,
            account: accepted.account,
            agent_key: submission.context().signer,
            key_event: proof_of_agent::Digest::of(b"key event"),
            agent_key_state: AgentKeyState::Active,
            submission_log_index: 1,
            received_time: self.env.now(),
        };
        let author = Author::platform(DidKey::of(&self.key), Nonce::new(self.env.random()));
        Envelope::sign(&submission.successor(author, body).unwrap(), &self.key).unwrap()
    }
}

fn check_agent(log: &Log, agent: AgentId, account: &str, statement: &Statement) -> Result<(), Refused> {
    let inactive = || Refused("AGENT_NOT_ACTIVE", vec![("agent_id", agent.to_string())]);
    let registered = log.agents.get(&agent).ok_or_else(inactive)?;
    if !registered.active || registered.account != account {
        return Err(inactive());
    }
    if registered.key != statement.context().signer {
        return Err(Refused("SIGNATURE_INVALID", vec![("problem", "key".to_owned())]));
    }
    Ok(())
}

fn shown(envelope: &Envelope) -> proto::Attestation {
    proto::Attestation {
        envelope: envelope.to_json(),
        digest: envelope.digest().to_vec(),
        ..proto::Attestation::default()
    }
}

#[tonic::async_trait]
impl AttestationInternalService for Attestation {
    type WatchAttestationEventsStream =
        tokio_stream::Empty<Result<proto::WatchAttestationEventsResponse, Status>>;

    async fn append_liabilities(
        &self,
        _: Request<proto::AppendLiabilitiesRequest>,
    ) -> Result<Response<proto::AppendLiabilitiesResponse>, Status> {
        Err(Status::unimplemented("task owes nobody anything"))
    }

    async fn watch_attestation_events(
        &self,
        _request: Request<proto::WatchAttestationEventsRequest>,
    ) -> Result<Response<Self::WatchAttestationEventsStream>, Status> {
        Err(Status::unimplemented("the task service follows nothing"))
    }

    async fn append_statement(
        &self,
        request: Request<proto::AppendStatementRequest>,
    ) -> Result<Response<proto::AppendStatementResponse>, Status> {
        let request = request.into_inner();
        // Faults can be planned for all statements, or for one kind.
        let lost = self.faults.before("append").await? | self.faults.before(kind_of(&request)).await?;
        let outcome = self.append(request).map_err(poa_chassis::status);
        if lost { Err(Status::unavailable("the answer was lost")) } else { outcome.map(Response::new) }
    }
}

fn kind_of(request: &proto::AppendStatementRequest) -> &'static str {
    let statement = match request.statement.as_ref().unwrap() {
        Given::Envelope(bytes) => Envelope::from_json(bytes).unwrap().open().unwrap(),
        Given::PlatformPayload(payload) => Statement::parse(payload).unwrap(),
    };
    statement.kind().as_str()
}

//! What happens in the mesh: accounts sign up, sats arrive, a task is offered, claimed, done and paid.

use std::time::Duration;

use poa_common::{AccountId, Env};
use poa_proto::Method;
use poa_proto::attestation::v1 as attestation;
use poa_proto::auth::v1 as auth;
use poa_proto::escrow::v1 as escrow;
use poa_proto::task::v1 as task;
use poa_proto::task::v1::task::State;
use poa_sdk::receipts::{Content, Digest, Envelope, Statement};
use poa_sdk::{AcceptanceTerms, AgentKey, Build, WorkDone};
use poa_testkit::eventually;
use prost::Message;

use super::wire::{Credentials, Wire};

const PASSWORD: &str = "correct horse battery staple";
/// What Alice has to spend: enough for every task of every test.
const DEPOSIT_MSAT: i64 = 10_000_000_000;
const PRICE_MSAT: i64 = 100_000;
pub(super) const RESULT: &[u8] = b"done";
/// How long the mesh may take to go on by itself.
pub(super) const SOON: Duration = Duration::from_secs(30);
/// How many of each listed thing Alice has: pages of one are read.
const LISTED: usize = 3;

/// An account with its session.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
}

/// Who acts.
pub(crate) struct Cast {
    pub(crate) alice: Account,
    pub(crate) bob: Account,
    pub(crate) mallory: Account,
    /// Bob's agent and its key.
    pub(crate) agent: auth::Agent,
    pub(super) key: AgentKey,
}

/// What is there when a test begins.
pub(crate) struct Props {
    /// A task of Alice's on which Bob's agent works.
    pub(crate) claimed: task::Task,
    /// A task of Alice's that Bob was paid for, with its receipt chain.
    pub(crate) completed: task::Task,
    /// Another: lists of one task are not pages of the other's.
    pub(crate) completed_too: task::Task,
    pub(crate) chain: Vec<attestation::Attestation>,
    /// An open task of Alice's.
    pub(crate) open: task::Task,
    pub(crate) deposit: escrow::Deposit,
    pub(crate) withdrawal: escrow::Withdrawal,
    /// An agent of Alice's.
    pub(crate) agent: auth::Agent,
    pub(crate) agent_key: AgentKey,
}

/// Somebody who makes things happen.
#[derive(Clone, Copy)]
pub(crate) struct Story<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) env: &'a Env,
    pub(crate) cast: &'a Cast,
}

/// Calls a method that must answer.
pub(crate) async fn ask<A: Message + Default>(
    wire: &Wire,
    path: &str,
    credentials: &Credentials,
    request: &impl Message,
) -> A {
    let method = Method::find(path).unwrap_or_else(|| panic!("{path} is not declared"));
    let answer = wire.call(method, credentials, &request.encode_to_vec()).await;
    let answer = answer.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
    A::decode(answer.as_slice()).expect("an answer of the contract")
}

/// A new request id.
pub(crate) fn request_id(env: &Env) -> String {
    uuid::Builder::from_random_bytes(env.random()).into_uuid().to_string()
}

/// A word that nothing else is called by.
pub(crate) fn word(env: &Env) -> String {
    let number = u64::from_be_bytes(env.random());
    format!("w{number:016x}")
}

// === impl Account ===

impl Account {
    /// Signs up.
    pub(crate) async fn register(wire: &Wire, env: &Env) -> Self {
        let request = Self::registration(env);
        let path = "/poa.auth.v1.AuthService/Register";
        let made: auth::RegisterResponse = ask(wire, path, &Credentials::None, &request).await;
        let tokens = made.tokens.expect("a session");
        Self {
            id: made.account.expect("an account").account_id,
            username: request.username,
            token: tokens.access_token,
            refresh_token: tokens.refresh_token,
        }
    }

    /// What a new account asks for.
    pub(crate) fn registration(env: &Env) -> auth::RegisterRequest {
        auth::RegisterRequest {
            request_id: request_id(env),
            username: word(env),
            password: PASSWORD.to_owned(),
            display_name: "Somebody".to_owned(),
        }
    }

    /// What a sign-in asks for.
    pub(crate) fn sign_in(&self, env: &Env) -> auth::LoginRequest {
        auth::LoginRequest {
            request_id: request_id(env),
            username: self.username.clone(),
            password: PASSWORD.to_owned(),
        }
    }

    /// Its session's token.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::Bearer(self.token.clone())
    }

    /// A registration of a new agent, with its key.
    pub(crate) fn agent_request(&self, env: &Env) -> (auth::RegisterAgentRequest, AgentKey) {
        let key = AgentKey::generate(env);
        let request = auth::RegisterAgentRequest {
            request_id: request_id(env),
            name: word(env),
            description: "Does what it is asked.".to_owned(),
            capabilities: vec!["text.count".to_owned()],
            public_key: key.public_key().to_vec(),
            key_proof: key.registration_proof(&self.id.parse().expect("an account's id")).to_vec(),
        };
        (request, key)
    }

    /// A new agent.
    pub(crate) async fn agent(&self, wire: &Wire, env: &Env) -> (auth::Agent, AgentKey) {
        let (request, key) = self.agent_request(env);
        let path = "/poa.auth.v1.AgentService/RegisterAgent";
        let made: auth::RegisterAgentResponse = ask(wire, path, &self.credentials(), &request).await;
        (made.agent.expect("an agent"), key)
    }

    /// A new API key.
    pub(crate) async fn api_key(&self, wire: &Wire, env: &Env) -> auth::CreateApiKeyResponse {
        let request = auth::CreateApiKeyRequest {
            request_id: request_id(env),
            name: word(env),
            scopes: vec!["tasks.read".to_owned()],
            ..auth::CreateApiKeyRequest::default()
        };
        ask(wire, "/poa.auth.v1.AuthService/CreateApiKey", &self.credentials(), &request).await
    }
}

// === impl Cast ===

impl Cast {
    /// Everybody signs up.
    pub(crate) async fn assemble(wire: &Wire, env: &Env) -> Self {
        let alice = Account::register(wire, env).await;
        let bob = Account::register(wire, env).await;
        let mallory = Account::register(wire, env).await;
        let (agent, key) = bob.agent(wire, env).await;
        Self { alice, bob, mallory, agent, key }
    }
}

// === impl Story ===

impl Story<'_> {
    /// What has happened before the tests begin.
    pub(crate) async fn tell(self) -> Props {
        let alice = &self.cast.alice;
        let deposit = self.funded(DEPOSIT_MSAT).await;
        let mut agent = None;
        let mut withdrawal = None;
        for _ in 0..LISTED {
            agent = Some(alice.agent(self.wire, self.env).await);
            alice.api_key(self.wire, self.env).await;
            let request = self.withdrawal_request().await;
            let path = "/poa.escrow.v1.EscrowService/CreateWithdrawal";
            let made: escrow::CreateWithdrawalResponse =
                ask(self.wire, path, &alice.credentials(), &request).await;
            withdrawal = made.withdrawal;
        }
        let (agent, agent_key) = agent.expect("an agent");
        let completed = self.completed().await;
        self.stated().await;
        Props {
            claimed: self.claimed().await,
            chain: self.chain(&completed.task_id).await,
            completed_too: self.completed().await,
            completed,
            open: self.open(&word(self.env)).await,
            deposit,
            withdrawal: withdrawal.expect("a withdrawal"),
            agent,
            agent_key,
        }
    }

    /// An agent publishes as many versions as lists have pages for.
    pub(crate) async fn published(self, world: &super::world::World) {
        for _ in 0..LISTED {
            let envelope = super::agent_keys::version(world, &world.props.agent, &world.props.agent_key);
            let request = auth::PublishAgentVersionRequest { request_id: request_id(self.env), envelope };
            let path = "/poa.auth.v1.AgentService/PublishAgentVersion";
            let _made: auth::PublishAgentVersionResponse =
                ask(self.wire, path, &self.cast.alice.credentials(), &request).await;
        }
    }

    /// Sats arrive in Alice's balance.
    async fn funded(self, amount_msat: i64) -> escrow::Deposit {
        let credentials = self.cast.alice.credentials();
        let deposit = self.deposit(amount_msat).await;
        let pay = escrow::PayInvoiceRequest { invoice: deposit.invoice.clone() };
        let path = "/poa.escrow.v1.FaucetService/PayInvoice";
        let _paid: escrow::PayInvoiceResponse = ask(self.wire, path, &credentials, &pay).await;
        eventually(SOON, "the deposit is credited", async || {
            let path = "/poa.escrow.v1.EscrowService/GetBalance";
            let answer: escrow::GetBalanceResponse =
                ask(self.wire, path, &credentials, &escrow::GetBalanceRequest {}).await;
            answer.balance.is_some_and(|balance| balance.available_msat >= amount_msat)
        })
        .await;
        deposit
    }

    /// Waits until the platform has stated what it owes Alice.
    async fn stated(self) {
        let path = "/poa.escrow.v1.EscrowService/GetBalanceProof";
        let method = Method::find(path).expect("a declared method");
        let credentials = self.cast.alice.credentials();
        eventually(SOON, "what is owed is stated", async || {
            self.wire.call(method, &credentials, &[]).await.is_ok()
        })
        .await;
    }

    /// An invoice that credits Alice's balance.
    pub(crate) async fn deposit(self, amount_msat: i64) -> escrow::Deposit {
        let request = escrow::CreateDepositRequest { request_id: request_id(self.env), amount_msat };
        let path = "/poa.escrow.v1.EscrowService/CreateDeposit";
        let made: escrow::CreateDepositResponse =
            ask(self.wire, path, &self.cast.alice.credentials(), &request).await;
        made.deposit.expect("a deposit")
    }

    /// A withdrawal to a wallet outside.
    pub(crate) async fn withdrawal_request(self) -> escrow::CreateWithdrawalRequest {
        let request = escrow::CreateOutsideInvoiceRequest { amount_msat: 10_000 };
        let path = "/poa.escrow.v1.FaucetService/CreateOutsideInvoice";
        let made: escrow::CreateOutsideInvoiceResponse =
            ask(self.wire, path, &self.cast.alice.credentials(), &request).await;
        escrow::CreateWithdrawalRequest {
            request_id: request_id(self.env),
            invoice: made.invoice,
            fee_limit_msat: Some(5_000),
            ..Default::default()
        }
    }

    /// A withdrawal of Alice's that has failed: there is no way that costs nothing.
    pub(crate) async fn failed_withdrawal(self) -> escrow::Withdrawal {
        let credentials = self.cast.alice.credentials();
        let request =
            escrow::CreateWithdrawalRequest { fee_limit_msat: Some(0), ..self.withdrawal_request().await };
        let path = "/poa.escrow.v1.EscrowService/CreateWithdrawal";
        let made: escrow::CreateWithdrawalResponse = ask(self.wire, path, &credentials, &request).await;
        let withdrawal_id = made.withdrawal.expect("a withdrawal").withdrawal_id;
        let request = escrow::GetWithdrawalRequest { withdrawal_id };
        let path = "/poa.escrow.v1.EscrowService/GetWithdrawal";
        let mut failed = None;
        eventually(SOON, "the withdrawal fails", async || {
            let answer: escrow::GetWithdrawalResponse = ask(self.wire, path, &credentials, &request).await;
            failed = answer.withdrawal.filter(|row| row.state() == escrow::withdrawal::State::Failed);
            failed.is_some()
        })
        .await;
        failed.expect("a withdrawal that failed")
    }

    /// An operator sets fees.
    pub(crate) async fn fees(self, operator: &Credentials) {
        for _ in 0..LISTED {
            let path = "/poa.escrow.v1.EscrowAdminService/SetFeeSchedule";
            let _set: escrow::SetFeeScheduleResponse =
                ask(self.wire, path, operator, &self.fee_request()).await;
        }
    }

    /// A fee from now on of an account that does nothing.
    pub(crate) fn fee_request(self) -> escrow::SetFeeScheduleRequest {
        let account: AccountId = self.env.new_id();
        escrow::SetFeeScheduleRequest {
            account_id: account.to_string(),
            fee_basis_points: Some(250),
            start_time: None,
        }
    }

    /// An offer of Alice's.
    pub(crate) fn offer(self, capability: &str) -> task::CreateTaskRequest {
        task::CreateTaskRequest {
            request_id: request_id(self.env),
            title: word(self.env),
            capability: capability.to_owned(),
            input: Some(task::Content {
                media_type: "text/plain".to_owned(),
                body: Some(task::content::Body::Inline(b"count this".to_vec())),
            }),
            price_msat: PRICE_MSAT,
            release_policy: task::ReleasePolicy::OnAcceptance.into(),
            ..task::CreateTaskRequest::default()
        }
    }

    /// A task of Alice's that anyone may claim.
    pub(crate) async fn open(self, capability: &str) -> task::Task {
        let path = "/poa.task.v1.TaskService/CreateTask";
        let made: task::CreateTaskResponse =
            ask(self.wire, path, &self.cast.alice.credentials(), &self.offer(capability)).await;
        self.reach(&made.task.expect("a task").task_id, State::Open).await
    }

    /// What Bob's agent claims a task with.
    pub(crate) fn claim_request(self, open: &task::Task) -> task::ClaimTaskRequest {
        let terms = AcceptanceTerms {
            task: open.task_id.parse().expect("a task's id"),
            agent: self.cast.agent.agent_id.parse().expect("an agent's id"),
            account: self.cast.bob.id.parse().expect("an account's id"),
            claim_number: 1,
        };
        let signed = self.cast.key.accept(self.env, &open.terms, &terms);
        let (_, envelope) = signed.expect("terms that can be signed");
        task::ClaimTaskRequest {
            request_id: request_id(self.env),
            task_id: open.task_id.clone(),
            agent_id: self.cast.agent.agent_id.clone(),
            acceptance: envelope.to_json(),
        }
    }

    /// A task on which Bob's agent works.
    pub(crate) async fn claimed(self) -> task::Task {
        let open = self.open(&word(self.env)).await;
        let path = "/poa.task.v1.TaskService/ClaimTask";
        let request = self.claim_request(&open);
        let made: task::ClaimTaskResponse =
            ask(self.wire, path, &self.cast.bob.credentials(), &request).await;
        made.task.expect("a task")
    }

    /// What Bob's agent submits for a task that it holds.
    pub(crate) async fn submission(self, claimed: &task::Task) -> task::SubmitResultRequest {
        let accepted = self.accepted(claimed).await;
        self.submission_of(claimed, &accepted, None, None)
    }

    /// The acceptance of a task that is claimed.
    pub(super) async fn accepted(self, claimed: &task::Task) -> Statement {
        let chain = self.chain(&claimed.task_id).await;
        let last = chain.last().expect("a chain");
        let accepted = Envelope::from_json(&last.envelope).and_then(|envelope| envelope.open());
        accepted.expect("a statement")
    }

    pub(super) fn submission_of(
        self,
        claimed: &task::Task,
        accepted: &Statement,
        build: Option<Build>,
        evidence: Option<Digest>,
    ) -> task::SubmitResultRequest {
        let now = self.env.now();
        let work = WorkDone {
            output: Content::of(RESULT, "text/plain"),
            started: now,
            finished: now,
            build,
            evidence,
        };
        let signed = self.cast.key.submit(self.env, accepted, accepted, work);
        task::SubmitResultRequest {
            request_id: request_id(self.env),
            task_id: claimed.task_id.clone(),
            result: Some(task::Content {
                media_type: "text/plain".to_owned(),
                body: Some(task::content::Body::Inline(RESULT.to_vec())),
            }),
            submission: signed.expect("a receipt").to_json(),
        }
    }

    /// A task whose result waits for Alice.
    pub(crate) async fn submitted(self) -> task::Task {
        let claimed = self.claimed().await;
        let request = self.submission(&claimed).await;
        let path = "/poa.task.v1.TaskService/SubmitResult";
        let _made: task::SubmitResultResponse =
            ask(self.wire, path, &self.cast.bob.credentials(), &request).await;
        self.reach(&claimed.task_id, State::Submitted).await
    }

    /// A task that Bob was paid for.
    async fn completed(self) -> task::Task {
        let submitted = self.submitted().await;
        let request = task::AcceptResultRequest {
            request_id: request_id(self.env),
            task_id: submitted.task_id.clone(),
        };
        let path = "/poa.task.v1.TaskService/AcceptResult";
        let _made: task::AcceptResultResponse =
            ask(self.wire, path, &self.cast.alice.credentials(), &request).await;
        self.reach(&submitted.task_id, State::Completed).await
    }

    /// The receipt chain of a task.
    async fn chain(self, task_id: &str) -> Vec<attestation::Attestation> {
        let request = attestation::ListAttestationsRequest {
            task_id: task_id.to_owned(),
            ..attestation::ListAttestationsRequest::default()
        };
        let path = "/poa.attestation.v1.AttestationService/ListAttestations";
        let made: attestation::ListAttestationsResponse =
            ask(self.wire, path, &self.cast.alice.credentials(), &request).await;
        made.attestations
    }

    /// Waits until a task is in a state.
    pub(super) async fn reach(self, task_id: &str, state: State) -> task::Task {
        let request = task::GetTaskRequest { task_id: task_id.to_owned() };
        let path = "/poa.task.v1.TaskService/GetTask";
        let credentials = self.cast.alice.credentials();
        let mut reached = None;
        eventually(SOON, "the task goes on", async || {
            let answer: task::GetTaskResponse = ask(self.wire, path, &credentials, &request).await;
            reached = answer.task.filter(|task| task.state() == state);
            reached.is_some()
        })
        .await;
        reached.expect("a task in its state")
    }
}

//! Calls as a client makes them who may hang up at any moment: request ids in the caller's hand, deadlines too.

use std::fmt;
use std::time::Duration;

use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::{
    CreateDepositRequest, CreateWithdrawalRequest, GetBalanceRequest, GetDepositRequest,
    ListLedgerEntriesRequest,
};
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use poa_proto::task::v1::{
    AcceptResultRequest, CancelTaskRequest, ClaimTaskRequest, CreateTaskRequest, GetTaskRequest,
    ListTasksRequest, SubmitResultRequest, Task,
};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How long a patient caller waits for one attempt.
const PATIENT: Duration = Duration::from_secs(15);
/// How often a patient caller asks while the answer leaves open what happened.
const ATTEMPTS: u32 = 40;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(100);

/// One call with all that it says.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Create(CreateTaskRequest),
    Claim(ClaimTaskRequest),
    Submit(SubmitResultRequest),
    Accept(AcceptResultRequest),
    Cancel(CancelTaskRequest),
    Deposit(CreateDepositRequest),
    Withdraw(CreateWithdrawalRequest),
    GetTask(GetTaskRequest),
    GetDeposit(GetDepositRequest),
    ListTasks(ListTasksRequest),
    Balance,
    Entries(ListLedgerEntriesRequest),
}

/// What an answer is about.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Task(Box<Task>),
    /// The id of a deposit or a withdrawal.
    Id(String),
    Read,
}

/// Who calls: a channel and an API key.
#[derive(Clone)]
pub(super) struct Caller {
    channel: Channel,
    bearer: tonic::metadata::MetadataValue<tonic::metadata::Ascii>,
}

// === impl Call ===

impl Call {
    /// Whether it changes something.
    pub(super) fn is_mutation(&self) -> bool {
        match self {
            Self::Create(_)
            | Self::Claim(_)
            | Self::Submit(_)
            | Self::Accept(_)
            | Self::Cancel(_)
            | Self::Deposit(_)
            | Self::Withdraw(_) => true,
            Self::GetTask(_)
            | Self::GetDeposit(_)
            | Self::ListTasks(_)
            | Self::Balance
            | Self::Entries(_) => false,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(call) => write!(f, "create {}", call.request_id),
            Self::Claim(call) => write!(f, "claim {} of {}", call.request_id, call.task_id),
            Self::Submit(call) => write!(f, "submit {} of {}", call.request_id, call.task_id),
            Self::Accept(call) => write!(f, "accept {} of {}", call.request_id, call.task_id),
            Self::Cancel(call) => write!(f, "cancel {} of {}", call.request_id, call.task_id),
            Self::Deposit(call) => write!(f, "deposit {}", call.request_id),
            Self::Withdraw(call) => write!(f, "withdraw {}", call.request_id),
            Self::GetTask(call) => write!(f, "get {}", call.task_id),
            Self::GetDeposit(call) => write!(f, "get {}", call.deposit_id),
            Self::ListTasks(_) => f.write_str("list tasks"),
            Self::Balance => f.write_str("get balance"),
            Self::Entries(_) => f.write_str("list entries"),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The id of what was made or changed.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Task(task) => &task.task_id,
            Self::Id(id) => id,
            Self::Read => "",
        }
    }
}

// === impl Caller ===

impl Caller {
    pub(super) fn new(channel: Channel, api_key: &str) -> Self {
        let bearer = format!("Bearer {api_key}").parse().expect("a key fits a header");
        Self { channel, bearer }
    }

    /// Sends a call, with a deadline where one is given.
    pub(super) async fn send(&self, call: &Call, deadline: Option<Duration>) -> Result<Answer, Status> {
        let mut tasks = TaskServiceClient::new(self.channel.clone());
        let mut money = EscrowServiceClient::new(self.channel.clone());
        let task = |task: Option<Task>| task.map(|task| Answer::Task(Box::new(task))).ok_or_else(missing);
        macro_rules! ask {
            ($client:ident.$method:ident($message:expr)) => {
                $client.$method(self.request($message, deadline)).await?.into_inner()
            };
        }
        match call.clone() {
            Call::Create(message) => task(ask!(tasks.create_task(message)).task),
            Call::Claim(message) => task(ask!(tasks.claim_task(message)).task),
            Call::Submit(message) => task(ask!(tasks.submit_result(message)).task),
            Call::Accept(message) => task(ask!(tasks.accept_result(message)).task),
            Call::Cancel(message) => task(ask!(tasks.cancel_task(message)).task),
            Call::GetTask(message) => task(ask!(tasks.get_task(message)).task),
            Call::Deposit(message) => {
                let deposit = ask!(money.create_deposit(message)).deposit;
                deposit.map(|deposit| Answer::Id(deposit.deposit_id)).ok_or_else(missing)
            }
            Call::GetDeposit(message) => {
                let deposit = ask!(money.get_deposit(message)).deposit;
                deposit.map(|deposit| Answer::Id(deposit.deposit_id)).ok_or_else(missing)
            }
            Call::Withdraw(message) => {
                let withdrawal = ask!(money.create_withdrawal(message)).withdrawal;
                withdrawal.map(|paid| Answer::Id(paid.withdrawal_id)).ok_or_else(missing)
            }
            Call::ListTasks(message) => {
                ask!(tasks.list_tasks(message));
                Ok(Answer::Read)
            }
            Call::Balance => {
                ask!(money.get_balance(GetBalanceRequest {}));
                Ok(Answer::Read)
            }
            Call::Entries(message) => {
                ask!(money.list_ledger_entries(message));
                Ok(Answer::Read)
            }
        }
    }

    /// Sends a call until the answer is definite.
    pub(super) async fn insist(&self, call: &Call) -> Result<Answer, Status> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.send(call, Some(PATIENT)).await {
                Ok(answer) => return Ok(answer),
                Err(status) if leaves_open(&status) => last = Some(status),
                Err(status) => return Err(status),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last.unwrap_or_else(missing))
    }

    fn request<T>(&self, message: T, deadline: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        request
    }
}

/// Whether the same call may be answered otherwise in a moment.
pub(super) fn leaves_open(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
        || std::error::Error::source(status).is_some()
}

fn missing() -> Status {
    Status::internal("the answer holds nothing")
}

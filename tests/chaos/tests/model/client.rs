//! What clients send, and what they hear.

use std::sync::Arc;
use std::time::Duration;

use poa_proto::auth::v1 as auth;
use poa_proto::auth::v1::agent_service_client::AgentServiceClient;
use poa_proto::escrow::v1 as escrow;
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient;
use poa_proto::task::v1 as task;
use poa_proto::task::v1::task_service_client::TaskServiceClient;
use tonic::{Code, Request, Response, Status};

use crate::house::Door;
use crate::plan::{Fate, Service};

/// A client's own deadline.
const DEADLINE: Duration = Duration::from_secs(4);

/// A request, to be sent as often as need be.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Create(task::CreateTaskRequest),
    Claim(task::ClaimTaskRequest),
    ClaimNext(task::ClaimNextTaskRequest),
    Renew(task::RenewClaimRequest),
    Release(task::ReleaseClaimRequest),
    Submit(task::SubmitResultRequest),
    Accept(task::AcceptResultRequest),
    Reject(task::RejectResultRequest),
    Cancel(task::CancelTaskRequest),
    Deposit(escrow::CreateDepositRequest),
    Withdraw(escrow::CreateWithdrawalRequest),
    Pay(escrow::PayInvoiceRequest),
    Register(auth::RegisterAgentRequest),
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Task(Box<task::Task>),
    Next(Box<task::OpenTask>),
    Deposit(escrow::Deposit),
    Withdrawal(escrow::Withdrawal),
    Paid,
    Agent(auth::Agent),
}

/// What came of a request, as its client knows it.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Yes(Answer),
    /// Certainly not carried out.
    No(Refusal),
    /// Nobody knows.
    Nothing(String),
    /// An answer that no request may get.
    Bug(String),
}

/// A definite no.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// The state that it names.
    pub(crate) state: Option<String>,
    pub(crate) text: String,
}

/// A sender: who, through which door.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) door: Arc<Door>,
    pub(crate) token: String,
    /// Which of several instances.
    pub(crate) turn: usize,
}

// === impl Call ===

impl Call {
    pub(crate) fn service(&self) -> Service {
        match self {
            Self::Create(_)
            | Self::Claim(_)
            | Self::ClaimNext(_)
            | Self::Renew(_)
            | Self::Release(_)
            | Self::Submit(_)
            | Self::Accept(_)
            | Self::Reject(_)
            | Self::Cancel(_) => Service::Task,
            Self::Deposit(_) | Self::Withdraw(_) | Self::Pay(_) => Service::Escrow,
            Self::Register(_) => Service::Auth,
        }
    }

    /// The same request id with another payload, for those that are recorded by it.
    pub(crate) fn altered(&self) -> Option<Self> {
        match self.clone() {
            Self::Create(mut request) => {
                request.title.push('!');
                Some(Self::Create(request))
            }
            Self::Release(mut request) => {
                request.reason.push('!');
                Some(Self::Release(request))
            }
            Self::Reject(mut request) => {
                request.reason.push('!');
                Some(Self::Reject(request))
            }
            Self::Deposit(mut request) => {
                request.amount_msat += 1_000;
                Some(Self::Deposit(request))
            }
            Self::Register(mut request) => {
                request.name.push('!');
                Some(Self::Register(request))
            }
            Self::Claim(_)
            | Self::ClaimNext(_)
            | Self::Renew(_)
            | Self::Submit(_)
            | Self::Accept(_)
            | Self::Cancel(_)
            | Self::Withdraw(_)
            | Self::Pay(_) => None,
        }
    }
}

// === impl Sender ===

impl Sender {
    /// Sends a request through its fate, and answers with what its client hears. The second copy of what arrives twice is
    /// in the second place.
    pub(crate) fn launch(
        self,
        call: Call,
        fate: Fate,
    ) -> (impl Future<Output = Heard> + Send + 'static, Option<impl Future<Output = Heard> + Send + 'static>)
    {
        let copy = match fate {
            Fate::Twice(later) => {
                let (sender, call) = (self.clone(), call.clone());
                Some(async move {
                    tokio::time::sleep(Duration::from_millis(later)).await;
                    sender.send(call).await
                })
            }
            Fate::Pass | Fate::Delay(_) | Fate::DropRequest | Fate::DropAnswer | Fate::GiveUp(_) => None,
        };
        let first = async move {
            match fate {
                Fate::Pass | Fate::Twice(_) => self.send(call).await,
                Fate::Delay(wait) => {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    self.send(call).await
                }
                Fate::DropRequest => Heard::Nothing("the request was dropped".to_owned()),
                Fate::DropAnswer => match self.send(call).await {
                    bug @ Heard::Bug(_) => bug,
                    Heard::Yes(_) | Heard::No(_) | Heard::Nothing(_) => {
                        Heard::Nothing("the answer was dropped".to_owned())
                    }
                },
                Fate::GiveUp(patience) => {
                    let answer = tokio::time::timeout(Duration::from_millis(patience), self.send(call));
                    answer.await.unwrap_or_else(|_| Heard::Nothing("the client hung up".to_owned()))
                }
            }
        };
        (first, copy)
    }

    /// Sends one request.
    pub(crate) async fn send(&self, call: Call) -> Heard {
        let Some(channel) = self.door.channel(self.turn) else {
            return Heard::Nothing(format!("{} is down", self.door.name()));
        };
        let tasks = || TaskServiceClient::new(channel.clone());
        let task = |task: Option<task::Task>| Answer::Task(Box::new(task.unwrap()));
        let answer = match call {
            Call::Create(it) => tasks().create_task(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::Claim(it) => tasks().claim_task(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::ClaimNext(it) => tasks()
                .claim_next_task(self.by(it))
                .await
                .map(|it| Answer::Next(Box::new(it.into_inner().task.unwrap()))),
            Call::Renew(it) => tasks().renew_claim(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::Release(it) => {
                tasks().release_claim(self.by(it)).await.map(|it| task(it.into_inner().task))
            }
            Call::Submit(it) => tasks().submit_result(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::Accept(it) => tasks().accept_result(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::Reject(it) => tasks().reject_result(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::Cancel(it) => tasks().cancel_task(self.by(it)).await.map(|it| task(it.into_inner().task)),
            Call::Deposit(it) => EscrowServiceClient::new(channel)
                .create_deposit(self.by(it))
                .await
                .map(|it| Answer::Deposit(it.into_inner().deposit.unwrap())),
            Call::Withdraw(it) => EscrowServiceClient::new(channel)
                .create_withdrawal(self.by(it))
                .await
                .map(|it| Answer::Withdrawal(it.into_inner().withdrawal.unwrap())),
            Call::Pay(it) => FaucetServiceClient::new(channel)
                .pay_invoice(self.by(it))
                .await
                .map(|_: Response<_>| Answer::Paid),
            Call::Register(it) => AgentServiceClient::new(channel)
                .register_agent(self.by(it))
                .await
                .map(|it| Answer::Agent(it.into_inner().agent.unwrap())),
        };
        match answer {
            Ok(answer) => Heard::Yes(answer),
            Err(status) => heard(&status),
        }
    }

    /// A request of the sender's.
    pub(crate) fn by<T>(&self, message: T) -> Request<T> {
        with(&self.token, message)
    }
}

/// A request with a token and a deadline.
pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request.set_timeout(DEADLINE);
    request
}

/// What an error says of what was done. Of an UNAVAILABLE the reason tells: shedding did nothing, a dependency that is
/// down or a line that broke may be in the middle.
fn heard(status: &Status) -> Heard {
    let said = poa_chassis::failure(status);
    let text = format!("{:?} {} {:?}: {}", said.code, said.reason, said.metadata, said.message);
    let definite = match said.code {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::ResourceExhausted
        | Code::Unauthenticated
        | Code::Aborted => true,
        Code::Unavailable => said.reason == "OVERLOADED",
        Code::Internal if said.reason == "INTERNAL" => return Heard::Bug(text),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => false,
    };
    if definite && !said.reason.is_empty() {
        return Heard::No(Refusal { reason: said.reason, state: said.metadata.get("state").cloned(), text });
    }
    Heard::Nothing(text)
}

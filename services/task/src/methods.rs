//! The full names of the methods under which requests are recorded.

use proof_of_agent::statement::Kind;

pub(crate) const CREATE_TASK: &str = "poa.task.v1.TaskService/CreateTask";
pub(crate) const CLAIM_TASK: &str = "poa.task.v1.TaskService/ClaimTask";
pub(crate) const CLAIM_NEXT_TASK: &str = "poa.task.v1.TaskService/ClaimNextTask";
pub(crate) const RENEW_CLAIM: &str = "poa.task.v1.TaskService/RenewClaim";
pub(crate) const RELEASE_CLAIM: &str = "poa.task.v1.TaskService/ReleaseClaim";
pub(crate) const SUBMIT_RESULT: &str = "poa.task.v1.TaskService/SubmitResult";
pub(crate) const ACCEPT_RESULT: &str = "poa.task.v1.TaskService/AcceptResult";
pub(crate) const REJECT_RESULT: &str = "poa.task.v1.TaskService/RejectResult";
pub(crate) const CANCEL_TASK: &str = "poa.task.v1.TaskService/CancelTask";

/// The method whose request brings a statement that can be refused.
pub(crate) fn method_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::TermsOffered => Some(CREATE_TASK),
        Kind::TermsAccepted => Some(CLAIM_TASK),
        Kind::WorkSubmitted => Some(SUBMIT_RESULT),
        Kind::WorkReceived | Kind::Decision | Kind::Settlement => None,
    }
}

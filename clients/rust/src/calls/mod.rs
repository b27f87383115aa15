//! The methods of the contract as Rust methods, one file per service or matter of it.

mod admin;
mod auth;
mod escrow;
mod feed;
mod liabilities;
mod payouts;
mod receipts;
mod search;
mod task;

pub use admin::Admin;
pub use feed::{FeedFilter, FeedUpdate};
pub use liabilities::verify_balance_proof;

use poa_proto::{auth::v1 as auth_api, escrow::v1 as escrow_api, task::v1 as task_api};

/// A request that carries a `request_id`.
pub(crate) trait RequestId {
    /// The field.
    fn request_id(&mut self) -> &mut String;
}

macro_rules! request_ids {
    ($($request:ty),* $(,)?) => {$(
        impl RequestId for $request {
            fn request_id(&mut self) -> &mut String {
                &mut self.request_id
            }
        }
    )*};
}

request_ids! {
    auth_api::RegisterRequest,
    auth_api::LoginRequest,
    auth_api::CreateApiKeyRequest,
    auth_api::RevokeApiKeyRequest,
    auth_api::RegisterAgentRequest,
    auth_api::RetireAgentRequest,
    auth_api::RotateAgentKeyRequest,
    auth_api::RevokeAgentKeyRequest,
    auth_api::PublishAgentVersionRequest,
    task_api::CreateTaskRequest,
    task_api::ClaimTaskRequest,
    task_api::ClaimNextTaskRequest,
    task_api::RenewClaimRequest,
    task_api::ReleaseClaimRequest,
    task_api::SubmitResultRequest,
    task_api::AcceptResultRequest,
    task_api::RejectResultRequest,
    task_api::CancelTaskRequest,
    escrow_api::CreateDepositRequest,
    escrow_api::CreateWithdrawalRequest,
    escrow_api::ReplaceWithdrawalInvoiceRequest,
    escrow_api::SetPayoutDestinationRequest,
}

/// The resource of an answer, which the contract always fills.
pub(crate) fn given<T>(field: Option<T>, name: &str) -> Result<T, crate::error::Error> {
    field.ok_or_else(|| crate::error::Error::Contract(format!("`{name}` is missing")))
}

/// A call of one method: `unary!(self, mutate, TaskServiceClient, create_task, request)`.
macro_rules! unary {
    ($session:expr, $kind:ident, $client:ident, $method:ident, $request:expr) => {
        $session
            .client()
            .$kind($session.credentials(), $request, |channel, request| async move {
                $client::new(channel).$method(request).await
            })
            .await
    };
}
pub(crate) use unary;

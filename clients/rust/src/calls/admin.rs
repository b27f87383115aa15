//! What operators ask, on the admin port.

use std::time::Duration;

use poa_common::Env;
use poa_proto::escrow::v1::escrow_admin_service_client::EscrowAdminServiceClient;
use poa_proto::escrow::v1::{
    AuditLedgerRequest, FeeSchedule, GetReconciliationRequest, LedgerAudit, ListFeeSchedulesRequest,
    ListFeeSchedulesResponse, PausePayoutsRequest, PayoutSwitch, Reconciliation, ReturnWithdrawalRequest,
    SetFeeScheduleRequest, Withdrawal,
};
use poa_proto::search::v1::search_admin_service_client::SearchAdminServiceClient;
use poa_proto::search::v1::{ReindexRequest, ReindexResponse};

use super::given;
use crate::client::{CALL_TIMEOUT, Client};
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::env::system_env;
use crate::error::Error;

/// An audit and a reconciliation read the whole ledger, a wipe of the index counts all of it; the servers' own limit is 60
/// seconds.
const LONG_TIMEOUT: Duration = Duration::from_secs(65);

/// An operator of a mesh.
pub struct Admin {
    client: Client,
    credentials: Credentials,
}

// === impl Admin ===

impl Admin {
    /// A client of the admin port with an operator's token, such as the content of the file that a server writes at
    /// its first start.
    ///
    /// # Errors
    /// The address cannot be used, or the token would be readable on the way there ([`Endpoint::insecure`]).
    pub fn connect(endpoint: impl Into<Endpoint>, token: &str) -> Result<Self, Error> {
        Self::connect_with(endpoint, token, system_env())
    }

    /// The same with a clock and entropy of the caller's.
    pub fn connect_with(endpoint: impl Into<Endpoint>, token: &str, env: Env) -> Result<Self, Error> {
        let credentials = Credentials::ApiKey(token.trim().to_owned().into());
        let client = Client::connect_with(endpoint, env)?;
        client.check_secrets()?;
        Ok(Self { client, credentials })
    }

    /// Checks every invariant of the ledger on one consistent snapshot.
    pub async fn audit_ledger(&self) -> Result<LedgerAudit, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).audit_ledger(request).await
        };
        let answer =
            self.client.call(Some(&self.credentials), LONG_TIMEOUT, AuditLedgerRequest {}, call).await?;
        given(answer.audit, "audit")
    }

    /// Holds the ledger against the Lightning node now: what may have changed since the last time, or with `full` all from
    /// the beginning. A difference pauses payouts.
    pub async fn reconcile(&self, full: bool) -> Result<Reconciliation, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).get_reconciliation(request).await
        };
        let request = GetReconciliationRequest { full };
        let answer = self.client.call(Some(&self.credentials), LONG_TIMEOUT, request, call).await?;
        given(answer.reconciliation, "reconciliation")
    }

    /// Pauses payouts, or lets them go on, with the reason for people. The same again changes nothing.
    pub async fn pause_payouts(&self, paused: bool, reason: &str) -> Result<PayoutSwitch, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).pause_payouts(request).await
        };
        let request = PausePayoutsRequest { paused: Some(paused), reason: reason.to_owned() };
        let answer = self.client.call(Some(&self.credentials), CALL_TIMEOUT, request, call).await?;
        given(answer.payouts, "payouts")
    }

    /// Gives back what a withdrawal had reserved that its node does not know any more, long after its invoice ended.
    pub async fn return_withdrawal(&self, withdrawal_id: &str, reason: &str) -> Result<Withdrawal, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).return_withdrawal(request).await
        };
        let request =
            ReturnWithdrawalRequest { withdrawal_id: withdrawal_id.to_owned(), reason: reason.to_owned() };
        let answer = self.client.call(Some(&self.credentials), LONG_TIMEOUT, request, call).await?;
        given(answer.withdrawal, "withdrawal")
    }

    /// Sets what the platform takes of a release from a moment on, of everybody or of one account. The same again changes
    /// nothing.
    pub async fn set_fee_schedule(&self, request: SetFeeScheduleRequest) -> Result<FeeSchedule, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).set_fee_schedule(request).await
        };
        let answer = self.client.call(Some(&self.credentials), CALL_TIMEOUT, request, call).await?;
        given(answer.schedule, "schedule")
    }

    /// Lists the fees that are in force or will be, everybody's first.
    pub async fn list_fee_schedules(
        &self,
        request: ListFeeSchedulesRequest,
    ) -> Result<ListFeeSchedulesResponse, Error> {
        let call = |channel, request| async move {
            EscrowAdminServiceClient::new(channel).list_fee_schedules(request).await
        };
        self.client.call(Some(&self.credentials), CALL_TIMEOUT, request, call).await
    }

    /// Empties the search index, which is then built again. Searches find less until that is done.
    pub async fn reindex(&self) -> Result<ReindexResponse, Error> {
        let call =
            |channel, request| async move { SearchAdminServiceClient::new(channel).reindex(request).await };
        self.client.call(Some(&self.credentials), LONG_TIMEOUT, ReindexRequest {}, call).await
    }
}

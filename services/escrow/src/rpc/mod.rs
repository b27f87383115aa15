//! The RPCs, a file for each. A handler says who calls, checks the message, does one thing, and answers.

mod audit_ledger;
mod capture_escrow;
mod convert;
mod create_deposit;
mod create_outside_invoice;
mod create_withdrawal;
mod estimate_fees;
mod get_balance;
mod get_balance_proof;
mod get_deposit;
mod get_escrow;
mod get_payout_destination;
mod get_reconciliation;
mod get_withdrawal;
mod hold_by_invoice;
mod hold_funds;
mod list_fee_schedules;
mod list_ledger_entries;
mod list_withdrawals;
mod once;
mod pages;
mod pause_payouts;
mod pay_invoice;
mod quote_fee;
mod refund_escrow;
mod replace_withdrawal_invoice;
mod return_withdrawal;
mod secure_escrow;
mod set_fee_schedule;
mod set_payout_destination;
mod watch_deposit;
mod watch_escrow_events;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use poa_chassis::status;
use poa_proto::escrow::v1 as pb;
use poa_proto::escrow::v1::escrow_admin_service_server::EscrowAdminService;
use poa_proto::escrow::v1::escrow_internal_service_server::EscrowInternalService;
use poa_proto::escrow::v1::escrow_service_server::EscrowService;
use poa_proto::escrow::v1::faucet_service_server::FaucetService;
use tonic::{Request, Response, Status};

use crate::service::Service;

/// The handlers' side of the service. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    service: Arc<Service>,
}

// === impl Rpc ===

impl Rpc {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }
}

#[tonic::async_trait]
impl EscrowService for Rpc {
    type WatchDepositStream = BoxStream<'static, Result<pb::WatchDepositResponse, Status>>;

    async fn get_balance(
        &self,
        request: Request<pb::GetBalanceRequest>,
    ) -> Result<Response<pb::GetBalanceResponse>, Status> {
        get_balance::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn list_ledger_entries(
        &self,
        request: Request<pb::ListLedgerEntriesRequest>,
    ) -> Result<Response<pb::ListLedgerEntriesResponse>, Status> {
        list_ledger_entries::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn create_deposit(
        &self,
        request: Request<pb::CreateDepositRequest>,
    ) -> Result<Response<pb::CreateDepositResponse>, Status> {
        create_deposit::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn get_deposit(
        &self,
        request: Request<pb::GetDepositRequest>,
    ) -> Result<Response<pb::GetDepositResponse>, Status> {
        get_deposit::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn watch_deposit(
        &self,
        request: Request<pb::WatchDepositRequest>,
    ) -> Result<Response<Self::WatchDepositStream>, Status> {
        watch_deposit::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn create_withdrawal(
        &self,
        request: Request<pb::CreateWithdrawalRequest>,
    ) -> Result<Response<pb::CreateWithdrawalResponse>, Status> {
        create_withdrawal::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn get_withdrawal(
        &self,
        request: Request<pb::GetWithdrawalRequest>,
    ) -> Result<Response<pb::GetWithdrawalResponse>, Status> {
        get_withdrawal::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn list_withdrawals(
        &self,
        request: Request<pb::ListWithdrawalsRequest>,
    ) -> Result<Response<pb::ListWithdrawalsResponse>, Status> {
        list_withdrawals::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn get_escrow(
        &self,
        request: Request<pb::GetEscrowRequest>,
    ) -> Result<Response<pb::GetEscrowResponse>, Status> {
        get_escrow::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn estimate_fees(
        &self,
        request: Request<pb::EstimateFeesRequest>,
    ) -> Result<Response<pb::EstimateFeesResponse>, Status> {
        estimate_fees::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
    async fn replace_withdrawal_invoice(
        &self,
        request: Request<pb::ReplaceWithdrawalInvoiceRequest>,
    ) -> Result<Response<pb::ReplaceWithdrawalInvoiceResponse>, Status> {
        replace_withdrawal_invoice::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn set_payout_destination(
        &self,
        request: Request<pb::SetPayoutDestinationRequest>,
    ) -> Result<Response<pb::SetPayoutDestinationResponse>, Status> {
        set_payout_destination::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn get_payout_destination(
        &self,
        request: Request<pb::GetPayoutDestinationRequest>,
    ) -> Result<Response<pb::GetPayoutDestinationResponse>, Status> {
        get_payout_destination::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn get_balance_proof(
        &self,
        request: Request<pb::GetBalanceProofRequest>,
    ) -> Result<Response<pb::GetBalanceProofResponse>, Status> {
        get_balance_proof::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
}

#[tonic::async_trait]
impl EscrowInternalService for Rpc {
    type WatchEscrowEventsStream = BoxStream<'static, Result<pb::WatchEscrowEventsResponse, Status>>;

    async fn hold_funds(
        &self,
        request: Request<pb::HoldFundsRequest>,
    ) -> Result<Response<pb::HoldFundsResponse>, Status> {
        hold_funds::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn capture_escrow(
        &self,
        request: Request<pb::CaptureEscrowRequest>,
    ) -> Result<Response<pb::CaptureEscrowResponse>, Status> {
        capture_escrow::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn refund_escrow(
        &self,
        request: Request<pb::RefundEscrowRequest>,
    ) -> Result<Response<pb::RefundEscrowResponse>, Status> {
        refund_escrow::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
    async fn secure_escrow(
        &self,
        request: Request<pb::SecureEscrowRequest>,
    ) -> Result<Response<pb::SecureEscrowResponse>, Status> {
        secure_escrow::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn quote_fee(
        &self,
        request: Request<pb::QuoteFeeRequest>,
    ) -> Result<Response<pb::QuoteFeeResponse>, Status> {
        quote_fee::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
    async fn watch_escrow_events(
        &self,
        request: Request<pb::WatchEscrowEventsRequest>,
    ) -> Result<Response<Self::WatchEscrowEventsStream>, Status> {
        watch_escrow_events::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
}

#[tonic::async_trait]
impl EscrowAdminService for Rpc {
    async fn audit_ledger(
        &self,
        request: Request<pb::AuditLedgerRequest>,
    ) -> Result<Response<pb::AuditLedgerResponse>, Status> {
        audit_ledger::handle(&self.service, &request).await.map(Response::new).map_err(status)
    }
    async fn get_reconciliation(
        &self,
        request: Request<pb::GetReconciliationRequest>,
    ) -> Result<Response<pb::GetReconciliationResponse>, Status> {
        get_reconciliation::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn pause_payouts(
        &self,
        request: Request<pb::PausePayoutsRequest>,
    ) -> Result<Response<pb::PausePayoutsResponse>, Status> {
        pause_payouts::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn return_withdrawal(
        &self,
        request: Request<pb::ReturnWithdrawalRequest>,
    ) -> Result<Response<pb::ReturnWithdrawalResponse>, Status> {
        return_withdrawal::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn set_fee_schedule(
        &self,
        request: Request<pb::SetFeeScheduleRequest>,
    ) -> Result<Response<pb::SetFeeScheduleResponse>, Status> {
        set_fee_schedule::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn list_fee_schedules(
        &self,
        request: Request<pb::ListFeeSchedulesRequest>,
    ) -> Result<Response<pb::ListFeeSchedulesResponse>, Status> {
        list_fee_schedules::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
}

#[tonic::async_trait]
impl FaucetService for Rpc {
    async fn pay_invoice(
        &self,
        request: Request<pb::PayInvoiceRequest>,
    ) -> Result<Response<pb::PayInvoiceResponse>, Status> {
        pay_invoice::handle(&self.service, request).await.map(Response::new).map_err(status)
    }

    async fn create_outside_invoice(
        &self,
        request: Request<pb::CreateOutsideInvoiceRequest>,
    ) -> Result<Response<pb::CreateOutsideInvoiceResponse>, Status> {
        create_outside_invoice::handle(&self.service, request).await.map(Response::new).map_err(status)
    }
}

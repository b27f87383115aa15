//! The RPCs, a file for each. A handler says who calls, checks the message, does one thing, and answers.

mod audit_ledger;
mod capture_escrow;
mod convert;
mod create_deposit;
mod create_outside_invoice;
mod create_withdrawal;
mod estimate_fees;
mod get_balance;
mod get_deposit;
mod get_escrow;
mod get_withdrawal;
mod hold_funds;
mod list_ledger_entries;
mod list_withdrawals;
mod pages;
mod pay_invoice;
mod refund_escrow;
mod watch_deposit;

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
        estimate_fees::handle(&self.service, &request).map(Response::new).map_err(status)
    }
}

#[tonic::async_trait]
impl EscrowInternalService for Rpc {
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
}

#[tonic::async_trait]
impl EscrowAdminService for Rpc {
    async fn audit_ledger(
        &self,
        request: Request<pb::AuditLedgerRequest>,
    ) -> Result<Response<pb::AuditLedgerResponse>, Status> {
        audit_ledger::handle(&self.service, &request).await.map(Response::new).map_err(status)
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

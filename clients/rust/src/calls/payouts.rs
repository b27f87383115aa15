//! Sats out: withdrawals, and where an account is paid out to by itself.

use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::{
    CreateWithdrawalRequest, GetPayoutDestinationRequest, GetWithdrawalRequest, ListWithdrawalsRequest,
    ListWithdrawalsResponse, PayoutDestination, ReplaceWithdrawalInvoiceRequest, SetPayoutDestinationRequest,
    Withdrawal,
};

use super::{given, unary};
use crate::client::Session;
use crate::error::Error;

impl Session {
    /// Pays a Lightning invoice, or an amount to a Lightning address, from the caller's balance. The answer comes at once;
    /// the payment goes on by itself and is never made twice.
    pub async fn create_withdrawal(&self, request: CreateWithdrawalRequest) -> Result<Withdrawal, Error> {
        given(unary!(self, mutate, EscrowServiceClient, create_withdrawal, request)?.withdrawal, "withdrawal")
    }

    /// Pays a failed withdrawal by another invoice: a new withdrawal of the same amount. Where the failed one went to a
    /// Lightning address, the invoice may be left empty, and the address is asked again.
    pub async fn replace_withdrawal_invoice(
        &self,
        request: ReplaceWithdrawalInvoiceRequest,
    ) -> Result<Withdrawal, Error> {
        let answer = unary!(self, mutate, EscrowServiceClient, replace_withdrawal_invoice, request)?;
        given(answer.withdrawal, "withdrawal")
    }

    /// Reads a withdrawal.
    pub async fn withdrawal(&self, withdrawal_id: &str) -> Result<Withdrawal, Error> {
        let request = GetWithdrawalRequest { withdrawal_id: withdrawal_id.to_owned() };
        given(unary!(self, read, EscrowServiceClient, get_withdrawal, request)?.withdrawal, "withdrawal")
    }

    /// Lists the caller's withdrawals, newest first.
    pub async fn list_withdrawals(
        &self,
        request: ListWithdrawalsRequest,
    ) -> Result<ListWithdrawalsResponse, Error> {
        unary!(self, read, EscrowServiceClient, list_withdrawals, request)
    }

    /// Sets where the caller is paid out to, and from which balance on, in msat, that happens by itself. An address that
    /// takes the place of another one waits; an empty one removes the destination at once.
    pub async fn set_payout_destination(
        &self,
        request: SetPayoutDestinationRequest,
    ) -> Result<PayoutDestination, Error> {
        let answer = unary!(self, mutate, EscrowServiceClient, set_payout_destination, request)?;
        given(answer.destination, "destination")
    }

    /// Reads where the caller is paid out to.
    pub async fn payout_destination(&self) -> Result<PayoutDestination, Error> {
        let request = GetPayoutDestinationRequest {};
        let answer = unary!(self, read, EscrowServiceClient, get_payout_destination, request)?;
        given(answer.destination, "destination")
    }
}

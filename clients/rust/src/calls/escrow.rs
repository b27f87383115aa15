//! Balance, deposits, escrows, and the faucet of the simulated network.

use futures_util::Stream;
use futures_util::future::BoxFuture;
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::faucet_service_client::FaucetServiceClient;
use poa_proto::escrow::v1::watch_deposit_response::Update;
use poa_proto::escrow::v1::{
    Balance, CreateDepositRequest, CreateOutsideInvoiceRequest, Deposit, Escrow, EstimateFeesRequest,
    EstimateFeesResponse, GetBalanceRequest, GetDepositRequest, GetEscrowRequest, ListLedgerEntriesRequest,
    ListLedgerEntriesResponse, PayInvoiceRequest, WatchDepositRequest, WatchDepositResponse, deposit::State,
};
use tonic::Streaming;

use super::{given, unary};
use crate::client::Session;
use crate::error::Error;
use crate::stream::{Patience, Source, Step, resume};

impl Session {
    /// Reads the caller's balance.
    pub async fn balance(&self) -> Result<Balance, Error> {
        given(unary!(self, read, EscrowServiceClient, get_balance, GetBalanceRequest {})?.balance, "balance")
    }

    /// Lists every movement of the caller's balance, newest first.
    pub async fn list_ledger_entries(
        &self,
        request: ListLedgerEntriesRequest,
    ) -> Result<ListLedgerEntriesResponse, Error> {
        unary!(self, read, EscrowServiceClient, list_ledger_entries, request)
    }

    /// Makes an invoice that credits the caller's balance when it is paid.
    pub async fn create_deposit(&self, request: CreateDepositRequest) -> Result<Deposit, Error> {
        given(unary!(self, mutate, EscrowServiceClient, create_deposit, request)?.deposit, "deposit")
    }

    /// Reads a deposit.
    pub async fn deposit(&self, deposit_id: &str) -> Result<Deposit, Error> {
        let request = GetDepositRequest { deposit_id: deposit_id.to_owned() };
        given(unary!(self, read, EscrowServiceClient, get_deposit, request)?.deposit, "deposit")
    }

    /// Follows a deposit until it is settled or expired. The stream opens itself again when it breaks.
    pub fn watch_deposit(
        &self,
        deposit_id: &str,
        patience: Patience,
    ) -> impl Stream<Item = Result<Deposit, Error>> + Send + use<> {
        let source = DepositSource { session: self.clone(), deposit_id: deposit_id.to_owned(), last: None };
        resume(source, self.client().env().clone(), patience)
    }

    /// Reads an escrow in which the caller is payer or payee.
    pub async fn escrow(&self, escrow_id: &str) -> Result<Escrow, Error> {
        let request = GetEscrowRequest { escrow_id: escrow_id.to_owned() };
        given(unary!(self, read, EscrowServiceClient, get_escrow, request)?.escrow, "escrow")
    }

    /// Says what a task of this price, in msat, would cost and pay.
    pub async fn estimate_fees(&self, price_msat: i64) -> Result<EstimateFeesResponse, Error> {
        unary!(self, read, EscrowServiceClient, estimate_fees, EstimateFeesRequest { price_msat })
    }

    /// Pays an invoice of this server from outside, on the simulated network; answers with the amount in msat.
    pub async fn faucet_pay(&self, invoice: &str) -> Result<i64, Error> {
        let request = PayInvoiceRequest { invoice: invoice.to_owned() };
        Ok(unary!(self, read, FaucetServiceClient, pay_invoice, request)?.amount_msat)
    }

    /// Makes an invoice of a wallet outside, on the simulated network: something to withdraw to.
    pub async fn faucet_invoice(&self, amount_msat: i64) -> Result<String, Error> {
        let request = CreateOutsideInvoiceRequest { amount_msat };
        Ok(unary!(self, read, FaucetServiceClient, create_outside_invoice, request)?.invoice)
    }
}

struct DepositSource {
    session: Session,
    deposit_id: String,
    last: Option<Deposit>,
}

impl Source for DepositSource {
    type Message = WatchDepositResponse;
    type Item = Deposit;

    fn open(&mut self) -> BoxFuture<'_, Result<Streaming<WatchDepositResponse>, Error>> {
        let request = WatchDepositRequest { deposit_id: self.deposit_id.clone() };
        Box::pin(self.session.client().open(
            self.session.credentials(),
            request,
            |channel, request| async move { EscrowServiceClient::new(channel).watch_deposit(request).await },
        ))
    }

    fn step(&mut self, message: WatchDepositResponse) -> Step<Deposit> {
        let deposit = match message.update {
            Some(Update::Snapshot(deposit) | Update::Event(deposit)) => deposit,
            Some(Update::Heartbeat(_)) | None => return Step::Skip,
        };
        // A stream that was opened again begins with what is known already.
        if self.last.as_ref() == Some(&deposit) {
            return Step::Skip;
        }
        self.last = Some(deposit.clone());
        match deposit.state() {
            State::Settled | State::Expired => Step::Last(deposit),
            State::Unspecified | State::Open => Step::Next(deposit),
        }
    }
}

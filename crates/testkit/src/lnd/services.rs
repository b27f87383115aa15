//! The methods of the contract, each with the codes and texts of a real node.

use std::sync::Arc;

use poa_payment::lnd::contract::invoicesrpc::invoices_server::Invoices;
use poa_payment::lnd::contract::invoicesrpc::lookup_invoice_msg::InvoiceRef;
use poa_payment::lnd::contract::invoicesrpc::{
    AddHoldInvoiceRequest, AddHoldInvoiceResp, CancelInvoiceMsg, CancelInvoiceResp, LookupInvoiceMsg,
    SettleInvoiceMsg, SettleInvoiceResp, SubscribeSingleInvoiceRequest,
};
use poa_payment::lnd::contract::lnrpc::invoice::InvoiceState;
use poa_payment::lnd::contract::lnrpc::lightning_server::Lightning;
use poa_payment::lnd::contract::lnrpc::payment::PaymentStatus;
use poa_payment::lnd::contract::lnrpc::state_server::State;
use poa_payment::lnd::contract::lnrpc::{
    AddInvoiceResponse, Amount, Chain, ChannelBalanceRequest, ChannelBalanceResponse, GetInfoRequest,
    GetInfoResponse, GetStateRequest, GetStateResponse, Invoice, InvoiceSubscription, ListInvoiceRequest,
    ListInvoiceResponse, ListPaymentsRequest, ListPaymentsResponse, LookupHtlcResolutionRequest,
    LookupHtlcResolutionResponse, Payment, PendingChannelsRequest, PendingChannelsResponse,
    WalletBalanceRequest, WalletBalanceResponse,
};
use poa_payment::lnd::contract::routerrpc::router_server::Router;
use poa_payment::lnd::contract::routerrpc::{SendPaymentRequest, TrackPaymentRequest};
use poa_payment::{PaymentHash, Preimage};
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status};

use super::state::go_error;
use super::{Shared, updates};

/// In the wallet and in closing channels, in satoshi.
const WALLET_SATS: i64 = 250_000;
const LIMBO_SATS: i64 = 1_000;

/// Every service of the node.
#[derive(Clone)]
pub(super) struct Services(pub(super) Arc<Shared>);

type Answer<T> = Result<Response<T>, Status>;

fn hash(bytes: &[u8]) -> Result<PaymentHash, Status> {
    let length = bytes.len();
    PaymentHash::try_from(bytes).map_err(|_| go_error(format!("invalid hash length of {length}, want 32")))
}

#[tonic::async_trait]
impl State for Services {
    async fn get_state(&self, _: Request<GetStateRequest>) -> Answer<GetStateResponse> {
        Ok(Response::new(GetStateResponse { state: self.0.startup().into() }))
    }
}

#[tonic::async_trait]
impl Lightning for Services {
    async fn get_info(&self, _: Request<GetInfoRequest>) -> Answer<GetInfoResponse> {
        let node = self.0.node();
        Ok(Response::new(GetInfoResponse {
            identity_pubkey: node.id().to_hex(),
            block_height: node.height,
            synced_to_chain: true,
            version: "0.21.1-beta stand-in".to_owned(),
            chains: vec![Chain { chain: "bitcoin".to_owned(), network: node.network.to_owned() }],
            store_final_htlc_resolutions: node.stores_resolutions,
        }))
    }

    async fn wallet_balance(&self, _: Request<WalletBalanceRequest>) -> Answer<WalletBalanceResponse> {
        Ok(Response::new(WalletBalanceResponse { total_balance: WALLET_SATS }))
    }

    async fn channel_balance(&self, _: Request<ChannelBalanceRequest>) -> Answer<ChannelBalanceResponse> {
        let node = self.0.node();
        let amount = |msat: u64| Some(Amount { sat: msat / 1_000, msat });
        let (incoming, outgoing) = node.unsettled_msat();
        Ok(Response::new(ChannelBalanceResponse {
            local_balance: amount(u64::try_from(node.local_msat).expect("never below zero")),
            unsettled_local_balance: amount(incoming),
            unsettled_remote_balance: amount(outgoing),
            pending_open_local_balance: amount(0),
        }))
    }

    async fn pending_channels(&self, _: Request<PendingChannelsRequest>) -> Answer<PendingChannelsResponse> {
        Ok(Response::new(PendingChannelsResponse { total_limbo_balance: LIMBO_SATS }))
    }

    async fn add_invoice(&self, request: Request<Invoice>) -> Answer<AddInvoiceResponse> {
        let mut node = self.0.node();
        let preimage = Preimage::new(node.env.random());
        let made = node.add(preimage.hash(), Some(preimage), request.get_ref())?;
        Ok(Response::new(AddInvoiceResponse {
            r_hash: made.r_hash,
            payment_request: made.payment_request,
            add_index: made.add_index,
        }))
    }

    async fn subscribe_invoices(&self, request: Request<InvoiceSubscription>) -> Answer<BoxStream<Invoice>> {
        updates::answer(updates::all_invoices(&self.0, request.into_inner())).await
    }

    async fn list_invoices(&self, request: Request<ListInvoiceRequest>) -> Answer<ListInvoiceResponse> {
        let ListInvoiceRequest { index_offset, num_max_invoices } = request.into_inner();
        let mut node = self.0.node();
        let hashes: Vec<_> = node.invoices.keys().copied().collect();
        let mut invoices: Vec<_> =
            hashes.into_iter().filter_map(|hash| node.invoice(hash).map(|row| row.invoice.clone())).collect();
        invoices.retain(|invoice| invoice.add_index > index_offset);
        invoices.sort_by_key(|invoice| invoice.add_index);
        invoices.truncate(page(num_max_invoices));
        let last_index_offset = invoices.last().map_or(index_offset, |invoice| invoice.add_index);
        Ok(Response::new(ListInvoiceResponse { invoices, last_index_offset }))
    }

    async fn list_payments(&self, request: Request<ListPaymentsRequest>) -> Answer<ListPaymentsResponse> {
        let request = request.into_inner();
        let node = self.0.node();
        let rows = node.payments.values().map(|row| &row.payment);
        let mut payments: Vec<_> = rows
            .filter(|payment| payment.payment_index > request.index_offset)
            .filter(|payment| request.include_incomplete || payment.status() == PaymentStatus::Succeeded)
            .cloned()
            .collect();
        payments.sort_by_key(|payment| payment.payment_index);
        payments.truncate(page(request.max_payments));
        let last_index_offset = payments.last().map_or(0, |payment| payment.payment_index);
        Ok(Response::new(ListPaymentsResponse { payments, last_index_offset }))
    }

    async fn lookup_htlc_resolution(
        &self,
        request: Request<LookupHtlcResolutionRequest>,
    ) -> Answer<LookupHtlcResolutionResponse> {
        let node = self.0.node();
        if !node.stores_resolutions {
            let text = "cannot lookup with flag --store-final-htlc-resolutions=false";
            return Err(Status::new(Code::Unavailable, text));
        }
        let settled = node.resolutions.get(&request.get_ref().htlc_index);
        let settled = *settled.ok_or_else(|| Status::new(Code::NotFound, "htlc unknown"))?;
        Ok(Response::new(LookupHtlcResolutionResponse { settled, offchain: true }))
    }
}

/// Items of a page; zero is a hundred.
fn page(asked: u64) -> usize {
    usize::try_from(if asked == 0 { 100 } else { asked }).unwrap_or(usize::MAX)
}

#[tonic::async_trait]
impl Invoices for Services {
    async fn subscribe_single_invoice(
        &self,
        request: Request<SubscribeSingleInvoiceRequest>,
    ) -> Answer<BoxStream<Invoice>> {
        updates::answer(updates::one_invoice(&self.0, hash(&request.get_ref().r_hash)?)).await
    }

    async fn cancel_invoice(&self, request: Request<CancelInvoiceMsg>) -> Answer<CancelInvoiceResp> {
        let hash = hash(&request.get_ref().payment_hash)?;
        let mut node = self.0.node();
        let absent = node.absent();
        match node.invoice(hash).ok_or_else(|| go_error(absent))?.invoice.state() {
            InvoiceState::Open | InvoiceState::Accepted => node.end_invoice(hash, InvoiceState::Canceled),
            InvoiceState::Canceled => {}
            InvoiceState::Settled => return Err(go_error("invoice already settled")),
        }
        Ok(Response::new(CancelInvoiceResp {}))
    }

    async fn add_hold_invoice(&self, request: Request<AddHoldInvoiceRequest>) -> Answer<AddHoldInvoiceResp> {
        let request = request.into_inner();
        let asked = Invoice {
            value_msat: request.value_msat,
            description_hash: request.description_hash,
            expiry: request.expiry,
            cltv_expiry: request.cltv_expiry,
            private: request.private,
            ..Invoice::default()
        };
        let made = self.0.node().add(hash(&request.hash)?, None, &asked)?;
        Ok(Response::new(AddHoldInvoiceResp {
            payment_request: made.payment_request,
            add_index: made.add_index,
        }))
    }

    async fn settle_invoice(&self, request: Request<SettleInvoiceMsg>) -> Answer<SettleInvoiceResp> {
        let bytes = &request.get_ref().preimage;
        let length = bytes.len();
        let preimage = Preimage::try_from(bytes.as_slice())
            .map_err(|_| go_error(format!("invalid preimage length of {length}, want 32")))?;
        let hash = preimage.hash();
        let mut node = self.0.node();
        let absent = node.absent();
        let row = node.invoice(hash).ok_or_else(|| go_error(absent))?;
        match row.invoice.state() {
            InvoiceState::Open => return Err(go_error("invoice still open")),
            InvoiceState::Canceled => return Err(go_error("invoice already canceled")),
            InvoiceState::Settled => {}
            InvoiceState::Accepted => {
                row.preimage = Some(preimage);
                node.end_invoice(hash, InvoiceState::Settled);
            }
        }
        Ok(Response::new(SettleInvoiceResp {}))
    }

    async fn lookup_invoice_v2(&self, request: Request<LookupInvoiceMsg>) -> Answer<Invoice> {
        let Some(InvoiceRef::PaymentHash(bytes)) = request.into_inner().invoice_ref else {
            return Err(Status::new(Code::InvalidArgument, "invoice ref must be set"));
        };
        let hash = hash(&bytes).map_err(|status| {
            Status::new(Code::InvalidArgument, format!("unable to parse pay hash: {}", status.message()))
        })?;
        let mut node = self.0.node();
        // A node that never had an invoice says so, with the code of a Go error.
        let absent = if node.invoices.is_empty() {
            go_error(node.absent())
        } else {
            Status::new(Code::NotFound, node.absent())
        };
        node.invoice(hash).map(|row| Response::new(row.invoice.clone())).ok_or(absent)
    }
}

#[tonic::async_trait]
impl Router for Services {
    async fn send_payment_v2(&self, request: Request<SendPaymentRequest>) -> Answer<BoxStream<Payment>> {
        let hash = self.0.node().send(request.get_ref())?;
        // The payment's first moment, whatever became of it since.
        let mut first =
            Payment { payment_hash: hash.to_hex(), payment_preimage: "0".repeat(64), ..Payment::default() };
        first.set_status(PaymentStatus::InFlight);
        let rest = updates::payment(&self.0, hash, None);
        let all = futures_util::StreamExt::chain(tokio_stream::once(Ok(first)), rest);
        updates::answer(Box::pin(all)).await
    }

    async fn track_payment_v2(&self, request: Request<TrackPaymentRequest>) -> Answer<BoxStream<Payment>> {
        let hash = hash(&request.get_ref().payment_hash)?;
        if !self.0.node().payments.contains_key(&hash) {
            return Err(Status::new(Code::NotFound, "payment isn't initiated"));
        }
        updates::answer(updates::payment(&self.0, hash, None)).await
    }
}

//! The node behind the trait that every provider has.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::connection::Refused;
use super::contract::invoicesrpc::lookup_invoice_msg::InvoiceRef;
use super::contract::invoicesrpc::{CancelInvoiceMsg, LookupInvoiceMsg};
use super::contract::lnrpc::{
    self, ChannelBalanceRequest, ListInvoiceRequest, ListPaymentsRequest, PendingChannelsRequest,
    WalletBalanceRequest,
};
use super::node::LndNode;
use super::{mapping, reading, tracking, watch};
use crate::{
    Balance, Capabilities, Cursor, Error, FeeModel, Hint, HoldInvoices, Info, Invoice, InvoiceState,
    ListedInvoice, ListedPayment, NewInvoice, Outcome, PaymentHash, Place, Provider, Unit,
};

/// The longest page of a list: what fits into an answer even if every invoice came in many parts.
const MAX_PAGE: u32 = 1_000;

// === impl LndNode ===

impl LndNode {
    async fn create(&self, new: NewInvoice) -> Result<Invoice, Error> {
        reading::check_request(&new)?;
        let request = lnrpc::Invoice {
            value_msat: new.amount.get(),
            description_hash: new.description_hash.to_vec(),
            expiry: reading::seconds(new.expiry)?,
            cltv_expiry: new.min_final_cltv.map_or(0, u64::from),
            private: self.inner.private_route_hints,
            ..lnrpc::Invoice::default()
        };
        let mut lightning = self.inner.invoices.lightning();
        let answer = self.inner.invoices.ask(lightning.add_invoice(request)).await.map_err(mapping::error)?;
        let hash = PaymentHash::try_from(answer.r_hash.as_slice())
            .map_err(|_| reading::nonsense("a hash that is not 32 bytes"))?;
        reading::made(hash, answer.payment_request, &new)
    }

    /// The invoice as the node has it, if it has it.
    pub(super) async fn fetch_invoice(&self, hash: PaymentHash) -> Result<Option<lnrpc::Invoice>, Error> {
        let request =
            LookupInvoiceMsg { invoice_ref: Some(InvoiceRef::PaymentHash(hash.as_bytes().to_vec())) };
        let mut invoices = self.inner.invoices.invoices();
        match self.inner.invoices.ask(invoices.lookup_invoice_v2(request)).await {
            Ok(invoice) => Ok(Some(invoice)),
            Err(Refused::Status(status)) if mapping::is_absent(&status) => Ok(None),
            Err(refused) => Err(mapping::error(refused)),
        }
    }

    async fn lookup(&self, hash: PaymentHash) -> Result<Option<InvoiceState>, Error> {
        let invoice = self.fetch_invoice(hash).await?;
        let state = invoice.map(|invoice| mapping::invoice_state(hash, &invoice)).transpose();
        state.map_err(mapping::no_answer)
    }

    /// Cancels an invoice in whatever state, as the node does.
    pub(super) async fn cancel_any(&self, hash: PaymentHash) -> Result<(), Error> {
        let request = CancelInvoiceMsg { payment_hash: hash.as_bytes().to_vec() };
        let mut invoices = self.inner.invoices.invoices();
        self.inner.invoices.ask(invoices.cancel_invoice(request)).await.map(|_| ()).map_err(mapping::error)
    }

    /// Cancels an open invoice. The node has one verb for open and held ones, so the state is looked at first: a hold invoice
    /// that is accepted between the look and the verb is given back, which its payer cannot tell from a cancellation before.
    async fn cancel_open(&self, hash: PaymentHash) -> Result<(), Error> {
        match self.lookup(hash).await?.ok_or(Error::NotFound)? {
            InvoiceState::Open | InvoiceState::Canceled => self.cancel_any(hash).await,
            state @ (InvoiceState::Accepted { .. } | InvoiceState::Settled { .. }) => {
                Err(Error::WrongState { state: state.as_str() })
            }
        }
    }

    async fn fetch_balance(&self) -> Result<Balance, Error> {
        let line = &self.inner.reading;
        let (mut channels, mut wallet, mut pending) = (line.lightning(), line.lightning(), line.lightning());
        let (channels, wallet, pending) = futures_util::try_join!(
            line.ask(channels.channel_balance(ChannelBalanceRequest {})),
            line.ask(wallet.wallet_balance(WalletBalanceRequest {})),
            line.ask(pending.pending_channels(PendingChannelsRequest {})),
        )
        .map_err(mapping::error)?;
        reading::balance(&channels, &wallet, &pending)
    }

    /// A page of the node's invoices.
    pub(super) async fn fetch_invoices(
        &self,
        after: Place,
        limit: u32,
    ) -> Result<lnrpc::ListInvoiceResponse, Error> {
        let request = ListInvoiceRequest {
            index_offset: after.get(),
            num_max_invoices: u64::from(limit.clamp(1, MAX_PAGE)),
        };
        let mut lightning = self.inner.reading.lightning();
        self.inner.reading.ask(lightning.list_invoices(request)).await.map_err(mapping::error)
    }

    async fn fetch_payments(&self, after: Place, limit: u32) -> Result<Vec<ListedPayment>, Error> {
        let request = ListPaymentsRequest {
            include_incomplete: true,
            index_offset: after.get(),
            max_payments: u64::from(limit.clamp(1, MAX_PAGE)),
            omit_hops: true,
        };
        let mut lightning = self.inner.reading.lightning();
        let page = self.inner.reading.ask(lightning.list_payments(request)).await.map_err(mapping::error)?;
        reading::payments(after, &page)
    }
}

impl Provider for LndNode {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Msat,
            fees: FeeModel::Limited,
            cltv_control: true,
            cancels_invoices: true,
            absence_is_final: true,
        }
    }

    fn info(&self) -> BoxFuture<'_, Result<Info, Error>> {
        Box::pin(self.fetch_info())
    }

    fn balance(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(self.fetch_balance())
    }

    fn create_invoice(&self, new: NewInvoice) -> BoxFuture<'_, Result<Invoice, Error>> {
        Box::pin(self.create(new))
    }

    fn lookup_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Option<InvoiceState>, Error>> {
        Box::pin(self.lookup(hash))
    }

    fn cancel_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.cancel_open(hash))
    }

    fn watch_invoices(&self, from: Cursor) -> BoxStream<'static, Hint> {
        watch::all(self.clone(), &from)
    }

    fn lookup_payment(&self, hash: PaymentHash) -> BoxFuture<'_, Outcome> {
        Box::pin(tracking::track(&self.inner.reading, hash))
    }

    fn list_invoices(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedInvoice>, Error>> {
        Box::pin(async move {
            let page = self.fetch_invoices(after, limit).await?;
            reading::invoices(after, &page)
        })
    }

    fn list_payments(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedPayment>, Error>> {
        Box::pin(self.fetch_payments(after, limit))
    }

    fn hold_invoices(&self) -> Option<&dyn HoldInvoices> {
        Some(self)
    }
}

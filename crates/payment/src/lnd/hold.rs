//! Hold invoices of the node.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use poa_common::Msat;

use super::connection::Refused;
use super::contract::invoicesrpc::{AddHoldInvoiceRequest, SettleInvoiceMsg};
use super::contract::lnrpc::{InvoiceHtlc, InvoiceHtlcState, LookupHtlcResolutionRequest};
use super::node::LndNode;
use super::{mapping, reading, watch};
use crate::{
    Error, Finality, Hint, HoldInvoices, Invoice, InvoiceState, NewHoldInvoice, PaymentHash, Preimage, decode,
};

/// Resolutions that are asked for at a time.
const LOOKUPS_AT_ONCE: usize = 8;

// === impl LndNode ===

impl LndNode {
    async fn add_hold(&self, new: NewHoldInvoice) -> Result<Invoice, Error> {
        reading::check_request(&new.invoice)?;
        if self.known_resolutions().is_none() {
            self.fetch_info().await?;
        }
        if self.known_resolutions() == Some(false) {
            return Err(Error::Unsupported(
                "have hold invoices: set store-final-htlc-resolutions in lnd.conf",
            ));
        }
        let request = AddHoldInvoiceRequest {
            hash: new.hash.as_bytes().to_vec(),
            value_msat: new.invoice.amount.get(),
            description_hash: new.invoice.description_hash.to_vec(),
            expiry: reading::seconds(new.invoice.expiry)?,
            cltv_expiry: new.invoice.min_final_cltv.map_or(0, u64::from),
            private: self.inner.private_route_hints,
        };
        let mut invoices = self.inner.invoices.invoices();
        let added = self.inner.invoices.ask(invoices.add_hold_invoice(request)).await;
        match added.map_err(mapping::error) {
            Ok(answer) => reading::made(new.hash, answer.payment_request, &new.invoice),
            Err(Error::WrongState { state: "existing" }) => self.existing(&new).await,
            Err(error) => Err(error),
        }
    }

    /// The invoice that the same request has made before; another one's is refused. The expiry may differ: that of the first
    /// request counts.
    async fn existing(&self, new: &NewHoldInvoice) -> Result<Invoice, Error> {
        let other = || Error::WrongState { state: "existing" };
        let found = self.fetch_invoice(new.hash).await?.ok_or_else(other)?;
        let decoded = decode(&found.payment_request).map_err(|_| other())?;
        if decoded.hash != new.hash || !reading::is_same(&decoded, &new.invoice) {
            return Err(other());
        }
        Ok(Invoice {
            hash: new.hash,
            bolt11: found.payment_request,
            amount: new.invoice.amount,
            expires_at: decoded.expires_at,
        })
    }

    async fn settle_hold(&self, preimage: Preimage) -> Result<(), Error> {
        let request = SettleInvoiceMsg { preimage: preimage.as_bytes().to_vec() };
        let mut invoices = self.inner.invoices.invoices();
        self.inner.invoices.ask(invoices.settle_invoice(request)).await.map(|_| ()).map_err(mapping::error)
    }

    async fn fetch_finality(&self, hash: PaymentHash) -> Result<Finality, Error> {
        let invoice = self.fetch_invoice(hash).await?.ok_or(Error::NotFound)?;
        match mapping::invoice_state(hash, &invoice).map_err(mapping::no_answer)? {
            InvoiceState::Open | InvoiceState::Accepted { .. } | InvoiceState::Canceled => {
                return Ok(Finality::Pending);
            }
            InvoiceState::Settled { .. } => {}
        }
        let taken: Vec<_> = mapping::htlcs(&invoice, InvoiceHtlcState::Settled).copied().collect();
        if taken.is_empty() {
            return Err(reading::nonsense("a settled invoice without a settled HTLC"));
        }
        let ends: Vec<(Option<bool>, u64)> = stream::iter(taken)
            .map(|htlc| async move { Ok::<_, Error>((self.was_taken(htlc).await?, htlc.amt_msat)) })
            .buffer_unordered(LOOKUPS_AT_ONCE)
            .try_collect()
            .await?;
        // Not before all have ended: what some have brought is to be known, where others are lost.
        if ends.iter().any(|(end, _)| end.is_none()) {
            return Ok(Finality::Pending);
        }
        if ends.iter().all(|(end, _)| *end == Some(true)) {
            return Ok(Finality::Final);
        }
        let kept = ends.iter().filter(|(end, _)| *end == Some(true)).map(|(_, msat)| msat).sum::<u64>();
        Ok(Finality::Lost { kept: Msat::new(i64::try_from(kept).unwrap_or(i64::MAX)) })
    }

    /// Whether an HTLC was resolved in our favour; none as long as it is not resolved.
    async fn was_taken(&self, htlc: InvoiceHtlc) -> Result<Option<bool>, Error> {
        let request = LookupHtlcResolutionRequest { chan_id: htlc.chan_id, htlc_index: htlc.htlc_index };
        let mut lightning = self.inner.reading.lightning();
        match self.inner.reading.ask(lightning.lookup_htlc_resolution(request)).await {
            Ok(answer) => Ok(Some(answer.settled)),
            Err(Refused::Status(status)) if mapping::is_unresolved(&status) => Ok(None),
            Err(refused) => Err(mapping::error(refused)),
        }
    }
}

impl HoldInvoices for LndNode {
    /// Not where the node says that it forgets how HTLCs end: what was settled could never be called final.
    fn takes_new(&self) -> bool {
        self.known_resolutions() != Some(false)
    }

    fn add(&self, new: NewHoldInvoice) -> BoxFuture<'_, Result<Invoice, Error>> {
        Box::pin(self.add_hold(new))
    }

    fn settle(&self, preimage: Preimage) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.settle_hold(preimage))
    }

    fn cancel(&self, hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.cancel_any(hash))
    }

    fn finality(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Finality, Error>> {
        Box::pin(self.fetch_finality(hash))
    }

    fn watch(&self, hash: PaymentHash) -> BoxStream<'static, Hint> {
        watch::one(self.clone(), hash)
    }
}

//! The receiving and observing side.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use poa_common::Msat;
use tokio::time::Instant;

use super::answers::{Incoming, Made, Misunderstood, Outgoing, read};
use super::listing::End;
use super::questions::success;
use super::{Inner, PhoenixdNode, Trouble, hints, states, texts};
use crate::{
    Balance, Capabilities, Cursor, Error, Hint, HoldInvoices, Info, Invoice, InvoiceState, ListedInvoice,
    ListedPayment, NewInvoice, Outcome, PaymentHash, Place, Provider, Unit, decode,
};

/// The longest that an invoice can be paid.
const MAX_EXPIRY: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Between two looks whether the node is there.
const READY_POLL: Duration = Duration::from_millis(500);

// === impl PhoenixdNode ===

impl PhoenixdNode {
    /// Waits until the node answers, and says who it is. After `patience` the reason why it does not; at once where waiting
    /// cannot help.
    pub async fn ready(&self, patience: Duration) -> Result<Info, Trouble> {
        let end = Instant::now() + patience;
        loop {
            let found = self.inner.node().await.and_then(|answer| states::info(&answer));
            let trouble = match found.map_err(Trouble::from) {
                Ok(info) => return Ok(info),
                Err(trouble) => trouble,
            };
            if !trouble.passes() || Instant::now() + READY_POLL > end {
                return Err(trouble);
            }
            tracing::debug!(reason = %trouble, "waiting for phoenixd");
            tokio::time::sleep(READY_POLL).await;
        }
    }
}

impl Provider for PhoenixdNode {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Sat,
            fees: states::FEES,
            cltv_control: false,
            cancels_invoices: false,
            absence_is_final: false,
        }
    }

    fn info(&self) -> BoxFuture<'_, Result<Info, Error>> {
        Box::pin(async move { Ok(states::info(&self.inner.node().await?)?) })
    }

    fn balance(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(async move { Ok(self.inner.balance().await?) })
    }

    fn create_invoice(&self, new: NewInvoice) -> BoxFuture<'_, Result<Invoice, Error>> {
        Box::pin(async move { self.inner.create(&new).await })
    }

    fn lookup_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Option<InvoiceState>, Error>> {
        Box::pin(async move {
            let found = self.inner.incoming(hash).await?;
            Ok(found.map(|row| self.inner.invoice(&row)).transpose()?)
        })
    }

    fn cancel_invoice(&self, _hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Err(Error::Unsupported("cancel an invoice")) })
    }

    fn watch_invoices(&self, from: Cursor) -> BoxStream<'static, Hint> {
        hints::all(&self.inner, &from)
    }

    fn lookup_payment(&self, hash: PaymentHash) -> BoxFuture<'_, Outcome> {
        Box::pin(self.inner.payment(hash, None))
    }

    fn list_invoices(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedInvoice>, Error>> {
        Box::pin(async move {
            let rows = self.inner.list::<Incoming>(after, limit, End::Complete).await?;
            let listed = rows.into_iter().map(|(place, row)| {
                Ok(ListedInvoice { place, hash: row.payment_hash, state: self.inner.invoice(&row)? })
            });
            Ok(listed.collect::<Result<_, Misunderstood>>()?)
        })
    }

    fn list_payments(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedPayment>, Error>> {
        Box::pin(async move { Ok(self.inner.payments(after, limit).await?) })
    }

    fn hold_invoices(&self) -> Option<&dyn HoldInvoices> {
        None
    }
}

// === impl Inner ===

impl Inner {
    /// A balance counts only if no channel was disconnected before and after it was asked for: phoenixd leaves such a channel
    /// out, and a node without its sats would look like one that has lost them.
    async fn balance(&self) -> Result<Balance, Misunderstood> {
        let disconnected = Misunderstood::Contradiction("a balance without a channel that is disconnected");
        if !states::is_whole(&self.node().await?) {
            return Err(disconnected);
        }
        let (spendable, fee_credit) = states::funds(&self.funds().await?)?;
        let outgoing = self.set_aside().await?;
        if !states::is_whole(&self.node().await?) {
            return Err(disconnected);
        }
        // It holds nothing for payers, and says nothing of its wallet.
        Ok(Balance { spendable, incoming: Msat::ZERO, outgoing, fee_credit, on_chain: Msat::ZERO })
    }

    async fn create(&self, new: &NewInvoice) -> Result<Invoice, Error> {
        if !Unit::Sat.fits(new.amount) {
            return Err(Error::Invalid(
                "an amount that is not positive, not whole sats, or beyond all bitcoin",
            ));
        }
        if new.expiry < Duration::from_secs(1) || new.expiry > MAX_EXPIRY || new.expiry.subsec_nanos() != 0 {
            return Err(Error::Invalid("an expiry that is not whole seconds, from one to a year"));
        }
        if new.min_final_cltv.is_some() {
            return Err(Error::Unsupported("choose the final CLTV delta"));
        }
        // What becomes fee credit is received and never spendable: a liability without backing.
        let (_, fee_credit) = states::funds(&self.funds().await?)?;
        if fee_credit > Msat::ZERO {
            return Err(Error::Full(
                "fee credit, which is none: run phoenixd with --max-fee-credit off, and let it use up what it has",
            ));
        }
        let form = format!(
            "amountSat={}&descriptionHash={}&expirySeconds={}",
            new.amount.whole_sat(),
            hex::encode(new.description_hash),
            new.expiry.as_secs()
        );
        let reply = self.http.post("createinvoice", form, self.http.timeout()).await;
        let made: Made = read(&success(reply.map_err(Misunderstood::from)?)?)?;
        Ok(honest(made, new)?)
    }

    /// Where an invoice stands now.
    fn invoice(&self, row: &Incoming) -> Result<InvoiceState, Misunderstood> {
        states::invoice(row, self.env.now(), self.expiry_margin)
    }

    /// The Lightning payments after a place. What moved sats on the chain has no hash and is a cost of the node's.
    async fn payments(&self, after: Place, limit: u32) -> Result<Vec<ListedPayment>, Misunderstood> {
        let mut after = after;
        loop {
            let rows = self.list::<Outgoing>(after, limit, End::Complete).await?;
            let Some((last, _)) = rows.last() else { return Ok(Vec::new()) };
            after = *last;
            let mut listed = Vec::new();
            for (place, row) in rows.into_iter().filter(|(_, row)| texts::is_lightning(&row.sub_type)) {
                let hash = states::payment_hash(&row)?;
                let outcome = states::payment(&row, None)?;
                listed.push(ListedPayment::new(place, hash, states::amount(&row)?, outcome));
            }
            // None of a kind is not the end.
            if !listed.is_empty() {
                return Ok(listed);
            }
        }
    }
}

/// The invoice, if it asks for what was ordered: nothing else is handed to a payer.
fn honest(made: Made, new: &NewInvoice) -> Result<Invoice, Misunderstood> {
    let decoded =
        decode(&made.serialized).map_err(|_| Misunderstood::Contradiction("an invoice that is none"))?;
    let as_ordered = decoded.hash == made.payment_hash
        && decoded.amount == Some(new.amount)
        && decoded.description_hash == Some(new.description_hash);
    if !as_ordered {
        return Err(Misunderstood::Contradiction("an invoice that was not ordered"));
    }
    Ok(Invoice {
        hash: decoded.hash,
        bolt11: made.serialized,
        amount: new.amount,
        expires_at: decoded.expires_at,
    })
}

//! The streams of hints. They end when the node is lost.
//!
//! A place in the stream of all invoices is the number of a settlement, from 1 on: LND tells of those after a number above
//! zero, and then goes on. Zero means "from now on" to it, so the very first settlement is looked for in the list instead.

use std::time::Duration;

use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::Streaming;

use super::contract::invoicesrpc::SubscribeSingleInvoiceRequest;
use super::contract::lnrpc::invoice::InvoiceState;
use super::contract::lnrpc::{Invoice, InvoiceSubscription};
use super::node::LndNode;
use crate::{Cursor, Error, Hint, PaymentHash, Place};

/// The number of the first settlement.
const FIRST: u64 = 1;
/// Between two looks for the first settlement: at first, and at most.
const FIRST_POLL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Invoices in a look for it.
const PAGE: u32 = 500;

/// Where a reader of all invoices is.
enum Reader {
    /// Before the first settlement.
    Start(LndNode),
    /// After a settlement, without a stream.
    After(LndNode, u64),
    /// On a stream.
    On(Box<Streaming<Invoice>>),
}

/// Hints of settled invoices after a cursor. A cursor that is not ours starts at the beginning.
pub(super) fn all(node: LndNode, from: &Cursor) -> BoxStream<'static, Hint> {
    let reader = match from.as_str().parse() {
        Ok(seen) if seen >= FIRST => Reader::After(node, seen),
        Ok(_) | Err(_) => Reader::Start(node),
    };
    stream::unfold(reader, next).boxed()
}

/// Hints of one invoice: its state at once if it is known, then each change, the last one at its end. They carry no cursor.
pub(super) fn one(node: LndNode, hash: PaymentHash) -> BoxStream<'static, Hint> {
    let request = SubscribeSingleInvoiceRequest { r_hash: hash.as_bytes().to_vec() };
    let opened = async move {
        let mut invoices = node.inner.invoices.invoices();
        // Nothing comes back before the first message, for an unknown hash for a long time: no limit on the wait.
        invoices.subscribe_single_invoice(request).await.map(tonic::Response::into_inner)
    };
    stream::once(opened)
        .filter_map(|opened| ready(opened.ok()))
        .flatten()
        .take_while(|update| ready(update.is_ok()))
        .map(move |_| Hint { hash, cursor: Cursor::start() })
        .boxed()
}

async fn next(mut reader: Reader) -> Option<(Hint, Reader)> {
    loop {
        reader = match reader {
            Reader::Start(node) => match first_settled(&node).await.ok()? {
                Some(hash) => return Some((hint(hash, FIRST), Reader::After(node, FIRST))),
                None => Reader::After(node, FIRST),
            },
            Reader::After(node, seen) => {
                let mut lightning = node.inner.invoices.lightning();
                let request = InvoiceSubscription { add_index: 0, settle_index: seen };
                Reader::On(Box::new(lightning.subscribe_invoices(request).await.ok()?.into_inner()))
            }
            Reader::On(mut updates) => {
                let invoice = updates.message().await.ok()??;
                if let Some(hash) = settled(&invoice) {
                    return Some((hint(hash, invoice.settle_index), Reader::On(updates)));
                }
                Reader::On(updates)
            }
        };
    }
}

/// The hash of an invoice, if it was settled.
fn settled(invoice: &Invoice) -> Option<PaymentHash> {
    let is_settled = InvoiceState::try_from(invoice.state) == Ok(InvoiceState::Settled);
    PaymentHash::try_from(invoice.r_hash.as_slice())
        .ok()
        .filter(|_| is_settled && invoice.settle_index >= FIRST)
}

fn hint(hash: PaymentHash, settlement: u64) -> Hint {
    Hint { hash, cursor: Cursor::from(settlement.to_string()) }
}

/// Looks for the invoice that was settled first, until there is one. A node is new for a short time only. `None` where others
/// were settled and the first one is not in the list: it was forgotten, or of a kind that we do not make.
async fn first_settled(node: &LndNode) -> Result<Option<PaymentHash>, Error> {
    let (mut pause, longest) = FIRST_POLL;
    loop {
        let mut after = Place::START;
        let mut later = false;
        loop {
            let page = node.fetch_invoices(after, PAGE).await?;
            let first = page.invoices.iter().find(|invoice| invoice.settle_index == FIRST);
            if let Some(hash) = first.and_then(settled) {
                return Ok(Some(hash));
            }
            later |= page.invoices.iter().any(|invoice| invoice.settle_index >= FIRST);
            match page.invoices.last().map(|invoice| Place::new(invoice.add_index)) {
                Some(last) if last > after => after = last,
                Some(_) | None => break,
            }
        }
        if later {
            return Ok(None);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

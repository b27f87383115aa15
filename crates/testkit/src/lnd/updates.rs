//! The streams. As from a real node nothing comes before the first update: not even the headers of the answer.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use poa_payment::PaymentHash;
use poa_payment::lnd::contract::lnrpc::invoice::InvoiceState;
use poa_payment::lnd::contract::lnrpc::payment::PaymentStatus;
use poa_payment::lnd::contract::lnrpc::{Invoice, InvoiceSubscription, Payment};
use tokio::sync::watch;
use tonic::{Response, Status};

use super::Shared;
use super::state::Node;

type Updates<T> = BoxStream<'static, Result<T, Status>>;

/// Answers once there is a first update.
pub(super) async fn answer<T: Send + 'static>(
    mut updates: Updates<T>,
) -> Result<Response<Updates<T>>, Status> {
    match updates.next().await {
        Some(Err(status)) => Err(status),
        Some(first) => Ok(Response::new(stream::once(async { first }).chain(updates).boxed())),
        None => Ok(Response::new(stream::empty().boxed())),
    }
}

/// A reader that looks at the node after each change.
struct Reader<T, S> {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    ready: VecDeque<T>,
    state: S,
    ended: bool,
}

/// Updates as `look` finds them; it returns whether the stream ends after what it found.
fn follow<T, S, F>(shared: &Arc<Shared>, state: S, look: F) -> Updates<T>
where
    T: Clone + Send + 'static,
    S: Send + 'static,
    F: Fn(&mut Node, &mut S, &mut VecDeque<T>) -> bool + Send + Sync + Copy + 'static,
{
    let mut changes = shared.node().listen();
    // The first look is at once.
    changes.mark_changed();
    let reader = Reader { shared: Arc::clone(shared), changes, ready: VecDeque::new(), state, ended: false };
    stream::unfold(reader, move |mut reader| async move {
        loop {
            if let Some(update) = reader.ready.pop_front() {
                return Some((Ok(update), reader));
            }
            if reader.ended {
                return None;
            }
            reader.changes.changed().await.ok()?;
            let Reader { shared, ready, state, ended, .. } = &mut reader;
            let mut node = shared.node();
            *ended = look(&mut node, state, ready);
            if node.repeats_updates {
                *ready = ready.drain(..).flat_map(|update| [update.clone(), update]).collect();
            }
        }
    })
    .boxed()
}

/// One invoice: its state if it is known, then each change. An unknown hash is waited for.
pub(super) fn one_invoice(shared: &Arc<Shared>, hash: PaymentHash) -> Updates<Invoice> {
    follow(shared, (hash, None), |node, (hash, last), ready| {
        let Some(row) = node.invoice(*hash) else { return false };
        if last.as_ref() != Some(&row.invoice) {
            *last = Some(row.invoice.clone());
            ready.push_back(row.invoice.clone());
        }
        matches!(row.invoice.state(), InvoiceState::Settled | InvoiceState::Canceled)
    })
}

/// Invoices as they are added and settled. Accepted and cancelled ones are never told.
pub(super) fn all_invoices(shared: &Arc<Shared>, request: InvoiceSubscription) -> Updates<Invoice> {
    let (added, settled) = {
        let node = shared.node();
        let after = |given: u64, now: u64| if given == 0 { now } else { given };
        (after(request.add_index, node.invoice_count), after(request.settle_index, node.settle_count))
    };
    follow(shared, (added, settled), |node, (added, settled), ready| {
        let rows = || node.invoices.values().map(|row| &row.invoice);
        let mut found: Vec<_> = rows()
            .filter(|invoice| invoice.add_index > *added && invoice.state() == InvoiceState::Open)
            .cloned()
            .collect();
        found.sort_by_key(|invoice| invoice.add_index);
        *added = rows().map(|invoice| invoice.add_index).max().unwrap_or(0).max(*added);
        let mut ended: Vec<_> = rows().filter(|invoice| invoice.settle_index > *settled).cloned().collect();
        ended.sort_by_key(|invoice| invoice.settle_index);
        *settled = ended.last().map_or(*settled, |invoice| invoice.settle_index);
        ready.extend(found.into_iter().chain(ended));
        false
    })
}

/// One payment, up to its end.
pub(super) fn payment(shared: &Arc<Shared>, hash: PaymentHash, last: Option<Payment>) -> Updates<Payment> {
    follow(shared, (hash, last), |node, (hash, last), ready| {
        let Some(row) = node.payments.get(hash) else { return true };
        if last.as_ref() != Some(&row.payment) {
            *last = Some(row.payment.clone());
            ready.push_back(row.payment.clone());
        }
        matches!(row.payment.status(), PaymentStatus::Succeeded | PaymentStatus::Failed)
    })
}

//! The node's lists, page by page: what is new, and what had not ended when it was read.

use std::collections::HashMap;
use std::time::Duration;

use poa_common::Msat;
use poa_payment::{Doubt, InvoiceState, ListedInvoice, ListedPayment, Outcome, PaymentHash, Place};
use tokio::time::Instant;

use super::round::{Trouble, answer, write};
use crate::metrics;
use crate::service::Service;
use crate::store::reconciliation::{self as store, List, Page, State, Waiting};
use crate::worker::LOOKUP_PATIENCE;

/// Rows that the node is asked for at a time.
const PAGE: u32 = 500;
/// Rows that had not ended, read from the database at a time.
const WAITING: i64 = 1_000;

/// How far a list was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    /// How many rows were looked at.
    pub(super) rows: u64,
    pub(super) to_the_end: bool,
}

/// A row of either list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    row: Waiting,
    stands: Stands,
}

/// Where an invoice or a payment stands.
#[derive(Clone, Copy, Debug)]
enum Stands {
    /// Received, or sent with its fee, for good.
    Done(Msat),
    /// It may still be.
    Waits,
    /// It never will be.
    Over,
}

/// Reads what is new in a list.
pub(super) async fn read_on(
    service: &Service,
    state: State,
    list: List,
    until: Instant,
) -> Result<Read, Trouble> {
    let mark = if list == List::Invoices { state.invoices } else { state.payments };
    let (mut read, mut after) = (Read::default(), mark.place);
    loop {
        let rows = page(service, list, after).await?;
        let Some(last) = rows.last().map(|row| row.row.place) else {
            read.to_the_end = true;
            return Ok(read);
        };
        read.rows = read.rows.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        write(service, state, sorted(list, Some((after, last)), rows)).await?;
        after = last;
        if Instant::now() >= until {
            return Ok(read);
        }
    }
}

/// Looks again at what had not ended, a page of the node's list at a time.
pub(super) async fn look_again(
    service: &Service,
    state: State,
    list: List,
    until: Instant,
) -> Result<Read, Trouble> {
    let (mut read, mut after) = (Read::default(), Place::START);
    loop {
        let waiting = store::waiting(&service.db, list, after, WAITING).await?;
        let Some(last) = waiting.last() else {
            read.to_the_end = true;
            return Ok(read);
        };
        after = last.place;
        let mut rest = waiting.as_slice();
        while let Some(first) = rest.first() {
            if Instant::now() >= until {
                return Ok(read);
            }
            let before = Place::new(first.place.get().saturating_sub(1));
            let rows = page(service, list, before).await?;
            // Up to there the page says of every row whether it is there.
            let reach = rows.last().map_or(first.place, |row| row.row.place.max(first.place));
            let (covered, later) = rest.split_at(rest.partition_point(|row| row.place <= reach));
            let shown: HashMap<Place, Listed> = rows.into_iter().map(|row| (row.row.place, row)).collect();
            let mut found = Vec::with_capacity(covered.len());
            for row in covered {
                match shown.get(&row.place).filter(|shown| shown.row.hash == row.hash) {
                    Some(listed) => found.push(*listed),
                    None => found.push(look_up(service, list, *row).await),
                }
            }
            read.rows = read.rows.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX));
            let page = Page { waiting: Vec::new(), ..sorted(list, None, found) };
            if !page.done.is_empty() || !page.over.is_empty() {
                write(service, state, page).await?;
            }
            rest = later;
        }
    }
}

/// A row that the list no longer shows: cancelled invoices are forgotten in time. The node is asked for it by its hash.
async fn look_up(service: &Service, list: List, row: Waiting) -> Listed {
    let stands = match list {
        List::Invoices => {
            let said = tokio::time::timeout(LOOKUP_PATIENCE, service.provider.lookup_invoice(row.hash)).await;
            match answer("lookup_invoice", said) {
                Ok(Some(state)) => of_invoice(&state),
                Ok(None) => Stands::Over,
                Err(_) => Stands::Waits,
            }
        }
        List::Payments => {
            let said = tokio::time::timeout(LOOKUP_PATIENCE, service.provider.lookup_payment(row.hash)).await;
            match said {
                // Without its row in the list there is no amount: it waits for the list.
                Ok(Outcome::Failed(_) | Outcome::Unknown(Doubt::NotFound)) => Stands::Over,
                Ok(
                    Outcome::Settled { .. }
                    | Outcome::InFlight
                    | Outcome::NotSent(_)
                    | Outcome::Unknown(Doubt::NoAnswer),
                )
                | Err(_) => Stands::Waits,
            }
        }
    };
    Listed { row, stands }
}

/// A page of a list, in the order of its places.
async fn page(service: &Service, list: List, after: Place) -> Result<Vec<Listed>, Trouble> {
    let limit = Duration::from_millis(service.config.reconciliation.call_timeout_ms);
    let rows: Vec<Listed> = match list {
        List::Invoices => {
            let listed = tokio::time::timeout(limit, service.provider.list_invoices(after, PAGE)).await;
            answer("list_invoices", listed)?.iter().map(invoice).collect()
        }
        List::Payments => {
            let listed = tokio::time::timeout(limit, service.provider.list_payments(after, PAGE)).await;
            answer("list_payments", listed)?.iter().map(payment).collect()
        }
    };
    let ascending =
        rows.iter().map(|row| row.row.place).try_fold(after, |last, place| (place > last).then_some(place));
    if ascending.is_none() {
        metrics::node_failed(list.as_str());
        return Err(Trouble::Node("a list in its order"));
    }
    Ok(rows)
}

fn invoice(listed: &ListedInvoice) -> Listed {
    at(listed.place, listed.hash, of_invoice(&listed.state))
}

fn of_invoice(state: &InvoiceState) -> Stands {
    match state {
        // What it cost to receive it may be all of it: then nothing has come in.
        InvoiceState::Settled { paid, .. } if *paid <= Msat::ZERO => Stands::Over,
        InvoiceState::Settled { paid, .. } => Stands::Done(*paid),
        InvoiceState::Open | InvoiceState::Accepted { .. } => Stands::Waits,
        InvoiceState::Canceled => Stands::Over,
    }
}

fn payment(listed: &ListedPayment) -> Listed {
    let stands = match (listed.sent, &listed.outcome) {
        (Some(sent), _) => Stands::Done(sent),
        (None, Outcome::InFlight | Outcome::Unknown(_) | Outcome::Settled { .. }) => Stands::Waits,
        (None, Outcome::Failed(_) | Outcome::NotSent(_)) => Stands::Over,
    };
    at(listed.place, listed.hash, stands)
}

fn at(place: Place, hash: PaymentHash, stands: Stands) -> Listed {
    Listed { row: Waiting { place, hash }, stands }
}

/// A page as it is written.
fn sorted(list: List, reads: Option<(Place, Place)>, rows: Vec<Listed>) -> Page {
    let mut page = Page { list, reads, done: Vec::new(), waiting: Vec::new(), over: Vec::new() };
    for Listed { row, stands } in rows {
        match stands {
            Stands::Done(msat) => page.done.push((row, msat)),
            Stands::Waits => page.waiting.push(row),
            Stands::Over => page.over.push(row.place),
        }
    }
    page
}

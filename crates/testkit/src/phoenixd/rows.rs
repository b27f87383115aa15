//! `GET /payments/…`: the lists and the lookups.

use axum::response::Response;

use super::api::{Parameters, Refused};
use super::state::{Incoming, Invoice, Status};
use super::{Shared, answers};

/// The bounds of a list, as SQL has them: both ends of the time included.
struct Bounds {
    from: i64,
    to: i64,
    limit: usize,
    offset: usize,
    all: bool,
}

/// The received ones by the time of receipt; all of them by that of their making. The newest first.
pub(super) fn incoming(shared: &Shared, query: &Parameters) -> Result<Response, Refused> {
    let (now, bounds) = (shared.now(), bounds(shared, query)?);
    let external_id = query.text("externalId");
    let state = shared.state();
    let of = |row: &Incoming| match row {
        Incoming::Lightning(invoice) => invoice.external_id.clone(),
        Incoming::OnChain { .. } => None,
    };
    let mut rows: Vec<_> = state
        .incoming
        .iter()
        .filter(|row| external_id.is_none() || of(row).as_deref() == external_id)
        .filter_map(|row| {
            let at = if bounds.all { Some(row.created_at()) } else { row.received_at() };
            at.filter(|at| bounds.holds(*at)).map(|at| (at, row))
        })
        .collect();
    // Stable, so that equal times stay in the order of the table.
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    // What is not Lightning is dropped after the page was cut: a page may be short, or empty, and not the last.
    let page = rows.into_iter().skip(bounds.offset).take(bounds.limit);
    let invoices = page.filter_map(|(_, row)| match row {
        Incoming::Lightning(invoice) => Some(&**invoice),
        Incoming::OnChain { .. } => None,
    });
    Ok(answers::invoices(invoices, now))
}

/// In no order that is promised; here in that of the table.
pub(super) fn outgoing(shared: &Shared, query: &Parameters) -> Result<Response, Refused> {
    let bounds = bounds(shared, query)?;
    let state = shared.state();
    let rows = state.outgoing.iter().filter(|row| {
        let at = if bounds.all { Some(row.created_at) } else { row.succeeded_at() };
        at.is_some_and(|at| bounds.holds(at))
    });
    Ok(answers::payments(rows.skip(bounds.offset).take(bounds.limit)))
}

pub(super) fn invoice(shared: &Shared, hash: &str) -> Result<Response, Refused> {
    let hash = super::api::hex32("paymentHash", hash)?;
    let now = shared.now();
    let state = shared.state();
    let found: Option<&Invoice> = state.invoice(hash);
    Ok(found.map_or_else(answers::not_found, |invoice| answers::invoice(invoice, now)))
}

/// The best attempt: succeeded, under way, failed.
pub(super) fn by_hash(shared: &Shared, hash: &str) -> Result<Response, Refused> {
    let hash = super::api::hex32("paymentHash", hash)?;
    let state = shared.state();
    let best = state.attempts(hash).max_by_key(|(_, status)| match status {
        Status::Succeeded { .. } => 3,
        Status::Pending => 2,
        Status::Failed { .. } => 1,
    });
    Ok(best.map_or_else(answers::not_found, |(row, _)| answers::payment(row)))
}

pub(super) fn by_id(shared: &Shared, id: &str) -> Result<Response, Refused> {
    let id = id.parse::<uuid::Uuid>().map_err(|_| super::api::wrong("uuid", "uuid"))?.to_string();
    let state = shared.state();
    let found = state.outgoing.iter().find(|row| row.id == id);
    Ok(found.map_or_else(answers::not_found, answers::payment))
}

fn bounds(shared: &Shared, query: &Parameters) -> Result<Bounds, Refused> {
    let now = i64::try_from(shared.now()).unwrap_or(i64::MAX);
    let count = |value: Option<i64>, default: usize| {
        // SQLite takes a negative limit for none.
        value.map_or(default, |value| usize::try_from(value).unwrap_or(usize::MAX))
    };
    Ok(Bounds {
        from: query.integer("from")?.unwrap_or(0),
        to: query.integer("to")?.unwrap_or(now),
        limit: count(query.integer("limit")?, 20),
        offset: count(query.integer("offset")?, 0),
        all: query.text("all").is_some_and(|text| text.eq_ignore_ascii_case("true")),
    })
}

// === impl Bounds ===

impl Bounds {
    fn holds(&self, at: u64) -> bool {
        i64::try_from(at).is_ok_and(|at| (self.from..=self.to).contains(&at))
    }
}

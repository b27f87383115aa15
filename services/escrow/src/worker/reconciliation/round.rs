//! One round: the journal, the node's lists, what had not ended, then what differs.
//!
//! The journal is read first: what it has booked the node had before, so that its lists must show it. What they show beyond
//! is about to be booked, for a while.

use std::time::Duration;

use poa_common::Msat;
use poa_payment::{Balance, Error as NodeError, InvoiceState, Place};
use tokio::time::Instant;

use super::lists::{look_again, read_on};
use crate::domain::reconciliation::{Circumstances, Drift, Kind, Report, assets, judge};
use crate::metrics;
use crate::service::Service;
use crate::store::reconciliation::{self as store, Begun, Close, Closed, List, Owed, Page, State, Waiting};
use crate::worker::LOOKUP_PATIENCE;

/// For how long a round reads the node's lists before it stops at a page, so that it is judged within a minute.
const READING: Duration = Duration::from_secs(20);
/// Before a node that seems to hold too little is asked a second time: what moves at the moment has arrived by then.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// Deposits that were paid after their end, and are asked for one by one in a round.
const MOST_LATE: i64 = 100;
/// Since when such a deposit may be asked for: later ones are found by reading all again.
const LATE_SINCE: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Why a round came to nothing. The next one goes on from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// The node does not answer, or not what can be understood.
    #[error("the node gave no answer to {0}")]
    Node(&'static str),
    /// The database does not.
    #[error("the database gave no answer")]
    Database,
    /// Another replica makes a round.
    #[error("another replica is at it")]
    Overtaken,
    /// It did not end.
    #[error("the round did not end in time")]
    TooLong,
}

/// Makes a round.
pub(super) async fn round(service: &Service, full: bool) -> Result<Report, Trouble> {
    let info = answer("info", tokio::time::timeout(LOOKUP_PATIENCE, service.provider.info()).await)?;
    let mut report = Report::new(info.clone(), service.env.now());
    let state = match store::begin(&service.db, info.node, full).await? {
        Begun::Ready(state) => state,
        Begun::OtherNode(expected) => {
            report.add(Drift {
                kind: Kind::NodeChanged,
                hash: None,
                node: Msat::ZERO,
                ledger: Msat::ZERO,
                subject: format!("{} in the place of {}", info.node.to_hex(), expected.to_hex()),
            });
            return Ok(report);
        }
    };
    let until = Instant::now() + READING;
    let booked_before = store::read_journal(&service.db, state).await?.ok_or(Trouble::Overtaken)?;
    report.caught_up = true;
    for list in List::ALL {
        for read in
            [look_again(service, state, list, until).await?, read_on(service, state, list, until).await?]
        {
            report.compared = report.compared.saturating_add(read.rows);
            report.caught_up &= read.to_the_end;
        }
    }
    // A row that the lists have not come to yet would be counted a second time there.
    let late = if report.caught_up { look_for_the_late(service, state).await } else { Ok(()) };
    report.caught_up &= late.is_ok();
    let close = Close { state, caught_up: report.caught_up, booked_before, now: service.env.now() };
    let closed = store::close(&service.db, close).await?.ok_or(Trouble::Overtaken)?;
    differ(service, &closed, &mut report);
    report.full = closed.full;
    let held = hold_enough(service, closed.owed, &mut report).await;
    // What was found is told, whatever could not be looked at beside it.
    match late.and(held) {
        Err(trouble) if report.drift_count == 0 => Err(trouble),
        Err(trouble) => {
            tracing::warn!(error = %trouble, "a difference was found, and not everything could be looked at");
            Ok(report)
        }
        Ok(()) => Ok(report),
    }
}

/// What the node says within its time.
pub(super) fn answer<T, E>(call: &'static str, said: Result<Result<T, NodeError>, E>) -> Result<T, Trouble> {
    said.ok().and_then(Result::ok).ok_or_else(|| {
        metrics::node_failed(call);
        Trouble::Node(call)
    })
}

/// Asks for deposits that were credited after the node had listed them as over.
async fn look_for_the_late(service: &Service, state: State) -> Result<(), Trouble> {
    let since = service.env.now() - LATE_SINCE;
    for hash in store::late_deposits(&service.db, since, MOST_LATE).await? {
        let said = tokio::time::timeout(LOOKUP_PATIENCE, service.provider.lookup_invoice(hash)).await;
        if let Some(InvoiceState::Settled { paid, .. }) = answer("lookup_invoice", said)? {
            let row = Waiting { place: Place::START, hash };
            let done = vec![(row, paid)];
            let page =
                Page { list: List::Invoices, reads: None, done, waiting: Vec::new(), over: Vec::new() };
            write(service, state, page).await?;
        }
    }
    Ok(())
}

/// Writes a page.
pub(super) async fn write(service: &Service, state: State, page: Page) -> Result<(), Trouble> {
    if store::apply(&service.db, state, page).await? { Ok(()) } else { Err(Trouble::Overtaken) }
}

/// Takes down what differs.
fn differ(service: &Service, closed: &Closed, report: &mut Report) {
    let grace = Duration::from_secs(u64::from(service.config.reconciliation.grace_seconds));
    let circumstances = Circumstances { caught_up: report.caught_up, grace };
    for flow in &closed.flows {
        if let Some(kind) = judge(flow, circumstances) {
            report.flow_difference = report.flow_difference.saturating_add(flow.surplus());
            report.add(flow.drift(kind));
        }
    }
    if closed.journal_difference != 0 || closed.journal_shrank {
        // What the account says beyond its postings is in no flow.
        report.flow_difference = report.flow_difference.saturating_sub(closed.journal_difference);
        report.add(Drift {
            kind: Kind::JournalAltered,
            hash: None,
            node: Msat::ZERO,
            ledger: Msat::new(i64::try_from(closed.journal_difference).unwrap_or(i64::MAX)),
            subject: "the account lightning".to_owned(),
        });
    }
}

/// Whether the node holds what is owed. What was sent, and is not on its way any more, may have left and not be booked yet.
async fn hold_enough(service: &Service, mut owed: Owed, report: &mut Report) -> Result<(), Trouble> {
    let mut held = balance(service).await?;
    if is_short(&held, owed) {
        tokio::time::sleep(SECOND_LOOK).await;
        owed = store::owed(service.db.read()).await?;
        held = balance(service).await?;
    }
    report.assets = Some(assets(&held));
    report.liabilities = owed.liabilities;
    if is_short(&held, owed) {
        report.add(Drift {
            kind: Kind::AssetsBelowLiabilities,
            hash: None,
            node: assets(&held),
            ledger: owed.liabilities,
            subject: String::new(),
        });
    }
    if held.fee_credit > Msat::ZERO {
        metrics::alarm("fee_credit");
        tracing::error!(
            fee_credit_msat = held.fee_credit.get(),
            "the node has received what it can never spend"
        );
    }
    Ok(())
}

fn is_short(held: &Balance, owed: Owed) -> bool {
    let gone = owed.sent.checked_sub(held.outgoing).unwrap_or(Msat::ZERO).max(Msat::ZERO);
    owed.liabilities.checked_sub(gone).is_ok_and(|owed| assets(held) < owed)
}

async fn balance(service: &Service) -> Result<Balance, Trouble> {
    answer("balance", tokio::time::timeout(LOOKUP_PATIENCE, service.provider.balance()).await)
}

impl From<poa_storage::Error> for Trouble {
    fn from(error: poa_storage::Error) -> Self {
        tracing::warn!(%error, "the reconciliation cannot be read or written");
        Self::Database
    }
}

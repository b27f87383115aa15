//! What it means that the node and the journal say different things about a payment hash, and what a round found in all.

use std::time::Duration;

use poa_common::{DepositId, EscrowId, Msat, Timestamp, WithdrawalId};
use poa_payment::{Balance, Info, PaymentHash};

use super::{deposit, escrow, withdrawal};

/// Looks at which something that the node has and the journal has not may be found, and be about to be booked.
const LOOKS: u32 = 2;
/// Differences that a report names.
const NAMED: usize = 100;

/// Which way sats went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Direction {
    /// An invoice of ours was paid.
    In,
    /// Our node has paid.
    Out,
}

/// What the ledger knows of a payment hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Nothing.
    Unknown,
    /// A deposit.
    Deposit { id: DepositId, state: deposit::State },
    /// A withdrawal; `internal`: one that the ledger itself pays, and the node never.
    Withdrawal { id: WithdrawalId, state: withdrawal::State, internal: bool },
    /// An escrow that a hold invoice funds.
    Escrow { id: EscrowId, state: escrow::State },
}

/// A payment hash of which node and journal say different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) direction: Direction,
    pub(crate) hash: PaymentHash,
    /// What the node has received, or sent with its fee.
    pub(crate) node: Option<Msat>,
    /// How often the node lists it as done.
    pub(crate) node_rows: u32,
    /// What was booked.
    pub(crate) ledger: Option<Msat>,
    pub(crate) subject: Subject,
    /// At how many looks in a row, this one too, the two differed.
    pub(crate) looks: u32,
    /// For how long.
    pub(crate) age: Duration,
    /// Whether it was booked after the node's lists were read: they could not show it.
    pub(crate) booked_since: bool,
}

/// How a round was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances {
    /// Whether the node's lists were read to their end.
    pub(crate) caught_up: bool,
    /// How long something may wait to be booked.
    pub(crate) grace: Duration,
}

/// A kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The node was paid, and nobody was credited.
    ReceivedNotCredited,
    /// Somebody was credited, and the node was not paid.
    CreditedNotReceived,
    /// The node has paid, and it is not booked.
    PaidNotBooked,
    /// It is booked, and the node has not paid.
    BookedNotPaid,
    /// Both know it, with different amounts.
    AmountsDiffer,
    /// The node has paid under one hash more than once.
    NodePaidTwice,
    /// The node has paid what no withdrawal asked for: somebody else spends from it.
    UnknownPayment,
    /// The node was paid an invoice that is none of ours: sats that the ledger does not know.
    UnknownInvoice,
    /// The sum of the account `lightning` is not that of its postings.
    JournalAltered,
    /// Another node answers than the one that the ledger is held against.
    NodeChanged,
    /// The node holds less than is owed.
    AssetsBelowLiabilities,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) kind: Kind,
    /// None where it is about no payment.
    pub(crate) hash: Option<PaymentHash>,
    pub(crate) node: Msat,
    pub(crate) ledger: Msat,
    /// What it is about, for people.
    pub(crate) subject: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The first of them.
    pub(crate) drifts: Vec<Drift>,
    /// How many there are.
    pub(crate) drift_count: usize,
    /// What came in less what went out, by the node less by the journal, as far as it is a difference.
    pub(crate) flow_difference: i128,
    /// The node, as it answered.
    pub(crate) node: Info,
    /// None where its balance was not asked for.
    pub(crate) assets: Option<Msat>,
    pub(crate) liabilities: Msat,
    /// How many invoices and payments of the node were looked at.
    pub(crate) compared: u64,
    /// Whether the node's lists were read to their end: what they do not show is then not there.
    pub(crate) caught_up: bool,
    /// Whether everything was read from the beginning.
    pub(crate) full: bool,
    pub(crate) time: Timestamp,
}

/// What a difference is; none where it may be gone in a moment.
pub(crate) fn judge(flow: &Flow, circumstances: Circumstances) -> Option<Kind> {
    let waited = flow.looks >= LOOKS && flow.age >= circumstances.grace;
    match (flow.node, flow.ledger) {
        (None, None) => None,
        (Some(node), Some(ledger)) if node == ledger => None,
        (Some(_), _) if flow.node_rows > 1 && flow.direction == Direction::Out => Some(Kind::NodePaidTwice),
        (Some(_), Some(_)) => Some(Kind::AmountsDiffer),
        (None, Some(_)) if flow.booked_since || !circumstances.caught_up => None,
        (None, Some(_)) => Some(match flow.direction {
            Direction::In => Kind::CreditedNotReceived,
            Direction::Out => Kind::BookedNotPaid,
        }),
        (Some(_), None) => {
            let (kind, patience) = not_booked(flow);
            match patience {
                Patience::None => Some(kind),
                Patience::Grace => waited.then_some(kind),
                Patience::Endless => None,
            }
        }
    }
}

/// How long what the node has may wait to be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// It never will be by itself.
    None,
    /// As long as it takes to notice it.
    Grace,
    /// As long as it takes, or for ever.
    Endless,
}

/// What it is that the node has and the journal has not.
fn not_booked(flow: &Flow) -> (Kind, Patience) {
    match (flow.direction, flow.subject) {
        (Direction::In, Subject::Deposit { state, .. }) => {
            let patience = match state {
                deposit::State::Open | deposit::State::Expired => Patience::Grace,
                // Credited, and not by what the node has received.
                deposit::State::Settled => Patience::None,
            };
            (Kind::ReceivedNotCredited, patience)
        }
        (Direction::In, Subject::Escrow { state, .. }) => (Kind::ReceivedNotCredited, of_hold(state)),
        (Direction::In, Subject::Unknown | Subject::Withdrawal { .. }) => {
            (Kind::UnknownInvoice, Patience::None)
        }
        (Direction::Out, Subject::Withdrawal { state, internal, .. }) => {
            let patience = match state {
                withdrawal::State::Dispatched if !internal => Patience::Grace,
                // Nothing was to be sent, or all was given back, or it is said to be booked: and the node has paid.
                withdrawal::State::Dispatched
                | withdrawal::State::Reserved
                | withdrawal::State::Failed
                | withdrawal::State::Succeeded => Patience::None,
            };
            (Kind::PaidNotBooked, patience)
        }
        (Direction::Out, Subject::Unknown | Subject::Deposit { .. } | Subject::Escrow { .. }) => {
            (Kind::UnknownPayment, Patience::None)
        }
    }
}

/// How long a settled hold invoice may wait.
fn of_hold(state: escrow::State) -> Patience {
    match state {
        // Settled is not yet final, and is booked once it is. What was lost on the chain is nobody's sats here.
        escrow::State::Settling | escrow::State::FundingLost => Patience::Endless,
        // We have not asked for it: whoever looks at it will notice.
        escrow::State::Awaiting | escrow::State::Accepted | escrow::State::Canceling => Patience::Grace,
        escrow::State::Canceled
        | escrow::State::Held
        | escrow::State::Released
        | escrow::State::Refunded
        | escrow::State::Void => Patience::None,
    }
}

/// What the node holds, for what is owed: what it can send, what is on its way and may come back, and what is on the chain.
pub(crate) fn assets(balance: &Balance) -> Msat {
    let parts = [balance.spendable, balance.outgoing, balance.on_chain];
    Msat::checked_sum(parts).unwrap_or(Msat::SUPPLY)
}

// === impl Direction ===

impl Direction {
    /// The name in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// The direction of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::In, Self::Out].into_iter().find(|direction| direction.as_str() == name)
    }
}

// === impl Subject ===

impl Subject {
    /// For people.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::Deposit { id, .. } => id.to_string(),
            Self::Withdrawal { id, .. } => id.to_string(),
            Self::Escrow { id, .. } => id.to_string(),
        }
    }
}

// === impl Flow ===

impl Flow {
    /// The difference that it is.
    pub(crate) fn drift(&self, kind: Kind) -> Drift {
        Drift {
            kind,
            hash: Some(self.hash),
            node: self.node.unwrap_or(Msat::ZERO),
            ledger: self.ledger.unwrap_or(Msat::ZERO),
            subject: self.subject.name(),
        }
    }

    /// What the node has more than the journal, as what came in.
    pub(crate) fn surplus(&self) -> i128 {
        let part = |amount: Option<Msat>| i128::from(amount.unwrap_or(Msat::ZERO).get());
        let more = part(self.node) - part(self.ledger);
        match self.direction {
            Direction::In => more,
            Direction::Out => -more,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// The name in reports, logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ReceivedNotCredited => "received_not_credited",
            Self::CreditedNotReceived => "credited_not_received",
            Self::PaidNotBooked => "paid_not_booked",
            Self::BookedNotPaid => "booked_not_paid",
            Self::AmountsDiffer => "amounts_differ",
            Self::NodePaidTwice => "node_paid_twice",
            Self::UnknownPayment => "unknown_payment",
            Self::UnknownInvoice => "unknown_invoice",
            Self::JournalAltered => "journal_altered",
            Self::NodeChanged => "node_changed",
            Self::AssetsBelowLiabilities => "assets_below_liabilities",
        }
    }
}

// === impl Report ===

impl Report {
    /// Nothing found yet.
    pub(crate) fn new(node: Info, time: Timestamp) -> Self {
        Self {
            drifts: Vec::new(),
            drift_count: 0,
            flow_difference: 0,
            node,
            assets: None,
            liabilities: Msat::ZERO,
            compared: 0,
            caught_up: false,
            full: false,
            time,
        }
    }

    /// Takes a difference down.
    pub(crate) fn add(&mut self, drift: Drift) {
        self.drift_count = self.drift_count.saturating_add(1);
        if self.drifts.len() < NAMED {
            self.drifts.push(drift);
        }
    }

    /// Whether nothing differs, and everything was looked at.
    pub(crate) fn is_clean(&self) -> bool {
        self.drift_count == 0 && self.caught_up
    }

    /// Why payouts are paused, for people; none where nothing differs.
    pub(crate) fn reason(&self) -> Option<String> {
        let first = self.drifts.first()?;
        let about = if first.subject.is_empty() { String::new() } else { format!(" of {}", first.subject) };
        let count = self.drift_count;
        let others = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
        Some(format!(
            "reconciliation: {}{about}: the node says {} msat and the ledger {} msat{others}",
            first.kind.as_str(),
            first.node,
            first.ledger
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_common::{Network, TypedId as _};
    use poa_payment::{Chain, NodeId};
    use uuid::Uuid;

    const CALM: Circumstances = Circumstances { caught_up: true, grace: Duration::from_secs(30) };

    fn deposit(state: deposit::State) -> Subject {
        Subject::Deposit { id: DepositId::from_uuid(Uuid::from_u128(1)), state }
    }

    fn withdrawal(state: withdrawal::State) -> Subject {
        Subject::Withdrawal { id: WithdrawalId::from_uuid(Uuid::from_u128(1)), state, internal: false }
    }

    fn escrow(state: escrow::State) -> Subject {
        Subject::Escrow { id: EscrowId::from_uuid(Uuid::from_u128(1)), state }
    }

    fn flow(direction: Direction, node: Option<i64>, ledger: Option<i64>, subject: Subject) -> Flow {
        Flow {
            direction,
            hash: PaymentHash::new([7; 32]),
            node: node.map(Msat::new),
            node_rows: 1,
            ledger: ledger.map(Msat::new),
            subject,
            looks: 1,
            age: Duration::ZERO,
            booked_since: false,
        }
    }

    #[test]
    fn what_differs_for_good_is_a_drift_at_once() {
        use Direction::{In, Out};
        use deposit::State::Settled;
        use withdrawal::State::{Dispatched, Failed, Reserved, Succeeded};
        for (flow, kind) in [
            (flow(In, None, Some(5), deposit(Settled)), Kind::CreditedNotReceived),
            (flow(In, Some(6), Some(5), deposit(Settled)), Kind::AmountsDiffer),
            (flow(In, Some(5), None, deposit(Settled)), Kind::ReceivedNotCredited),
            (flow(In, Some(5), None, Subject::Unknown), Kind::UnknownInvoice),
            (flow(Out, None, Some(5), withdrawal(Succeeded)), Kind::BookedNotPaid),
            (flow(Out, Some(5), Some(6), withdrawal(Succeeded)), Kind::AmountsDiffer),
            (flow(Out, Some(5), None, withdrawal(Reserved)), Kind::PaidNotBooked),
            (flow(Out, Some(5), None, withdrawal(Failed)), Kind::PaidNotBooked),
            (flow(Out, Some(5), None, Subject::Unknown), Kind::UnknownPayment),
            (flow(In, Some(5), None, escrow(escrow::State::Canceled)), Kind::ReceivedNotCredited),
            (flow(In, Some(5), None, escrow(escrow::State::Held)), Kind::ReceivedNotCredited),
            (flow(In, None, Some(5), escrow(escrow::State::Held)), Kind::CreditedNotReceived),
            (
                Flow { node_rows: 2, ..flow(Out, Some(10), Some(5), withdrawal(Succeeded)) },
                Kind::NodePaidTwice,
            ),
            (Flow { node_rows: 2, ..flow(Out, Some(10), None, withdrawal(Dispatched)) }, Kind::NodePaidTwice),
        ] {
            assert_eq!(judge(&flow, CALM), Some(kind), "{flow:?}");
        }
    }

    #[test]
    fn what_is_about_to_be_booked_is_a_drift_after_two_looks_and_the_grace() {
        for (late, kind) in [
            (flow(Direction::In, Some(5), None, deposit(deposit::State::Open)), Kind::ReceivedNotCredited),
            (flow(Direction::In, Some(5), None, deposit(deposit::State::Expired)), Kind::ReceivedNotCredited),
            (
                flow(Direction::Out, Some(5), None, withdrawal(withdrawal::State::Dispatched)),
                Kind::PaidNotBooked,
            ),
        ] {
            for (looks, seconds, drift) in [(1, 0, false), (1, 99, false), (9, 29, false), (2, 30, true)] {
                let flow = Flow { looks, age: Duration::from_secs(seconds), ..late };
                assert_eq!(judge(&flow, CALM), drift.then_some(kind), "{flow:?}");
            }
        }
    }

    #[test]
    fn a_settled_hold_invoice_waits_for_its_finality_however_long() {
        let forever = Duration::from_secs(1_000_000);
        for state in [escrow::State::Settling, escrow::State::FundingLost] {
            let flow = Flow { looks: 999, age: forever, ..flow(Direction::In, Some(5), None, escrow(state)) };
            assert_eq!(judge(&flow, CALM), None, "{state:?}");
        }
        let internal = Subject::Withdrawal {
            id: WithdrawalId::from_uuid(Uuid::from_u128(1)),
            state: withdrawal::State::Dispatched,
            internal: true,
        };
        assert_eq!(judge(&flow(Direction::Out, Some(5), None, internal), CALM), Some(Kind::PaidNotBooked));
    }

    #[test]
    fn what_the_node_does_not_show_is_missing_only_where_all_of_it_was_read() {
        let booked = flow(Direction::In, None, Some(5), deposit(deposit::State::Settled));
        assert_eq!(judge(&booked, Circumstances { caught_up: false, ..CALM }), None);
        assert_eq!(judge(&Flow { booked_since: true, ..booked }, CALM), None);
        assert_eq!(judge(&flow(Direction::In, Some(5), Some(5), booked.subject), CALM), None);
    }

    #[test]
    fn a_difference_counts_as_what_came_in_and_the_report_says_the_first() {
        let more = flow(Direction::In, Some(7), Some(5), Subject::Unknown);
        let sent = flow(Direction::Out, Some(7), None, Subject::Unknown);
        assert_eq!((more.surplus(), sent.surplus()), (2, -7));
        let node = Info {
            node: NodeId::new([2; 33]),
            network: Network::Simulated,
            chain: Chain::Simnet,
            height: 1,
            synced: true,
        };
        let mut report = Report::new(node, Timestamp::UNIX_EPOCH);
        assert_eq!(report.reason(), None);
        for _ in 0..150 {
            report.add(sent.drift(Kind::UnknownPayment));
        }
        assert_eq!((report.drifts.len(), report.drift_count), (NAMED, 150));
        let reason = report.reason().unwrap();
        assert!(
            reason.len() <= 500 && reason.contains("unknown_payment") && reason.ends_with("and 149 more")
        );
    }
}

//! The metrics of this service: names, units and meaning, once.

use ::metrics::Unit::Count;
use ::metrics::{counter, describe_counter, describe_gauge, gauge};
use poa_common::{Msat, ServiceError as _, Timestamp};
use poa_payment::Outcome;

use crate::domain::command::Reply;
use crate::domain::reconciliation::Report;
use crate::error::Error;

/// Commands of the ledger. Labels `command`, and `result`: `ok` or the reason of the error.
pub const LEDGER_COMMANDS: &str = "poa_escrow_ledger_commands_total";
/// Deposits that ended. Label `state`: `settled` or `expired`.
pub const DEPOSITS_ENDED: &str = "poa_escrow_deposits_ended_total";
/// Deposits that wait to be paid, at the last poll.
pub const DEPOSITS_OPEN: &str = "poa_escrow_deposits_open";
/// Withdrawals that ended. Label `state`: `succeeded` or `failed`.
pub const WITHDRAWALS_ENDED: &str = "poa_escrow_withdrawals_ended_total";
/// Withdrawals that are not at their end, at the last pass. Label `state`: `reserved` or `dispatched`.
pub const WITHDRAWALS_LIVE: &str = "poa_escrow_withdrawals_live";
/// Payments that the node was told to make. Label `outcome`.
pub const DISPATCHES: &str = "poa_escrow_payment_dispatches_total";
/// Lookups of payments. Label `outcome`.
pub const PAYMENT_LOOKUPS: &str = "poa_escrow_payment_lookups_total";
/// Hold invoices that are not at their end, at the last pass. Label `state`.
pub const HOLD_INVOICES_OPEN: &str = "poa_escrow_hold_invoices_open";
/// Parts of payments that hold invoices have locked or asked for, at the last pass.
pub const HOLD_INVOICE_PARTS: &str = "poa_escrow_hold_invoice_parts";
/// What was seen of hold invoices and changed something. Label `seen`.
pub const HOLD_INVOICES_SEEN: &str = "poa_escrow_hold_invoices_seen_total";
/// Whether payouts are paused: 1 or 0, as this process has seen it last.
pub const PAYOUTS_PAUSED: &str = "poa_escrow_payouts_paused";
/// Lightning addresses that were asked for an invoice. Label `result`: `ok` or the problem.
pub const ADDRESSES_ASKED: &str = "poa_escrow_addresses_asked_total";
/// Automatic payouts that were tried. Label `result`: `ok` or the reason of the error.
pub const AUTOMATIC_PAYOUTS: &str = "poa_escrow_automatic_payouts_total";
/// Calls of the node that failed or were not answered in time. Label `call`.
pub const NODE_FAILURES: &str = "poa_escrow_node_failures_total";
/// What cannot be and was seen all the same: an operator must look. Label `what`.
pub const ALARMS: &str = "poa_escrow_alarms_total";
/// Rows that break an invariant, at the last audit.
pub const AUDIT_VIOLATIONS: &str = "poa_escrow_audit_violations";
/// Rounds of the reconciliation. Label `result`: `clean`, `differs`, `unfinished` or `failed`.
pub const RECONCILIATIONS: &str = "poa_escrow_reconciliations_total";
/// Differences between node and ledger, at the last round.
pub const DRIFTS: &str = "poa_escrow_reconciliation_differences";
/// What the node holds for what is owed, in msat, at the last round.
pub const ASSETS: &str = "poa_escrow_assets_msat";
/// What is owed to users, in msat, at the last round.
pub const LIABILITIES: &str = "poa_escrow_liabilities_msat";
/// What was owed to users at the last snapshot that is in the log, in msat.
pub const LIABILITIES_STATED: &str = "poa_escrow_liabilities_stated_msat";
/// When that was, in seconds since 1970.
pub const LIABILITIES_STATED_TIME: &str = "poa_escrow_liabilities_stated_timestamp_seconds";

/// Describes all of them to the recorder. Called once at start.
pub(crate) fn describe() {
    describe_counter!(LEDGER_COMMANDS, Count, "commands of the ledger, by kind and result");
    describe_counter!(DEPOSITS_ENDED, Count, "deposits that ended, by state");
    describe_gauge!(DEPOSITS_OPEN, Count, "deposits that wait to be paid");
    describe_counter!(WITHDRAWALS_ENDED, Count, "withdrawals that ended, by state");
    describe_gauge!(WITHDRAWALS_LIVE, Count, "withdrawals that are not at their end, by state");
    describe_counter!(DISPATCHES, Count, "payments that the node was told to make, by outcome");
    describe_counter!(PAYMENT_LOOKUPS, Count, "lookups of payments, by outcome");
    describe_gauge!(HOLD_INVOICES_OPEN, Count, "hold invoices that are not at their end, by state");
    describe_gauge!(HOLD_INVOICE_PARTS, Count, "parts that hold invoices have locked or asked for");
    describe_counter!(HOLD_INVOICES_SEEN, Count, "what was seen of hold invoices, by sight");
    describe_gauge!(PAYOUTS_PAUSED, Count, "whether payouts are paused: 1 or 0");
    describe_counter!(
        ADDRESSES_ASKED,
        Count,
        "Lightning addresses that were asked for an invoice, by result"
    );
    describe_counter!(AUTOMATIC_PAYOUTS, Count, "automatic payouts that were tried, by result");
    describe_counter!(NODE_FAILURES, Count, "calls of the node that failed, by call");
    describe_counter!(ALARMS, Count, "what cannot be and was seen: look at once");
    describe_counter!(RECONCILIATIONS, Count, "rounds of the reconciliation, by result");
    describe_gauge!(DRIFTS, Count, "differences between node and ledger, at the last round");
    describe_gauge!(ASSETS, Count, "what the node holds for what is owed, in msat");
    describe_gauge!(LIABILITIES, Count, "what is owed to users, in msat");
    describe_gauge!(LIABILITIES_STATED, Count, "what was owed at the last snapshot in the log, in msat");
    describe_gauge!(LIABILITIES_STATED_TIME, Count, "when the last snapshot in the log was taken");
    describe_gauge!(AUDIT_VIOLATIONS, Count, "rows that break an invariant, at the last audit");
}

pub(crate) fn ledger_command(command: &'static str, reply: &Result<Reply, Error>) {
    let result = reply.as_ref().map_or_else(|error| error.reason(), |_| "ok");
    counter!(LEDGER_COMMANDS, "command" => command, "result" => result).increment(1);
}

pub(crate) fn deposit_ended(state: &'static str) {
    counter!(DEPOSITS_ENDED, "state" => state).increment(1);
}

pub(crate) fn deposits_open(count: u32) {
    gauge!(DEPOSITS_OPEN).set(f64::from(count));
}

pub(crate) fn withdrawal_ended(state: &'static str) {
    counter!(WITHDRAWALS_ENDED, "state" => state).increment(1);
}

pub(crate) fn withdrawals_live(state: &'static str, count: usize) {
    gauge!(WITHDRAWALS_LIVE, "state" => state).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(crate) fn dispatched(outcome: &Outcome) {
    counter!(DISPATCHES, "outcome" => outcome.as_str()).increment(1);
}

pub(crate) fn looked_up(outcome: &Outcome) {
    counter!(PAYMENT_LOOKUPS, "outcome" => outcome.as_str()).increment(1);
}

pub(crate) fn hold_invoices_open(state: &'static str, count: usize) {
    gauge!(HOLD_INVOICES_OPEN, "state" => state).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(crate) fn hold_invoice_parts(parts: u32) {
    gauge!(HOLD_INVOICE_PARTS).set(f64::from(parts));
}

pub(crate) fn hold_invoice_seen(seen: &'static str) {
    counter!(HOLD_INVOICES_SEEN, "seen" => seen).increment(1);
}

pub(crate) fn payouts_paused(paused: bool) {
    gauge!(PAYOUTS_PAUSED).set(if paused { 1.0 } else { 0.0 });
}

pub(crate) fn address_asked(result: &'static str) {
    counter!(ADDRESSES_ASKED, "result" => result).increment(1);
}

pub(crate) fn automatic_payout(result: &'static str) {
    counter!(AUTOMATIC_PAYOUTS, "result" => result).increment(1);
}

pub(crate) fn node_failed(call: &'static str) {
    counter!(NODE_FAILURES, "call" => call).increment(1);
}

pub(crate) fn alarm(what: &'static str) {
    counter!(ALARMS, "what" => what).increment(1);
}

pub(crate) fn audited(violations: i64) {
    gauge!(AUDIT_VIOLATIONS).set(f64::from(i32::try_from(violations).unwrap_or(i32::MAX)));
}

pub(crate) fn reconciled(result: &'static str) {
    counter!(RECONCILIATIONS, "result" => result).increment(1);
}

pub(crate) fn reconciliation(report: &Report) {
    gauge!(DRIFTS).set(f64::from(u32::try_from(report.drift_count).unwrap_or(u32::MAX)));
    if let Some(assets) = report.assets {
        gauge!(ASSETS).set(float(assets));
        gauge!(LIABILITIES).set(float(report.liabilities));
    }
}

pub(crate) fn liabilities_stated(owed: Msat, time: Timestamp) {
    gauge!(LIABILITIES_STATED).set(float(owed));
    gauge!(LIABILITIES_STATED_TIME).set(float(Msat::new(time.unix_timestamp())));
}

/// An amount as a gauge takes it: exact up to 2^53 msat, which are 90,000 bitcoin.
fn float(amount: Msat) -> f64 {
    let msat = u64::try_from(amount.get()).unwrap_or(0);
    let part = |shift: u32| f64::from(u32::try_from((msat >> shift) & u64::from(u32::MAX)).unwrap_or(0));
    part(32).mul_add(4_294_967_296.0, part(0))
}

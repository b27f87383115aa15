//! What the doctor asks the ledger's server with the operator's token: the audit, the Lightning node, payouts.

use std::path::Path;

use poa_sdk::api::escrow::{LedgerAudit, NodeStatus, Reconciliation};
use poa_sdk::{Admin, Code, Error};

use super::admin_money::switch_text;
use super::doctor::{DoctorArgs, Report};
use crate::app::{App, secret_from};
use crate::output::plain;
use crate::units::{grouped, sats};

/// The audit of the ledger, and how it stands with the Lightning node.
pub(super) async fn ledger(
    app: &App,
    args: &DoctorArgs,
    data: Option<&Path>,
    admin: &[String],
    report: &mut Report,
) {
    // One that lies in a folder is not taken unasked: whoever answers at a port of this machine would be sent it.
    let Some(file) = &args.token_file else {
        let known = data.map(|folder| folder.join("keys/admin.token")).filter(|file| file.is_file());
        let file = known.map_or_else(|| "FILE".to_owned(), |file| file.display().to_string());
        report.skipped("ledger", format!("not audited: give the operator's token with --token-file {file}"));
        return;
    };
    let token = match secret_from(file) {
        Ok(token) => token,
        Err(failure) => {
            report.skipped("ledger", format!("not audited: {}", failure.message()));
            return;
        }
    };
    let mut failed = None;
    for uri in admin {
        let connected = app.dial(uri.clone()).map_err(|failure| failure.message().to_owned());
        let connected = connected
            .and_then(|endpoint| Admin::connect(endpoint, &token).map_err(|error| error.to_string()));
        let admin = match connected {
            Ok(admin) => admin,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        match admin.audit_ledger().await {
            Ok(found) => {
                audited(&found, report);
                return reconciled(admin.reconcile(false).await, report);
            }
            // Another server's port.
            Err(error) if error.code() == Some(Code::Unimplemented) => {}
            Err(error) => failed = Some(error.to_string()),
        }
    }
    match failed {
        Some(error) => {
            let advice = "is the token that of this deployment? See keys/admin.token of its data folder";
            report.problem("ledger", format!("cannot be audited: {error}"), advice);
        }
        None => report.skipped("ledger", "not audited: no admin port of the escrow server answers"),
    }
}

fn audited(found: &LedgerAudit, report: &mut Report) {
    if found.clean {
        let open = found.open_escrows;
        return report.ok("ledger", format!("clean: every invariant holds, {open} escrows are open"));
    }
    let broken: Vec<&str> =
        found.checks.iter().filter(|check| check.violations != 0).map(|check| check.name.as_str()).collect();
    let advice = "pause payouts (`poa admin payouts pause REASON`), keep a copy of the database, and see `poa admin audit`";
    report.problem("ledger", format!("breaks {}", broken.join(", ")), advice);
}

fn reconciled(answer: Result<Reconciliation, Error>, report: &mut Report) {
    let found = match answer {
        Ok(found) => found,
        Err(error) if error.code() == Some(Code::Unimplemented) => {
            return report.skipped("reconciliation", "this server is of a version without it");
        }
        Err(error) if error.reason() == "DEPENDENCY_UNAVAILABLE" => {
            let advice =
                "is the Lightning node up, unlocked, and reached by escrow? Its log says what it waits for";
            return report.problem("lightning", format!("the node does not answer: {error}"), advice);
        }
        Err(error) => {
            let message = format!("the ledger could not be held against the node: {error}");
            return report.problem("reconciliation", message, "see escrow's log");
        }
    };
    if found.clean {
        let compared = grouped(u64::try_from(found.compared).unwrap_or(0));
        let message = format!("ledger and Lightning node agree: {compared} invoices and payments compared");
        report.ok("reconciliation", message);
    } else {
        let advice = "see all of it with `poa admin reconcile --full`, and keep payouts paused until each line is explained";
        report.problem("reconciliation", difference(&found), advice);
    }
    if let Some(node) = &found.node {
        lightning(node, report);
    }
    match &found.payouts {
        Some(switch) if switch.paused => {
            let advice = "where the reason is gone: `poa admin payouts resume REASON`";
            report.problem("payouts", switch_text(switch), advice);
        }
        Some(_) | None => report.ok("payouts", "go on"),
    }
}

fn lightning(node: &NodeStatus, report: &mut Report) {
    let height = node.height;
    if node.synced {
        report.ok("lightning", format!("the node follows the chain, at block {height}"));
    } else {
        let advice =
            "is its chain backend up and synced? Until then expiries and locks are judged by an old height";
        report.problem(
            "lightning",
            format!("the node does not follow the chain: it is at block {height}"),
            advice,
        );
    }
    if node.hold_invoices {
        report.ok("hold invoices", "a task can be funded by one");
    } else {
        let advice =
            "an LND needs store-final-htlc-resolutions=true, and escrow holds.enabled; a phoenixd makes none";
        report.warning("hold invoices", "none are made: tasks are funded from balances alone", advice);
    }
}

/// What differs, in a sentence.
fn difference(found: &Reconciliation) -> String {
    let mut parts = Vec::new();
    if let Some(first) = found.drifts.first() {
        parts.push(format!("{} differences, the first is {}", found.drifts.len(), plain(&first.kind)));
    }
    if found.flow_difference_msat != 0 {
        parts.push(format!("the flows differ by {}", sats(found.flow_difference_msat)));
    }
    if found.assets_msat < found.liabilities_msat {
        let (holds, owes) = (sats(found.assets_msat), sats(found.liabilities_msat));
        parts.push(format!("the node holds {holds} of {owes} that are owed"));
    }
    if parts.is_empty() { "ledger and node differ".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use poa_sdk::Status;
    use poa_sdk::api::escrow::{Drift, PayoutSwitch};

    use super::*;

    fn told(answer: Result<Reconciliation, Error>) -> String {
        let mut report = Report::default();
        reconciled(answer, &mut report);
        report.text()
    }

    #[test]
    fn payouts_that_are_paused_and_a_difference_are_problems_with_what_to_type() {
        let clean = Reconciliation { clean: true, compared: 1_234, ..Default::default() };
        let text = told(Ok(clean.clone()));
        assert!(text.contains("1,234 invoices") && !text.contains("problem"), "{text}");
        let payouts = Some(PayoutSwitch { paused: true, reason: "node swap".to_owned(), change_time: None });
        let text = told(Ok(Reconciliation { payouts, ..clean }));
        assert!(text.contains("PAUSED: node swap") && text.contains("poa admin payouts resume"), "{text}");
        let drift = Drift { kind: "node_paid_twice".to_owned(), ..Drift::default() };
        let text = told(Ok(Reconciliation {
            drifts: vec![drift],
            flow_difference_msat: -1_000,
            liabilities_msat: 5_000,
            ..Default::default()
        }));
        for part in
            ["1 differences, the first is node_paid_twice", "-1 sat", "0 sat of 5 sat", "reconcile --full"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_node_that_is_behind_is_a_problem_and_one_without_hold_invoices_is_worth_a_word() {
        let with = |synced, hold_invoices| {
            let node = NodeStatus { height: 900, synced, hold_invoices, ..NodeStatus::default() };
            told(Ok(Reconciliation { clean: true, node: Some(node), ..Default::default() }))
        };
        assert!(with(true, true).contains("at block 900") && !with(true, true).contains("->"));
        let text = with(false, false);
        assert!(text.contains("problem  lightning") && text.contains("warning  hold invoices"), "{text}");
        assert!(text.contains("store-final-htlc-resolutions=true"), "{text}");
    }

    #[test]
    fn a_server_without_reconciliation_is_no_problem_and_one_that_fails_is() {
        assert!(told(Err(Status::unimplemented("no").into())).starts_with("skipped"));
        assert!(told(Err(Status::internal("no").into())).starts_with("problem"));
    }
}

//! `admin reconcile`, `admin payouts`, `admin fees`: the money under an operator's eye.

use clap::{Args, Subcommand};
use poa_sdk::api::escrow::{
    Drift, FeeSchedule, ListFeeSchedulesRequest, NodeStatus, PayoutSwitch, Reconciliation,
    SetFeeScheduleRequest,
};
use poa_sdk::{Admin, to_time};

use super::admin::{AdminOptions, connect};
use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::output::{fields, one_line, plain};
use crate::units::{Fee, Moment, grouped, per_cent, sats};
use crate::{describe, paging};

#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// Look at everything from the beginning, instead of what may have changed since the last time.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    options: AdminOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PayoutsCommand {
    /// Pause them: nothing new is sent, no withdrawal is taken. What was sent is found out as ever.
    Pause(SwitchArgs),
    /// Let them go on.
    Resume(SwitchArgs),
    /// Give back what a withdrawal had reserved that the node does not know any more, long after its invoice ended: ask the
    /// payee first.
    Return {
        /// `wdr_…`
        withdrawal_id: String,
        /// How it is known that it was not paid.
        reason: String,
        #[command(flatten)]
        options: AdminOptions,
    },
    /// Show whether they are paused, and why. Holds the ledger against the node, as `admin reconcile` does.
    Show(AdminOptions),
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// Why, for people.
    reason: String,
    #[command(flatten)]
    options: AdminOptions,
}

#[derive(Debug, Args)]
pub(crate) struct FeesArgs {
    #[command(subcommand)]
    command: Option<FeesCommand>,
    /// How many at most.
    #[arg(long, default_value_t = 200, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    options: AdminOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeesCommand {
    /// Set what the platform takes of a release, from a moment on. Terms that are signed already keep their fee.
    Set {
        /// Such as 5% or 250bp; `default` ends an account's own fee.
        fee: Fee,
        /// For this account alone: `acct_…` [default: everybody who has no fee of his own].
        #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
        account: String,
        /// From when on, such as 2026-12-01 [default: now].
        #[arg(long, value_name = "MOMENT")]
        from: Option<Moment>,
        #[command(flatten)]
        options: AdminOptions,
    },
}

pub(super) async fn reconcile(app: &App, args: ReconcileArgs) -> Result<(), Failure> {
    let found = connect(app, args.options)?.reconcile(args.full).await?;
    app.out.show(&found, || text_of(&found))?;
    if found.clean {
        return Ok(());
    }
    Err(Failure::new(Exit::Unverified, "the ledger and the Lightning node differ")
        .hint("find out why before payouts go on: `poa admin payouts resume REASON`"))
}

pub(super) async fn payouts(app: &App, command: PayoutsCommand) -> Result<(), Failure> {
    let switch = match command {
        PayoutsCommand::Pause(args) => switch(app, true, args).await?,
        PayoutsCommand::Resume(args) => switch(app, false, args).await?,
        PayoutsCommand::Show(options) => {
            let found = connect(app, options)?.reconcile(false).await?;
            found.payouts.unwrap_or_default()
        }
        PayoutsCommand::Return { withdrawal_id, reason, options } => {
            let returned = connect(app, options)?.return_withdrawal(&withdrawal_id, &reason).await?;
            return app.out.show(&returned, || describe::withdrawal(&returned));
        }
    };
    app.out.show(&switch, || switch_text(&switch))
}

async fn switch(app: &App, paused: bool, args: SwitchArgs) -> Result<PayoutSwitch, Failure> {
    Ok(connect(app, args.options)?.pause_payouts(paused, &args.reason).await?)
}

pub(super) async fn fees(app: &App, args: FeesArgs) -> Result<(), Failure> {
    let Some(FeesCommand::Set { fee, account, from, options }) = args.command else {
        return list_fees(app, &connect(app, args.options)?, args.limit).await;
    };
    let request = SetFeeScheduleRequest {
        account_id: account,
        fee_basis_points: Some(fee.0),
        start_time: from.map(|moment| to_time(moment.0)),
    };
    let set = connect(app, options)?.set_fee_schedule(request).await?;
    app.out.show(&set, || fee_line(&set))
}

async fn list_fees(app: &App, admin: &Admin, limit: usize) -> Result<(), Failure> {
    let schedules = paging::collect(limit, |page_size, page_token| async move {
        let page = admin.list_fee_schedules(ListFeeSchedulesRequest { page_size, page_token }).await?;
        Ok((page.schedules, page.next_page_token))
    })
    .await?;
    for schedule in &schedules {
        app.out.show(schedule, || fee_line(schedule))?;
    }
    if schedules.is_empty() {
        app.out.progress("No fee is set: the one of the configuration holds.");
    }
    Ok(())
}

fn fee_line(schedule: &FeeSchedule) -> String {
    let whose = if schedule.account_id.is_empty() { "everybody" } else { &schedule.account_id };
    let fee = match schedule.fee_basis_points {
        ..0 => "as everybody".to_owned(),
        points => per_cent(points),
    };
    let from = schedule.start_time.as_ref().map_or_else(
        || "from the beginning, by the configuration".to_owned(),
        |time| format!("from {}", describe::time(Some(time))),
    );
    format!("{whose:<31} {fee:<12} {from}")
}

/// Whether payouts go on, in a sentence.
pub(super) fn switch_text(switch: &PayoutSwitch) -> String {
    let state = if switch.paused { "PAUSED" } else { "on" };
    let since = switch.change_time.as_ref().map(|time| format!(" since {}", describe::time(Some(time))));
    let reason =
        if switch.reason.is_empty() { String::new() } else { format!(": {}", one_line(&switch.reason)) };
    format!("payouts are {state}{}{reason}", since.unwrap_or_default())
}

fn text_of(found: &Reconciliation) -> String {
    let compared = grouped(u64::try_from(found.compared).unwrap_or(0));
    let span = if found.full { "from the beginning" } else { "that may have changed" };
    let rows = fields(&[
        ("ledger and node", if found.clean { "agree" } else { "DIFFER" }.to_owned()),
        ("flows", format!("{} of difference", sats(found.flow_difference_msat))),
        ("node holds", sats(found.assets_msat)),
        ("users are owed", sats(found.liabilities_msat)),
        ("compared", format!("{compared} invoices and payments {span}")),
        ("node", found.node.as_ref().map_or_else(|| "-".to_owned(), node_text)),
        ("payouts", switch_text(&found.payouts.clone().unwrap_or_default())),
        ("as of", describe::time(found.reconcile_time.as_ref())),
    ]);
    let drifts = found.drifts.iter().map(|drift| format!("\n  {}", drift_text(drift)));
    format!("{rows}{}", drifts.collect::<String>())
}

fn node_text(node: &NodeStatus) -> String {
    let chain = if node.synced { "follows the chain" } else { "DOES NOT FOLLOW the chain" };
    let holds = if node.hold_invoices { "" } else { ", makes no hold invoices" };
    format!("{} {chain}, at block {}{holds}", hex::encode(&node.node_id), node.height)
}

fn drift_text(drift: &Drift) -> String {
    let subject =
        if drift.subject_id.is_empty() { String::new() } else { format!(", {}", plain(&drift.subject_id)) };
    format!(
        "{}: the node says {}, the ledger {} (payment hash {}{subject})",
        plain(&drift.kind),
        sats(drift.node_msat),
        sats(drift.ledger_msat),
        hex::encode(&drift.payment_hash),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_with_both_sides_and_what_it_is_about() {
        let found = Reconciliation {
            drifts: vec![Drift {
                kind: "node_paid_twice".to_owned(),
                payment_hash: vec![0xab; 32],
                node_msat: 2_000,
                ledger_msat: 1_000,
                subject_id: "wdr_1".to_owned(),
            }],
            payouts: Some(PayoutSwitch { paused: true, reason: "drift".to_owned(), change_time: None }),
            ..Reconciliation::default()
        };
        let text = text_of(&found);
        for part in
            ["DIFFER", "node_paid_twice: the node says 2 sat, the ledger 1 sat", "wdr_1", "PAUSED: drift"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text_of(&Reconciliation { clean: true, ..Default::default() }).contains("agree"));
    }

    #[test]
    fn a_fee_is_everybodys_or_an_accounts_own() {
        let line = |account: &str, fee_basis_points| {
            fee_line(&FeeSchedule { account_id: account.to_owned(), fee_basis_points, start_time: None })
        };
        assert!(line("", 500).starts_with("everybody ") && line("", 500).contains(" 5 % "));
        assert!(line("acct_1", 0).contains("acct_1") && line("acct_1", 0).contains(" 0 % "));
        assert!(line("acct_1", -1).contains("as everybody"));
    }
}

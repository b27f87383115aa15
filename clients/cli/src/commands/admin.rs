//! `admin`: what operators do, on the admin port.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use poa_sdk::Admin;
use poa_sdk::api::escrow::LedgerAudit;

use super::admin_lnd::{MacaroonArgs, macaroons};
use super::admin_money::{self, FeesArgs, PayoutsCommand, ReconcileArgs};
use crate::app::{App, secret_from};
use crate::describe;
use crate::failure::{Exit, Failure};
use crate::output::{fields, plain};
use crate::units::sats;

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Check every invariant of the ledger. Exit code 7 where one is broken.
    Audit(AdminOptions),
    /// Hold the ledger against the Lightning node, now. Exit code 7 where they differ, and payouts are paused then.
    Reconcile(ReconcileArgs),
    /// Pause payouts, let them go on, or give back one that the node has forgotten.
    #[command(subcommand)]
    Payouts(PayoutsCommand),
    /// List the platform's fees, in force or to come, or set one.
    #[command(args_conflicts_with_subcommands = true)]
    Fees(FeesArgs),
    /// Print the commands that make the macaroons with which the platform uses an LND node. Asks nobody.
    LndMacaroons(MacaroonArgs),
    /// Empty the search index and have it built again.
    Reindex(AdminOptions),
}

#[derive(Debug, Args)]
pub(crate) struct AdminOptions {
    /// The admin port.
    #[arg(long, env = "POA_ADMIN_ENDPOINT", default_value = "http://localhost:9100", value_name = "URL")]
    admin_endpoint: String,
    /// The file with the operator's token, as the server writes it at its first start.
    #[arg(long, env = "POA_ADMIN_TOKEN_FILE", value_name = "FILE", required = true)]
    token_file: Option<PathBuf>,
}

pub(crate) async fn run(app: &App, command: AdminCommand) -> Result<(), Failure> {
    match command {
        AdminCommand::Audit(options) => audit(app, &connect(app, options)?).await,
        AdminCommand::Reconcile(args) => admin_money::reconcile(app, args).await,
        AdminCommand::Payouts(command) => admin_money::payouts(app, command).await,
        AdminCommand::Fees(args) => admin_money::fees(app, args).await,
        AdminCommand::LndMacaroons(args) => macaroons(app, &args),
        AdminCommand::Reindex(options) => reindex(app, &connect(app, options)?).await,
    }
}

/// The admin port, with the operator's token.
pub(super) fn connect(app: &App, options: AdminOptions) -> Result<Admin, Failure> {
    let file = options.token_file.ok_or_else(|| {
        Failure::new(Exit::Usage, "who is the operator?").hint("give the token with --token-file FILE")
    })?;
    Ok(Admin::connect(app.dial(options.admin_endpoint)?, &secret_from(&file)?)?)
}

async fn reindex(app: &App, admin: &Admin) -> Result<(), Failure> {
    let dropped = admin.reindex().await?;
    app.out.show(&dropped, || {
        let (agents, tasks) = (dropped.dropped_agents, dropped.dropped_tasks);
        format!("The index is built again: {agents} agents and {tasks} tasks are read once more.")
    })
}

async fn audit(app: &App, admin: &Admin) -> Result<(), Failure> {
    let audit = admin.audit_ledger().await?;
    app.out.show(&audit, || text_of(&audit))?;
    if audit.clean { Ok(()) } else { Err(Failure::new(Exit::Unverified, "the ledger breaks an invariant")) }
}

fn text_of(audit: &LedgerAudit) -> String {
    let checks = audit.checks.iter().map(|check| {
        let finding = match check.violations {
            0 => "holds".to_owned(),
            count => format!("BROKEN by {count} rows, such as {}", plain(&check.example)),
        };
        format!("  {}: {finding}", plain(&check.name))
    });
    let rows = fields(&[
        ("ledger", if audit.clean { "clean" } else { "BROKEN" }.to_owned()),
        ("users hold", sats(audit.user_liabilities_msat)),
        ("fees", sats(audit.fees_msat)),
        ("escrows", format!("{} open", audit.open_escrows)),
        ("as of", describe::time(audit.audit_time.as_ref())),
    ]);
    format!("{rows}\n{}", checks.collect::<Vec<_>>().join("\n"))
}

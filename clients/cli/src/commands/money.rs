//! `balance`, `statement`, `escrow`.

use clap::{Args, Subcommand};
use poa_sdk::api::escrow::ledger_entry::Kind;
use poa_sdk::api::escrow::{Escrow, LedgerEntry, ListLedgerEntriesRequest};

use super::prove::{BalanceArgs, prove};
use crate::app::App;
use crate::failure::Failure;
use crate::output::fields;
use crate::units::{sats, signed_sats};
use crate::{describe, describe_hold, paging};

#[derive(Debug, Args)]
pub(crate) struct StatementArgs {
    /// How many at most, newest first.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EscrowCommand {
    /// Show an escrow.
    Show {
        /// `escr_…`.
        escrow_id: String,
    },
}

pub(crate) async fn balance(app: &App, args: BalanceArgs) -> Result<(), Failure> {
    if args.prove {
        return prove(app, args).await;
    }
    let balance = app.session()?.balance().await?;
    app.out.show(&balance, || {
        fields(&[("available", sats(balance.available_msat)), ("held", sats(balance.held_msat))])
    })
}

pub(crate) async fn statement(app: &App, args: StatementArgs) -> Result<(), Failure> {
    let session = app.session()?;
    let entries = paging::collect(args.limit, |page_size, page_token| {
        let session = session.clone();
        async move {
            let page =
                session.list_ledger_entries(ListLedgerEntriesRequest { page_size, page_token }).await?;
            Ok((page.entries, page.next_page_token))
        }
    })
    .await?;
    if !entries.is_empty() {
        app.out.progress(&format!("{:<21} {:<20} {:>16} {:>16}  for", "time", "what", "available", "held"));
    }
    for entry in &entries {
        app.out.show(entry, || line(entry))?;
    }
    if entries.is_empty() {
        app.out.progress("Nothing has moved yet. Put sats in: `poa deposit AMOUNT`.");
    }
    Ok(())
}

fn line(entry: &LedgerEntry) -> String {
    let kind = match entry.kind() {
        Kind::Unspecified => "unknown",
        Kind::Deposit => "deposit",
        Kind::Hold => "held for a task",
        Kind::Capture => "paid for a task",
        Kind::Refund => "refund",
        Kind::WithdrawReserve => "withdrawal reserved",
        Kind::Withdraw => "withdrawal",
        Kind::WithdrawReturn => "withdrawal returned",
        Kind::Fund => "hold invoice taken",
        Kind::Transfer => "withdrawal within",
    };
    format!(
        "{:<21} {kind:<20} {:>16} {:>16}  {}",
        describe::time(entry.create_time.as_ref()),
        signed_sats(entry.available_delta_msat),
        signed_sats(entry.held_delta_msat),
        entry.subject_id
    )
}

pub(crate) async fn escrow(app: &App, command: EscrowCommand) -> Result<(), Failure> {
    let EscrowCommand::Show { escrow_id } = command;
    let escrow = app.session()?.escrow(&escrow_id).await?;
    app.out.show(&escrow, || show(&escrow))
}

fn show(escrow: &Escrow) -> String {
    // What a hold invoice funds is there before anything is held.
    let made = if escrow.hold_invoice.is_some() { "made" } else { "held" };
    let mut rows = vec![
        ("escrow", escrow.escrow_id.clone()),
        ("task", escrow.task_id.clone()),
        ("state", describe::state(escrow.state().as_str_name())),
        ("amount", sats(escrow.amount_msat)),
        ("fee", sats(escrow.fee_msat)),
        ("payer", escrow.payer_id.clone()),
        (made, describe::time(escrow.create_time.as_ref())),
    ];
    if !escrow.payee_id.is_empty() {
        rows.push(("payee", escrow.payee_id.clone()));
    }
    rows.extend(describe_hold::of_escrow(escrow));
    if escrow.end_time.is_some() {
        rows.push(("ended", describe::time(escrow.end_time.as_ref())));
    }
    fields(&rows)
}

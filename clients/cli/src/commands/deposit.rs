//! `deposit`: sats in, over Lightning.

use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::StreamExt as _;
use poa_sdk::api::escrow::deposit::State;
use poa_sdk::api::escrow::{CreateDepositRequest, Deposit};
use poa_sdk::{Patience, Session};

use crate::app::App;
use crate::describe;
use crate::failure::{Exit, Failure};
use crate::units::{Amount, sats};

/// How long a watch tries to come back.
pub(crate) const WATCH_PATIENCE: Patience = Patience::Within(Duration::from_secs(60));

#[derive(Debug, Args)]
pub(crate) struct DepositArgs {
    #[command(subcommand)]
    command: Option<DepositCommand>,
    /// How much.
    #[arg(required = true)]
    amount: Option<Amount>,
    /// Wait until it is paid.
    #[arg(long)]
    wait: bool,
    /// Have the faucet of the simulated network pay it.
    #[arg(long)]
    faucet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DepositCommand {
    /// Show a deposit.
    Show {
        /// `dep_…`.
        deposit_id: String,
    },
}

pub(crate) async fn run(app: &App, args: DepositArgs) -> Result<(), Failure> {
    let session = app.session()?;
    if let Some(DepositCommand::Show { deposit_id }) = args.command {
        let deposit = session.deposit(&deposit_id).await?;
        return app.out.show(&deposit, || describe::deposit(&deposit));
    }
    let amount =
        args.amount.ok_or_else(|| Failure::new(Exit::Usage, "how much?").hint("run `poa deposit AMOUNT`"))?;
    let request = CreateDepositRequest { request_id: String::new(), amount_msat: app.msat(amount)? };
    let deposit = session.create_deposit(request).await?;
    if args.faucet {
        let paid = session.faucet_pay(&deposit.invoice).await?;
        app.out.progress(&format!("The faucet paid {}.", sats(paid)));
    } else {
        // The invoice is what one needs now, and the only line of standard output that is not JSON's.
        app.out.show(&deposit, || deposit.invoice.clone())?;
        app.out.progress(&format!(
            "Pay this invoice of {} before {}. See it: `poa deposit show {}`",
            sats(deposit.amount_msat),
            describe::time(deposit.expire_time.as_ref()),
            deposit.deposit_id
        ));
    }
    if !args.wait {
        return if args.faucet {
            app.out.show(&deposit, || format!("{}: paid, credited in a moment.", deposit.deposit_id))
        } else {
            Ok(())
        };
    }
    app.out.progress("Waiting for the payment…");
    let settled = settled(&session, &deposit.deposit_id).await?;
    app.out.show(&settled, || format!("Credited {} ({}).", sats(settled.credited_msat), settled.deposit_id))
}

/// Follows a deposit to its end.
pub(crate) async fn settled(session: &Session, deposit_id: &str) -> Result<Deposit, Failure> {
    let mut states = session.watch_deposit(deposit_id, WATCH_PATIENCE);
    while let Some(deposit) = states.next().await {
        let deposit = deposit?;
        match deposit.state() {
            State::Settled => return Ok(deposit),
            State::Expired => {
                let message = format!("the invoice of {deposit_id} was not paid in time");
                return Err(Failure::new(Exit::Refused, message).hint("make another: `poa deposit AMOUNT`"));
            }
            State::Open | State::Unspecified => {}
        }
    }
    Err(Failure::new(Exit::Unavailable, "the server ended the watch")
        .hint(format!("run `poa deposit show {deposit_id}`")))
}

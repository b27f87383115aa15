//! `withdraw`: sats out, over Lightning.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use poa_sdk::Session;
use poa_sdk::api::escrow::withdrawal::State;
use poa_sdk::api::escrow::{CreateWithdrawalRequest, ListWithdrawalsRequest, Withdrawal};

use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::units::{Amount, sats};
use crate::{describe, paging};

/// How often a payment under way is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long one waits for a payment. Lightning payments can take longer: then it goes on by itself.
const MAX_WAIT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    #[command(subcommand)]
    command: Option<WithdrawCommand>,
    /// A BOLT11 invoice with an amount.
    #[arg(required = true)]
    invoice: Option<String>,
    /// The largest routing fee [default: 1 % of the amount, at least 5 sat].
    #[arg(long, value_name = "AMOUNT")]
    fee_limit: Option<Amount>,
    /// Wait until it is paid or has failed.
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WithdrawCommand {
    /// Show a withdrawal.
    Show {
        /// `wdr_…`.
        withdrawal_id: String,
    },
    /// List your withdrawals.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
}

pub(crate) async fn run(app: &App, args: WithdrawArgs) -> Result<(), Failure> {
    let session = app.session()?;
    match args.command {
        Some(WithdrawCommand::Show { withdrawal_id }) => {
            let withdrawal = session.withdrawal(&withdrawal_id).await?;
            return app.out.show(&withdrawal, || describe::withdrawal(&withdrawal));
        }
        Some(WithdrawCommand::List { limit }) => return list(app, &session, limit).await,
        None => {}
    }
    let invoice = args
        .invoice
        .ok_or_else(|| Failure::new(Exit::Usage, "which invoice?").hint("run `poa withdraw INVOICE`"))?;
    let fee_limit_msat = args.fee_limit.map(|limit| app.msat(limit)).transpose()?;
    let request =
        CreateWithdrawalRequest { request_id: String::new(), invoice, fee_limit_msat, ..Default::default() };
    let withdrawal = session.create_withdrawal(request).await?;
    if !args.wait {
        app.out.show(&withdrawal, || describe::withdrawal(&withdrawal))?;
        app.out.progress(&format!(
            "It goes on by itself. See it: `poa withdraw show {}`",
            withdrawal.withdrawal_id
        ));
        return Ok(());
    }
    app.out.progress("Paying…");
    let ended = ended(&session, withdrawal).await?;
    app.out.show(&ended, || describe::withdrawal(&ended))?;
    match ended.state() {
        State::Succeeded => Ok(()),
        State::Failed => {
            Err(Failure::new(Exit::Refused, "the payment failed; the sats are back")
                .hint("try another invoice"))
        }
        State::Unspecified | State::Reserved | State::InFlight => {
            let hint = format!("it goes on by itself: `poa withdraw show {}`", ended.withdrawal_id);
            Err(Failure::new(Exit::Unavailable, "the payment is still on its way").hint(hint))
        }
    }
}

/// Follows a withdrawal to its end, or for as long as one waits.
pub(crate) async fn ended(session: &Session, withdrawal: Withdrawal) -> Result<Withdrawal, Failure> {
    let deadline = Instant::now() + MAX_WAIT;
    let mut withdrawal = withdrawal;
    loop {
        match withdrawal.state() {
            State::Succeeded | State::Failed => return Ok(withdrawal),
            State::Unspecified | State::Reserved | State::InFlight if Instant::now() >= deadline => {
                return Ok(withdrawal);
            }
            State::Unspecified | State::Reserved | State::InFlight => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        withdrawal = session.withdrawal(&withdrawal.withdrawal_id).await?;
    }
}

async fn list(app: &App, session: &Session, limit: usize) -> Result<(), Failure> {
    let withdrawals = paging::collect(limit, |page_size, page_token| async move {
        let page = session.list_withdrawals(ListWithdrawalsRequest { page_size, page_token }).await?;
        Ok((page.withdrawals, page.next_page_token))
    })
    .await?;
    for withdrawal in &withdrawals {
        app.out.show(withdrawal, || {
            let state = describe::state(withdrawal.state().as_str_name());
            let time = describe::time(withdrawal.create_time.as_ref());
            format!("{}  {state:<10} {:>14}  {time}", withdrawal.withdrawal_id, sats(withdrawal.amount_msat))
        })?;
    }
    if withdrawals.is_empty() {
        app.out.progress("No withdrawals yet.");
    }
    Ok(())
}

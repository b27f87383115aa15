//! `withdraw`: sats out, over Lightning.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use poa_sdk::Session;
use poa_sdk::api::escrow::withdrawal::State;
use poa_sdk::api::escrow::{
    CreateWithdrawalRequest, ListWithdrawalsRequest, ReplaceWithdrawalInvoiceRequest, Withdrawal,
};

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
    /// A BOLT11 invoice with an amount, or a Lightning address such as name@host.
    #[arg(required = true, value_name = "INVOICE|ADDRESS")]
    to: Option<String>,
    /// How much to send to a Lightning address; an invoice names its amount.
    #[arg(long, value_name = "AMOUNT")]
    amount: Option<Amount>,
    #[command(flatten)]
    payment: PaymentArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PaymentArgs {
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
    /// Pay a failed withdrawal by another invoice of the same amount.
    Replace {
        /// `wdr_…`: a withdrawal that failed.
        withdrawal_id: String,
        /// The invoice; without one the Lightning address of the failed withdrawal is asked again.
        invoice: Option<String>,
        #[command(flatten)]
        payment: PaymentArgs,
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
        Some(WithdrawCommand::Replace { withdrawal_id, invoice, payment }) => {
            let request = ReplaceWithdrawalInvoiceRequest {
                request_id: String::new(),
                withdrawal_id,
                invoice: invoice.unwrap_or_default(),
                fee_limit_msat: payment.fee_limit.map(|limit| app.msat(limit)).transpose()?,
            };
            let withdrawal = session.replace_withdrawal_invoice(request).await?;
            return under_way(app, &session, withdrawal, payment.wait).await;
        }
        None => {}
    }
    let to = args.to.ok_or_else(|| {
        Failure::new(Exit::Usage, "to which invoice?").hint("run `poa withdraw INVOICE|ADDRESS`")
    })?;
    let amount_msat = args.amount.map(|amount| app.msat(amount)).transpose()?;
    let (invoice, lightning_address, amount_msat) = destination(to, amount_msat)?;
    let request = CreateWithdrawalRequest {
        request_id: String::new(),
        invoice,
        fee_limit_msat: args.payment.fee_limit.map(|limit| app.msat(limit)).transpose()?,
        lightning_address,
        amount_msat,
    };
    let withdrawal = session.create_withdrawal(request).await?;
    under_way(app, &session, withdrawal, args.payment.wait).await
}

/// An invoice, a Lightning address, an amount: what an address has is an `@`, which no invoice holds.
fn destination(to: String, amount_msat: Option<i64>) -> Result<(String, String, i64), Failure> {
    match (to.contains('@'), amount_msat) {
        (true, Some(amount_msat)) => Ok((String::new(), to, amount_msat)),
        (true, None) => Err(Failure::new(Exit::Usage, "how much goes to the address?")
            .hint(format!("say it: `poa withdraw {to} --amount AMOUNT`"))),
        (false, None) => Ok((to, String::new(), 0)),
        (false, Some(_)) => Err(Failure::new(Exit::Usage, "an invoice names its amount: leave --amount out")
            .hint("only a Lightning address (name@host) takes an amount")),
    }
}

/// Says what goes on, and with `wait` what came of it.
async fn under_way(app: &App, session: &Session, withdrawal: Withdrawal, wait: bool) -> Result<(), Failure> {
    if !wait {
        app.out.show(&withdrawal, || describe::withdrawal(&withdrawal))?;
        app.out.progress(&format!(
            "It goes on by itself. See it: `poa withdraw show {}`",
            withdrawal.withdrawal_id
        ));
        return Ok(());
    }
    app.out.progress("Paying…");
    let ended = ended(session, withdrawal).await?;
    app.out.show(&ended, || describe::withdrawal(&ended))?;
    match ended.state() {
        State::Succeeded => Ok(()),
        State::Failed => {
            let id = &ended.withdrawal_id;
            let hint = if ended.lightning_address.is_empty() {
                format!("give another invoice of the same amount: `poa withdraw replace {id} INVOICE`")
            } else {
                format!("ask the address again: `poa withdraw replace {id}`")
            };
            Err(Failure::new(Exit::Refused, "the payment failed; the sats are back").hint(hint))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_takes_an_amount_and_an_invoice_names_its_own() {
        let to = |to: &str, amount| destination(to.to_owned(), amount);
        assert_eq!(to("lnsb1", None).unwrap(), ("lnsb1".to_owned(), String::new(), 0));
        assert_eq!(to("a@b.example", Some(5)).unwrap(), (String::new(), "a@b.example".to_owned(), 5));
        for (target, amount) in [("a@b.example", None), ("lnsb1", Some(5))] {
            let refused = to(target, amount).unwrap_err();
            assert_eq!(refused.exit(), Exit::Usage, "{target}: {}", refused.message());
        }
    }
}

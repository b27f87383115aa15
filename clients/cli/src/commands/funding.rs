//! Funding a task by a hold invoice: what `hire` does about it.

use std::time::Duration;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use poa_sdk::Session;
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{Funding as ApiFunding, Task};
use poa_sdk::hold::cltv_blocks;

use super::deposit::WATCH_PATIENCE;
use crate::app::App;
use crate::describe_hold;
use crate::failure::{Exit, Failure};
use crate::output::one_line;
use crate::units::sats;

/// How long the node may take to make an invoice. After that the task is watched by whoever wants to.
const INVOICE_PATIENCE: Duration = Duration::from_secs(30);

/// What the contract has where a request names no span.
const OPEN_UNSET: Duration = Duration::from_secs(86_400);
const WORK_UNSET: Duration = Duration::from_secs(3_600);
const REVIEW_UNSET: Duration = Duration::from_secs(86_400);

/// Where a task's price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Funding {
    /// Your balance on this platform.
    Balance,
    /// An invoice that a wallet of your own pays: it locks the sats in your own channel until they are released.
    HoldInvoice,
}

impl From<Funding> for ApiFunding {
    fn from(funding: Funding) -> Self {
        match funding {
            Funding::Balance => Self::Balance,
            Funding::HoldInvoice => Self::HoldInvoice,
        }
    }
}

/// How many blocks the invoice of a task would lock the sats: the offer, the work and the review take so long, or what the
/// contract has where they are unset.
pub(super) fn lock_blocks([open, work, review]: [Option<Duration>; 3]) -> Result<u16, Failure> {
    let seconds = |span: Option<Duration>, unset: Duration| {
        u32::try_from(span.unwrap_or(unset).as_secs()).unwrap_or(u32::MAX)
    };
    cltv_blocks(seconds(open, OPEN_UNSET), seconds(work, WORK_UNSET), seconds(review, REVIEW_UNSET)).map_err(
        |long| {
            Failure::new(Exit::Refused, long.to_string()).hint(
                "ask for shorter times (--open-for, --work-for, --review-for), or fund it from your balance",
            )
        },
    )
}

/// The task once its invoice is there to be paid, or once it is past that.
pub(super) async fn invoiced(session: &Session, task: Task) -> Result<Task, Failure> {
    let id = task.task_id.clone();
    let watching = async {
        let mut states = session.watch_task(&id, WATCH_PATIENCE);
        let mut task = task;
        while is_preparing(&task) {
            match states.next().await {
                Some(next) => task = next?,
                None => break,
            }
        }
        Ok::<Task, Failure>(task)
    };
    let hint = format!("it goes on by itself: `poa watch {id}` shows the invoice");
    let late = || Failure::new(Exit::Unavailable, "there is no invoice yet").hint(hint);
    let task = tokio::time::timeout(INVOICE_PATIENCE, watching).await.map_err(|_elapsed| late())??;
    if task.state() == State::Canceled {
        return Err(Failure::new(
            Exit::Refused,
            format!("the task could not be funded: {}", one_line(&task.note)),
        ));
    }
    Ok(task)
}

fn is_preparing(task: &Task) -> bool {
    match task.state() {
        State::Funding => true,
        State::AwaitingFunds => describe_hold::to_pay(task).is_none(),
        State::Unspecified
        | State::Open
        | State::Claimed
        | State::Submitted
        | State::Rejected
        | State::Releasing
        | State::Completed
        | State::Refunding
        | State::Canceled
        | State::Expired => false,
    }
}
/// Hands the invoice over, as the only line of standard output, or has the faucet pay it.
pub(super) async fn hand_over(
    app: &App,
    session: &Session,
    task: &Task,
    faucet: bool,
) -> Result<(), Failure> {
    let id = &task.task_id;
    if faucet {
        pay(app, session, task).await?;
        app.out.show(task, || format!("{id}: its sats are locked, it opens in a moment."))?;
    } else {
        let invoice = describe_hold::to_pay(task).map(|invoice| invoice.invoice.clone()).unwrap_or_default();
        app.out.show(task, || invoice)?;
        app.out.progress(&describe_hold::offer(task));
    }
    app.out.progress(&format!("Follow it: `poa watch {id}`"));
    Ok(())
}

/// Has the faucet of the simulated network pay the invoice.
pub(super) async fn pay(app: &App, session: &Session, task: &Task) -> Result<(), Failure> {
    if let Some(invoice) = describe_hold::to_pay(task) {
        let paid = session.faucet_pay(&invoice.invoice).await?;
        app.out.progress(&format!("The faucet's wallet locked {}.", sats(paid)));
    }
    Ok(())
}
#[cfg(test)]
mod tests {
    use poa_sdk::api::task::FundingInvoice;

    use super::*;

    #[test]
    fn an_invoice_is_waited_for_while_there_is_none() {
        let preparing = Task { state: State::AwaitingFunds.into(), ..Task::default() };
        let invoice = FundingInvoice { invoice: "lnsb1x".to_owned(), ..FundingInvoice::default() };
        let waiting = Task { funding_invoice: Some(invoice), ..preparing.clone() };
        let funding = Task { state: State::Funding.into(), ..Task::default() };
        assert!(is_preparing(&funding) && is_preparing(&preparing) && !is_preparing(&waiting));
    }

    #[test]
    fn a_task_that_takes_too_long_for_a_lock_is_refused_before_it_is_asked_for() {
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(lock_blocks([None; 3]).unwrap(), 477, "a day, an hour, a day");
        assert_eq!(lock_blocks([day, Some(Duration::from_secs(3_600)), day]).unwrap(), 477);
        let week = Some(Duration::from_secs(7 * 86_400));
        let refused = lock_blocks([week; 3]).unwrap_err();
        assert_eq!(refused.exit(), Exit::Refused, "{}", refused.message());
    }
}

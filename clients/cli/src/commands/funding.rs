//! Funding a task by a hold invoice: what `hire` says of it, and how it shows in tasks and escrows.

use std::time::Duration;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use poa_sdk::Session;
use poa_sdk::api::escrow::escrow::State as EscrowState;
use poa_sdk::api::escrow::{Escrow, HoldInvoice};
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{Funding as ApiFunding, FundingInvoice, ReleasePolicy, Task};
use poa_sdk::hold::cltv_blocks;

use super::deposit::WATCH_PATIENCE;
use crate::app::App;
use crate::describe;
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
        State::AwaitingFunds => to_pay(task).is_none(),
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

/// The invoice that waits to be paid.
fn to_pay(task: &Task) -> Option<&FundingInvoice> {
    let invoice = task.funding_invoice.as_ref().filter(|invoice| !invoice.invoice.is_empty());
    invoice.filter(|_| task.state() == State::AwaitingFunds)
}

/// The part of a task's invoice that a wallet has locked.
fn locked(task: &Task) -> Option<&FundingInvoice> {
    task.funding_invoice.as_ref().filter(|invoice| invoice.paid_msat > 0)
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
        let invoice = to_pay(task).map(|invoice| invoice.invoice.clone()).unwrap_or_default();
        app.out.show(task, || invoice)?;
        app.out.progress(&offer(task));
    }
    app.out.progress(&format!("Follow it: `poa watch {id}`"));
    Ok(())
}

/// Has the faucet of the simulated network pay the invoice.
pub(super) async fn pay(app: &App, session: &Session, task: &Task) -> Result<(), Failure> {
    if let Some(invoice) = to_pay(task) {
        let paid = session.faucet_pay(&invoice.invoice).await?;
        app.out.progress(&format!("The faucet's wallet locked {}.", sats(paid)));
    }
    Ok(())
}

/// What is new about the invoice since the task was seen last, for whoever follows it.
pub(super) fn news(before: Option<&Task>, task: &Task) -> Option<String> {
    if let (Some(invoice), None) = (to_pay(task), before.and_then(to_pay)) {
        return Some(format!("{}\n{}", invoice.invoice, offer(task)));
    }
    match (locked(task), before.and_then(locked)) {
        (Some(invoice), None) => Some(lock(invoice)),
        (Some(_) | None, _) => None,
    }
}

/// What paying the invoice means: how much, until when, and who moves the sats.
fn offer(task: &Task) -> String {
    let until = task.funding_invoice.as_ref().and_then(|invoice| invoice.expire_time.as_ref());
    let released = match task.release_policy() {
        ReleasePolicy::Unspecified => "when the result is released",
        ReleasePolicy::OnAttestation => "as soon as the receipt is logged and the criteria hold",
        ReleasePolicy::OnAcceptance => "when you accept the result, or your review time passes",
    };
    format!(
        "Pay this invoice of {price} before {until}, from a wallet of your own.\n  \
         It locks the sats in your own channel. The platform takes them {released}:\n  \
         {payee} for the agent, {fee} for itself. Until then nobody has them.\n  \
         They go back where nobody delivers in time, where you cancel before a claim (`poa cancel {id}`),\n  \
         and by themselves at a block height that your payment fixes: see `poa task show {id}`.",
        price = sats(task.price_msat),
        until = describe::time(until),
        payee = sats(task.payee_msat),
        fee = sats(task.fee_msat),
        id = task.task_id,
    )
}

/// What is locked, until which block, and what is decided before.
fn lock(invoice: &FundingInvoice) -> String {
    format!(
        "{} are locked in your channel, until block {} at most. At block {} the platform decides: what nobody has \
         delivered for goes back, what is submitted it takes into its ledger, to be released or refunded there.",
        sats(invoice.paid_msat),
        invoice.expiry_height,
        invoice.guard_height,
    )
}

/// Where a task's price comes from, for a list of its properties; `None` where it is the balance, as ever.
pub(crate) fn of_task(task: &Task) -> Option<String> {
    match task.funding() {
        ApiFunding::Unspecified | ApiFunding::Balance => None,
        ApiFunding::HoldInvoice => Some(match (locked(task), to_pay(task)) {
            (Some(invoice), _) if is_ended(task) => {
                format!("hold invoice, by which {} were locked", sats(invoice.paid_msat))
            }
            (Some(invoice), _) => {
                let lock = heights(invoice.paid_msat, invoice.expiry_height, invoice.guard_height);
                format!("hold invoice: {lock}")
            }
            (None, Some(invoice)) => {
                format!("hold invoice, to be paid before {}", describe::time(invoice.expire_time.as_ref()))
            }
            (None, None) => "hold invoice".to_owned(),
        }),
    }
}

/// Whether nothing is locked any more.
fn is_ended(task: &Task) -> bool {
    match task.state() {
        State::Completed | State::Canceled | State::Expired => true,
        State::Unspecified
        | State::Funding
        | State::AwaitingFunds
        | State::Open
        | State::Claimed
        | State::Submitted
        | State::Rejected
        | State::Releasing
        | State::Refunding => false,
    }
}

/// The invoice itself, while it can be paid.
pub(crate) fn invoice_of_task(task: &Task) -> Option<String> {
    to_pay(task).map(|invoice| invoice.invoice.clone())
}

fn heights(paid_msat: i64, expiry_height: i32, guard_height: i32) -> String {
    format!("{} locked until block {expiry_height} at most, decided at block {guard_height}", sats(paid_msat))
}

/// How the hold invoice of an escrow stands, as rows of its properties.
pub(super) fn of_escrow(escrow: &Escrow) -> Vec<(&'static str, String)> {
    let Some(invoice) = &escrow.hold_invoice else { return Vec::new() };
    let mut rows = vec![("hold invoice", standing(escrow.state(), invoice))];
    match escrow.state() {
        EscrowState::Accepted | EscrowState::Settling | EscrowState::Canceling => {
            let lock = heights(invoice.paid_msat, invoice.expiry_height, invoice.guard_height);
            rows.push(("lock", lock));
        }
        EscrowState::Unspecified
        | EscrowState::Held
        | EscrowState::Released
        | EscrowState::Refunded
        | EscrowState::Void
        | EscrowState::Awaiting
        | EscrowState::Canceled
        | EscrowState::FundingLost => {}
    }
    if invoice.accept_time.is_some() {
        let time = describe::time(invoice.accept_time.as_ref());
        rows.push(("paid", format!("{} on {time}", sats(invoice.paid_msat))));
    }
    rows.push(("payment hash", hex::encode(&invoice.payment_hash)));
    if escrow.state() == EscrowState::Awaiting && !invoice.invoice.is_empty() {
        rows.push(("invoice", invoice.invoice.clone()));
    }
    rows
}

fn standing(state: EscrowState, invoice: &HoldInvoice) -> String {
    match state {
        EscrowState::Awaiting => {
            format!("waits to be paid before {}", describe::time(invoice.expire_time.as_ref()))
        }
        EscrowState::Accepted => "paid: the sats are locked in the payer's channel".to_owned(),
        EscrowState::Settling => {
            "the locked sats are being taken: no way back until they are held".to_owned()
        }
        EscrowState::Held | EscrowState::Released | EscrowState::Refunded => {
            "taken: the sats were held in the ledger".to_owned()
        }
        EscrowState::Canceling => "the locked sats are being given back".to_owned(),
        EscrowState::Canceled => "given back, or never paid: nothing was taken".to_owned(),
        EscrowState::FundingLost => "the locked sats went back to the payer: nothing was released".to_owned(),
        EscrowState::Unspecified | EscrowState::Void => "none was made".to_owned(),
    }
}

/// What became of the sats of a task that ended without a result.
pub(super) fn after(task: &Task) -> &'static str {
    match task.funding() {
        ApiFunding::Unspecified | ApiFunding::Balance => "the sats are back: see `poa balance`",
        ApiFunding::HoldInvoice => {
            "locked sats are back in your wallet; what had been taken before is in `poa balance`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Task {
        let invoice = FundingInvoice { invoice: "lnsb1x".to_owned(), ..FundingInvoice::default() };
        Task {
            task_id: "task_1".to_owned(),
            state: State::AwaitingFunds.into(),
            funding: ApiFunding::HoldInvoice.into(),
            release_policy: ReleasePolicy::OnAttestation.into(),
            price_msat: 100_000,
            payee_msat: 95_000,
            fee_msat: 5_000,
            funding_invoice: Some(invoice),
            ..Task::default()
        }
    }

    fn paid() -> Task {
        let invoice = FundingInvoice {
            paid_msat: 100_000,
            expiry_height: 912,
            guard_height: 876,
            ..FundingInvoice::default()
        };
        Task { state: State::Open.into(), funding_invoice: Some(invoice), ..waiting() }
    }

    #[test]
    fn whoever_follows_a_task_hears_of_its_invoice_once_and_of_the_lock_once() {
        let (waiting, paid) = (waiting(), paid());
        let preparing = Task { funding_invoice: None, ..waiting.clone() };
        assert!(is_preparing(&preparing) && !is_preparing(&waiting));
        assert_eq!(news(None, &preparing), None);
        let said = news(Some(&preparing), &waiting).unwrap();
        for part in ["lnsb1x\n", "100 sat", "95 sat", "5 sat", "receipt is logged", "poa task show task_1"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(news(Some(&waiting), &waiting), None);
        let said = news(Some(&waiting), &paid).unwrap();
        assert!(said.contains("until block 912") && said.contains("At block 876"), "{said}");
        assert_eq!(news(Some(&paid), &paid), None);
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

    #[test]
    fn a_task_shows_its_invoice_while_it_can_be_paid_and_its_lock_afterwards() {
        assert_eq!(invoice_of_task(&waiting()).as_deref(), Some("lnsb1x"));
        assert!(of_task(&waiting()).unwrap().contains("to be paid before"));
        assert_eq!(invoice_of_task(&paid()), None);
        assert!(of_task(&paid()).unwrap().contains("100 sat locked until block 912"));
        let ended = Task { state: State::Canceled.into(), ..paid() };
        assert!(of_task(&ended).unwrap().contains("100 sat were locked"), "and are not any more");
        assert_eq!(of_task(&Task { funding: 1, ..paid() }), None);
    }

    #[test]
    fn an_escrow_says_how_its_hold_invoice_stands() {
        let rows = |state: EscrowState, paid_msat| {
            let hold_invoice =
                HoldInvoice { invoice: "lnsb1x".to_owned(), paid_msat, ..HoldInvoice::default() };
            let escrow =
                Escrow { state: state.into(), hold_invoice: Some(hold_invoice), ..Escrow::default() };
            of_escrow(&escrow)
                .into_iter()
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect::<String>()
        };
        assert!(of_escrow(&Escrow::default()).is_empty(), "the balance pays");
        let text = rows(EscrowState::Awaiting, 0);
        assert!(text.contains("waits to be paid") && text.contains("invoice: lnsb1x"), "{text}");
        let text = rows(EscrowState::Accepted, 100_000);
        assert!(text.contains("locked in the payer's channel") && !text.contains("lnsb1x"), "{text}");
        assert!(rows(EscrowState::FundingLost, 100_000).contains("nothing was released"));
    }
}

//! How a hold invoice shows: in tasks, in escrows, and to whoever follows a task.

use poa_sdk::api::escrow::escrow::State as EscrowState;
use poa_sdk::api::escrow::{Escrow, HoldInvoice};
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{Funding, FundingInvoice, ReleasePolicy, Task};

use crate::describe;
use crate::units::sats;

/// The invoice that waits to be paid.
pub(crate) fn to_pay(task: &Task) -> Option<&FundingInvoice> {
    let invoice = task.funding_invoice.as_ref().filter(|invoice| !invoice.invoice.is_empty());
    invoice.filter(|_| task.state() == State::AwaitingFunds)
}

/// The part of a task's invoice that a wallet has locked.
fn locked(task: &Task) -> Option<&FundingInvoice> {
    task.funding_invoice.as_ref().filter(|invoice| invoice.paid_msat > 0)
}
/// What is new about the invoice since the task was seen last, for whoever follows it.
pub(crate) fn news(before: Option<&Task>, task: &Task) -> Option<String> {
    if let (Some(invoice), None) = (to_pay(task), before.and_then(to_pay)) {
        return Some(format!("{}\n{}", invoice.invoice, offer(task)));
    }
    match (locked(task), before.and_then(locked)) {
        (Some(invoice), None) => Some(lock(invoice)),
        (Some(_) | None, _) => None,
    }
}

/// What paying the invoice means: how much, until when, and who moves the sats.
pub(crate) fn offer(task: &Task) -> String {
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
        Funding::Unspecified | Funding::Balance => None,
        Funding::HoldInvoice => Some(match (locked(task), to_pay(task)) {
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
pub(crate) fn of_escrow(escrow: &Escrow) -> Vec<(&'static str, String)> {
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
pub(crate) fn after(task: &Task) -> &'static str {
    match task.funding() {
        Funding::Unspecified | Funding::Balance => "the sats are back: see `poa balance`",
        Funding::HoldInvoice => {
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
            funding: Funding::HoldInvoice.into(),
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

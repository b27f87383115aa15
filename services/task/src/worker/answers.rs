//! Escrow's answers, read: how an escrow stands, and what that says to the step that asked.

use poa_common::{Msat, Timestamp, TransferId};
use poa_proto::escrow::v1::escrow::State as Standing;
use poa_proto::escrow::v1::{self as proto, Escrow};
use proof_of_agent::Rail;

use super::outcome::Outcome;
use super::peers::CallError;
use crate::domain::{Bolt11, Fate, Lock, News};

type Read = Result<Outcome, CallError>;

/// Escrow was asked to hold the price.
pub(super) fn held(answer: &proto::HoldFundsResponse, rail: Rail) -> Read {
    match rail {
        Rail::Balance => Ok(Outcome::Held(None)),
        Rail::HoldInvoice => locked(answer.escrow.as_ref()),
    }
}

fn locked(escrow: Option<&Escrow>) -> Read {
    let escrow = escrow.ok_or_else(nothing)?;
    match escrow.state() {
        // The invoice is still being made.
        Standing::Awaiting if invoice(escrow).is_none() => Ok(Outcome::Pending),
        Standing::Awaiting => Ok(Outcome::Awaiting(lock(escrow)?)),
        Standing::Accepted | Standing::Settling | Standing::Held | Standing::Released => {
            Ok(Outcome::Held(Some(lock(escrow)?)))
        }
        Standing::Canceling => Ok(Outcome::Pending),
        Standing::Canceled | Standing::Refunded | Standing::Void | Standing::FundingLost => {
            let paid = escrow.hold_invoice.as_ref().is_some_and(|hold| hold.paid_msat > 0);
            Ok(Outcome::Unpaid { paid })
        }
        Standing::Unspecified => Err(unexpected(escrow)),
    }
}

/// Escrow was asked to take what is locked.
pub(super) fn secured(answer: &proto::SecureEscrowResponse) -> Read {
    let escrow = answer.escrow.as_ref().ok_or_else(nothing)?;
    match escrow.state() {
        Standing::Held | Standing::Released => Ok(Outcome::Secured),
        Standing::Accepted | Standing::Settling => Ok(Outcome::Pending),
        Standing::FundingLost => Ok(Outcome::Lost),
        Standing::Unspecified
        | Standing::Refunded
        | Standing::Void
        | Standing::Awaiting
        | Standing::Canceling
        | Standing::Canceled => Err(unexpected(escrow)),
    }
}

/// Escrow was asked to pay.
pub(super) fn captured(answer: &proto::CaptureEscrowResponse) -> Read {
    match answer.escrow.as_ref().map(Escrow::state) {
        Some(Standing::Accepted | Standing::Settling | Standing::Held) => Ok(Outcome::Pending),
        Some(Standing::FundingLost) => Ok(Outcome::Lost),
        // What it moved says that it paid.
        _ => transfer(&answer.transfer_id).map(Outcome::Captured),
    }
}

/// Escrow was asked to give the price back.
pub(super) fn refunded(answer: &proto::RefundEscrowResponse) -> Read {
    match answer.escrow.as_ref().map(Escrow::state) {
        Some(Standing::Canceling) => Ok(Outcome::Pending),
        Some(Standing::FundingLost) => Ok(Outcome::Lost),
        // Without a transfer nothing was ever in the ledger.
        _ if answer.transfer_id.is_empty() => Ok(Outcome::Refunded(None)),
        _ => transfer(&answer.transfer_id).map(|transfer| Outcome::Refunded(Some(transfer))),
    }
}

/// What an event says of an escrow, as far as it lasts and the task has no step of its own that asks for it: that sats are
/// held or have moved is the answer to a call.
pub(super) fn news(escrow: &Escrow, guard_reached: bool) -> News {
    let fate = match escrow.state() {
        Standing::Canceled => Some(Fate::Returned),
        Standing::FundingLost => Some(Fate::Lost),
        Standing::Unspecified
        | Standing::Void
        | Standing::Awaiting
        | Standing::Accepted
        | Standing::Settling
        | Standing::Canceling
        | Standing::Held
        | Standing::Released
        | Standing::Refunded => None,
    };
    News { lock: invoice(escrow).and_then(read), guard_reached, fate }
}

fn invoice(escrow: &Escrow) -> Option<&proto::HoldInvoice> {
    escrow.hold_invoice.as_ref().filter(|hold| !hold.invoice.is_empty())
}

fn lock(escrow: &Escrow) -> Result<Lock, CallError> {
    invoice(escrow)
        .and_then(read)
        .ok_or_else(|| CallError::Unknown("escrow answered a hold invoice that cannot be read".to_owned()))
}

fn read(hold: &proto::HoldInvoice) -> Option<Lock> {
    let expires = hold.expire_time.as_ref()?;
    let nanos = i128::from(expires.seconds) * 1_000_000_000 + i128::from(expires.nanos);
    Some(Lock {
        invoice: Bolt11(hold.invoice.clone()),
        expires: Timestamp::from_unix_timestamp_nanos(nanos).ok()?,
        paid: Some(Msat::new(hold.paid_msat)).filter(|paid| !paid.is_negative())?,
        expiry_height: u32::try_from(hold.expiry_height).ok()?,
        guard_height: u32::try_from(hold.guard_height).ok()?,
    })
}

fn transfer(text: &str) -> Result<TransferId, CallError> {
    text.parse().map_err(|_| CallError::Unknown(format!("`{text}` is not a transfer's id")))
}

fn nothing() -> CallError {
    CallError::Unknown("escrow answered without an escrow".to_owned())
}

fn unexpected(escrow: &Escrow) -> CallError {
    CallError::Unknown(format!("escrow answered {}, which makes no sense here", escrow.state().as_str_name()))
}

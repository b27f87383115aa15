//! Between messages and domain types: the boundary at which everything is checked.

use poa_common::{AccountId, FieldViolation, IdError, Msat, Timestamp, TransferId, TypedId};
use poa_proto::escrow::v1 as pb;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::address::LightningAddress;
use crate::domain::deposit::{self, Deposit};
use crate::domain::destination::Destination;
use crate::domain::escrow::{self, Escrow};
use crate::domain::fee::BasisPoints;
use crate::domain::fee_schedule::Schedule;
use crate::domain::hold_invoice::HoldInvoice;
use crate::domain::postings::Kind;
use crate::domain::withdrawal::{self, Withdrawal};
use crate::error::Error;
use crate::lnurl::AddressProblem;
use crate::store::entries::Entry;
use crate::store::payout_switch::Switch;

/// How the contract says that an account's own fee ends.
pub(super) const FEE_ENDS: i32 = -1;

/// The id in a field that names one thing.
pub(super) fn id<T: TypedId>(field: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: IdError| Error::field(field, error.to_string()))
}

/// The digest of a request: what tells another payload under the same id from the same one.
pub(super) fn fingerprint(message: &impl prost::Message) -> [u8; 32] {
    Sha256::digest(message.encode_to_vec()).into()
}

/// All violations at once.
pub(super) fn refuse(violations: Vec<FieldViolation>) -> Result<(), Error> {
    if violations.is_empty() {
        return Ok(());
    }
    Err(Error::Chassis(poa_chassis::Error::FieldsInvalid(violations)))
}

pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        // Below 10^9, so it always fits.
        nanos: i32::try_from(time.nanosecond()).unwrap_or(0),
    }
}

pub(super) fn transfer(id: Option<TransferId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(super) fn deposit(deposit: &Deposit) -> pb::Deposit {
    let state = match deposit.state {
        deposit::State::Open => pb::deposit::State::Open,
        deposit::State::Settled => pb::deposit::State::Settled,
        deposit::State::Expired => pb::deposit::State::Expired,
    };
    pb::Deposit {
        deposit_id: deposit.id.to_string(),
        state: state.into(),
        amount_msat: deposit.amount.get(),
        credited_msat: deposit.credited.get(),
        invoice: deposit.invoice.clone(),
        payment_hash: deposit.hash.as_bytes().to_vec(),
        create_time: Some(timestamp(deposit.create_time)),
        expire_time: Some(timestamp(deposit.expire_time)),
        settle_time: deposit.settle_time.map(timestamp),
    }
}

pub(super) fn withdrawal(withdrawal: &Withdrawal) -> pb::Withdrawal {
    let state = match withdrawal.state {
        withdrawal::State::Reserved => pb::withdrawal::State::Reserved,
        withdrawal::State::Dispatched => pb::withdrawal::State::InFlight,
        withdrawal::State::Succeeded => pb::withdrawal::State::Succeeded,
        withdrawal::State::Failed => pb::withdrawal::State::Failed,
    };
    pb::Withdrawal {
        withdrawal_id: withdrawal.id.to_string(),
        state: state.into(),
        amount_msat: withdrawal.amount.get(),
        fee_limit_msat: withdrawal.fee_limit.get(),
        fee_msat: withdrawal.fee.get(),
        invoice: withdrawal.invoice.clone(),
        payment_hash: withdrawal.hash.as_bytes().to_vec(),
        preimage: withdrawal
            .preimage
            .as_ref()
            .map(|preimage| preimage.as_bytes().to_vec())
            .unwrap_or_default(),
        failure: withdrawal.failure.clone().unwrap_or_default(),
        create_time: Some(timestamp(withdrawal.create_time)),
        end_time: withdrawal.end_time.map(timestamp),
        lightning_address: withdrawal.origin.address.clone().unwrap_or_default(),
        replaces: withdrawal.origin.replaces.map(|id| id.to_string()).unwrap_or_default(),
        replaced_by: withdrawal.origin.replaced_by.map(|id| id.to_string()).unwrap_or_default(),
        internal: withdrawal.state == withdrawal::State::Succeeded && withdrawal.deposit.is_some(),
        automatic: withdrawal.origin.automatic,
    }
}

pub(super) fn escrow(escrow: &Escrow) -> pb::Escrow {
    let state = match escrow.state {
        escrow::State::Held => pb::escrow::State::Held,
        escrow::State::Released => pb::escrow::State::Released,
        escrow::State::Refunded => pb::escrow::State::Refunded,
        escrow::State::Void => pb::escrow::State::Void,
        escrow::State::Awaiting => pb::escrow::State::Awaiting,
        escrow::State::Accepted => pb::escrow::State::Accepted,
        escrow::State::Settling => pb::escrow::State::Settling,
        escrow::State::Canceling => pb::escrow::State::Canceling,
        escrow::State::Canceled => pb::escrow::State::Canceled,
        escrow::State::FundingLost => pb::escrow::State::FundingLost,
    };
    let account = |account: Option<AccountId>| account.map(|id| id.to_string()).unwrap_or_default();
    pb::Escrow {
        escrow_id: escrow.id.to_string(),
        task_id: escrow.task.to_string(),
        payer_id: account(escrow.payer),
        payee_id: account(escrow.payee),
        state: state.into(),
        amount_msat: escrow.amount.get(),
        fee_msat: escrow.fee.get(),
        create_time: Some(timestamp(escrow.create_time)),
        end_time: escrow.end_time.map(timestamp),
        hold_invoice: escrow.hold_invoice.as_ref().map(hold_invoice),
    }
}

fn hold_invoice(invoice: &HoldInvoice) -> pb::HoldInvoice {
    // No chain is that long.
    let height = |blocks: u32| i32::try_from(blocks).unwrap_or(i32::MAX);
    pb::HoldInvoice {
        invoice: invoice.bolt11.clone().unwrap_or_default(),
        payment_hash: invoice.hash.as_bytes().to_vec(),
        expire_time: invoice.expire_time.map(timestamp),
        paid_msat: invoice.memo.map_or(0, |memo| memo.paid.get()),
        accept_time: invoice.memo.map(|memo| timestamp(memo.accept_time)),
        expiry_height: invoice.memo.map_or(0, |memo| height(memo.expiry_height)),
        guard_height: invoice.guard_height().map_or(0, height),
    }
}

pub(super) fn entry(entry: &Entry) -> pb::LedgerEntry {
    use pb::ledger_entry::Kind as Shown;
    use poa_common::{DepositId, EscrowId, WithdrawalId};
    let deposit = || DepositId::from_uuid(entry.subject).to_string();
    let escrow = || EscrowId::from_uuid(entry.subject).to_string();
    let withdrawal = || WithdrawalId::from_uuid(entry.subject).to_string();
    let (kind, subject_id) = match entry.kind {
        Kind::Deposit => (Shown::Deposit, deposit()),
        Kind::Hold => (Shown::Hold, escrow()),
        Kind::Fund => (Shown::Fund, escrow()),
        // The fee moves between accounts of the platform: no user's journal has one.
        Kind::Capture | Kind::Fee => (Shown::Capture, escrow()),
        Kind::Refund => (Shown::Refund, escrow()),
        Kind::WithdrawReserve => (Shown::WithdrawReserve, withdrawal()),
        Kind::Withdraw => (Shown::Withdraw, withdrawal()),
        Kind::WithdrawReturn => (Shown::WithdrawReturn, withdrawal()),
        // Of the payee it is the deposit that was paid, of the payer the withdrawal that paid it.
        Kind::Transfer => match entry.paid_deposit {
            Some(deposit) => (Shown::Transfer, deposit.to_string()),
            None => (Shown::Transfer, withdrawal()),
        },
    };
    pb::LedgerEntry {
        transfer_id: entry.transfer.to_string(),
        kind: kind.into(),
        available_delta_msat: entry.available.get(),
        held_delta_msat: entry.held.get(),
        subject_id,
        create_time: Some(timestamp(entry.time)),
    }
}

/// A share as the contract has it.
pub(super) fn basis_points(fee: BasisPoints) -> i32 {
    // At most 10,000, so it always fits.
    i32::try_from(fee.get()).unwrap_or(0)
}

/// A fee from a moment on. The configured one has no start.
pub(super) fn fee_schedule(schedule: &Schedule) -> pb::FeeSchedule {
    let configured = schedule.start == Timestamp::UNIX_EPOCH;
    pb::FeeSchedule {
        account_id: schedule.account.map(|id| id.to_string()).unwrap_or_default(),
        fee_basis_points: schedule.fee.map_or(FEE_ENDS, basis_points),
        start_time: (!configured).then(|| timestamp(schedule.start)),
    }
}

/// A moment in a field, in whole microseconds: what the database keeps.
pub(super) fn moment(field: &'static str, given: prost_types::Timestamp) -> Result<Timestamp, Error> {
    let micros = i128::from(given.seconds) * 1_000_000 + i128::from(given.nanos / 1_000);
    let sound = (0..1_000_000_000).contains(&given.nanos);
    let read = Timestamp::from_unix_timestamp_nanos(micros * 1_000).ok().filter(|_| sound);
    read.ok_or_else(|| Error::field(field, "is no moment of the calendar"))
}

pub(super) fn destination(destination: &Destination) -> pb::PayoutDestination {
    let (pending, effective) = destination.pending.clone().unzip();
    pb::PayoutDestination {
        lightning_address: destination.address.clone().unwrap_or_default(),
        automatic_threshold_msat: destination.threshold.get(),
        pending_lightning_address: pending.unwrap_or_default(),
        pending_effective_time: effective.map(timestamp),
        automatic_problem: destination.problem.clone(),
        etag: format!("{:x}", destination.version),
    }
}

pub(super) fn payout_switch(switch: &Switch) -> pb::PayoutSwitch {
    pb::PayoutSwitch {
        paused: switch.paused,
        reason: switch.reason.clone(),
        change_time: switch.change_time.map(timestamp),
    }
}

/// A Lightning address.
pub(super) fn address(text: &str) -> Result<LightningAddress, Error> {
    LightningAddress::parse(text).map_err(|_| AddressProblem::Malformed.into())
}

/// An amount that the contract has bounded.
pub(super) fn msat(amount: i64) -> Msat {
    Msat::new(amount)
}

/// The UUID of a `request_id` that the contract has checked.
pub(super) fn request_id(text: &str) -> Result<Uuid, Error> {
    Ok(poa_chassis::request_uuid(text)?)
}

//! What LND's codes, texts and states mean to us: all of it, and nowhere else.
//!
//! LND answers most refusals with the code UNKNOWN and the text of a Go error, so the texts are the contract. A text is taken
//! only with its code and, where it has no variable part, only whole. What is not in here is no answer.

use poa_common::{Msat, Timestamp};
use tonic::{Code, Status};

use super::connection::Refused;
use super::contract::lnrpc::htlc_attempt::HtlcStatus;
use super::contract::lnrpc::invoice::InvoiceState as NodeState;
use super::contract::lnrpc::payment::PaymentStatus;
use super::contract::lnrpc::{self, InvoiceHtlc, InvoiceHtlcState, PaymentFailureReason};
use super::trouble::Trouble;
use crate::{Doubt, Error, FailureReason, InvoiceState, Outcome, PaymentHash, Preimage, Refusal};

/// The invoice is not there: by its hash, and where the node never had any.
const ABSENT: [&str; 2] = ["unable to locate invoice", "there are no existing invoices"];
/// A verb that the invoice's state forbids, and that state.
const WRONG_STATE: [(&str, &str); 4] = [
    ("invoice still open", "open"),
    ("invoice already canceled", "canceled"),
    ("invoice already settled", "settled"),
    ("invoice with payment hash already exists", "existing"),
];
/// How the texts about a wrong request begin.
const INVALID: [(&str, &str); 13] = [
    ("invalid hash length of ", "a hash that is not 32 bytes"),
    ("invalid preimage length of ", "a preimage that is not 32 bytes"),
    ("unable to parse pay hash: ", "a hash that is not 32 bytes"),
    ("payment hash must be exactly 32 bytes", "a hash that is not 32 bytes"),
    ("invoice ref must be set", "a lookup of nothing"),
    ("sat and msat arguments are mutually exclusive", "an amount that is given twice"),
    ("amount cannot be negative", "a negative amount"),
    ("payments of negative value are not allowed", "a negative amount"),
    ("invoice amount ", "an amount that is too large"),
    ("memo too large: ", "a memo that is too long"),
    ("description hash is ", "a description hash that is not 32 bytes"),
    ("expiry of ", "an expiry of more than a year"),
    ("CLTV delta of ", "a final CLTV delta out of range"),
];
/// Finality is not to be had.
const NO_RESOLUTIONS: &str = "cannot lookup with flag --store-final-htlc-resolutions=false";
/// The HTLC has not ended yet, or the node never knew it.
const UNRESOLVED: &str = "htlc unknown";
/// The hash has a payment already: in the order of paid, in flight, begun.
const KNOWN_PAYMENT: [&str; 3] =
    ["invoice is already paid", "payment is in transition", "payment already exists"];
/// The hash has no payment.
const NO_PAYMENT: &str = "payment isn't initiated";
/// How the texts begin with which a payment is refused before the node takes note of it.
const REFUSED: [(&str, Refusal); 9] = [
    ("invoice expired. Valid until ", Refusal::Expired),
    ("self-payments not allowed", Refusal::OwnInvoice),
    ("invoice not for current active network ", Refusal::WrongNetwork),
    ("checksum failed. Expected ", Refusal::Malformed),
    ("amount must be specified when paying a zero amount invoice", Refusal::Amountless),
    ("amount must not be specified when paying a non-zero amount invoice", Refusal::Mismatch),
    ("dest and payment_request cannot appear together", Refusal::Mismatch),
    ("payment_hash and payment_request cannot appear together", Refusal::Mismatch),
    ("final_cltv_delta and payment_request cannot appear together", Refusal::Mismatch),
];

/// What a refused dispatch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dispatch {
    /// The node has a payment of this hash: it is to be looked up.
    Known,
    /// This call sent nothing. What an earlier one did is not said.
    Refused(Refusal),
    /// Nothing is said.
    Unclear,
}

/// An error about invoices.
pub(super) fn error(refused: Refused) -> Error {
    let Refused::Status(status) = refused else { return no_answer(refused.into()) };
    let (code, text) = (status.code(), status.message());
    if is_absent(&status) {
        return Error::NotFound;
    }
    if code == Code::Unavailable && text == NO_RESOLUTIONS {
        return Error::Unsupported("say what is final: set store-final-htlc-resolutions in lnd.conf");
    }
    if matches!(code, Code::Unknown | Code::InvalidArgument) {
        if let Some((_, state)) = WRONG_STATE.iter().find(|(known, _)| text == *known) {
            return Error::WrongState { state };
        }
        if let Some((_, what)) = INVALID.iter().find(|(start, _)| text.starts_with(start)) {
            return Error::Invalid(what);
        }
    }
    no_answer(Trouble::of(*status))
}

/// No answer, for this reason.
pub(super) fn no_answer(trouble: Trouble) -> Error {
    Error::NoAnswer(Some(Box::new(trouble)))
}

/// Whether the node says that it has no such invoice.
pub(super) fn is_absent(status: &Status) -> bool {
    matches!(status.code(), Code::Unknown | Code::NotFound) && ABSENT.contains(&status.message())
}

/// Whether the node says that an HTLC has not ended.
pub(super) fn is_unresolved(status: &Status) -> bool {
    status.code() == Code::NotFound && status.message() == UNRESOLVED
}

/// What is not known of a payment after its lookup gave an error.
pub(super) fn doubt(refused: &Refused) -> Doubt {
    match refused {
        Refused::Status(status) if status.code() == Code::NotFound && status.message() == NO_PAYMENT => {
            Doubt::NotFound
        }
        Refused::Status(_) | Refused::Late(_) => Doubt::NoAnswer,
    }
}

/// What an error says that came in the place of a payment.
pub(super) fn dispatch(refused: &Refused) -> Dispatch {
    let Refused::Status(status) = refused else { return Dispatch::Unclear };
    match (status.code(), status.message()) {
        (Code::AlreadyExists, text) if KNOWN_PAYMENT.contains(&text) => Dispatch::Known,
        (Code::Unknown, text) => REFUSED
            .iter()
            .find(|(start, _)| text.starts_with(start))
            .map_or(Dispatch::Unclear, |(_, refusal)| Dispatch::Refused(*refusal)),
        _ => Dispatch::Unclear,
    }
}

/// The state of an invoice with this hash.
pub(super) fn invoice_state(hash: PaymentHash, invoice: &lnrpc::Invoice) -> Result<InvoiceState, Trouble> {
    if invoice.r_hash != hash.as_bytes() {
        return Err(Trouble::Nonsense("an invoice of another hash"));
    }
    let state = NodeState::try_from(invoice.state)
        .map_err(|_| Trouble::Nonsense("an invoice in a state that is not known"))?;
    match state {
        NodeState::Open => Ok(InvoiceState::Open),
        NodeState::Canceled => Ok(InvoiceState::Canceled),
        NodeState::Accepted => accepted(invoice),
        NodeState::Settled => settled(hash, invoice),
    }
}

fn accepted(invoice: &lnrpc::Invoice) -> Result<InvoiceState, Trouble> {
    let held = || htlcs(invoice, InvoiceHtlcState::Accepted);
    let lowest = held().map(|htlc| htlc.expiry_height).min();
    Ok(InvoiceState::Accepted {
        paid: amount(invoice.amt_paid_msat)?,
        parts: u32::try_from(held().count()).map_err(|_| Trouble::Nonsense("too many parts"))?,
        lowest_expiry_height: lowest
            .and_then(|height| u32::try_from(height).ok())
            .filter(|height| *height > 0)
            .ok_or(Trouble::Nonsense("an accepted invoice without the height at which it times out"))?,
    })
}

fn settled(hash: PaymentHash, invoice: &lnrpc::Invoice) -> Result<InvoiceState, Trouble> {
    // Invoices of a kind that we do not make (AMP) have no time of their settlement.
    let seconds = if invoice.settle_date > 0 { invoice.settle_date } else { invoice.creation_date };
    let preimage = Preimage::try_from(invoice.r_preimage.as_slice()).ok();
    Ok(InvoiceState::Settled {
        paid: amount(invoice.amt_paid_msat)?,
        at: Timestamp::from_unix_timestamp(seconds)
            .map_err(|_| Trouble::Nonsense("a settlement beyond the calendar"))?,
        preimage: preimage.filter(|preimage| preimage.hash() == hash),
    })
}

/// The parts of an invoice that are in a state.
pub(super) fn htlcs(invoice: &lnrpc::Invoice, state: InvoiceHtlcState) -> impl Iterator<Item = &InvoiceHtlc> {
    invoice.htlcs.iter().filter(move |htlc| InvoiceHtlcState::try_from(htlc.state) == Ok(state))
}

/// What became of the payment of this hash. Only its status is an end: a payment that is in flight can already carry the
/// reason for which it is going to fail.
pub(super) fn outcome(hash: PaymentHash, payment: &lnrpc::Payment) -> Outcome {
    const NO_ANSWER: Outcome = Outcome::Unknown(Doubt::NoAnswer);
    if !payment.payment_hash.parse::<PaymentHash>().is_ok_and(|found| found == hash) {
        return NO_ANSWER;
    }
    match PaymentStatus::try_from(payment.status) {
        Ok(PaymentStatus::Initiated | PaymentStatus::InFlight) => Outcome::InFlight,
        Ok(PaymentStatus::Succeeded) => {
            let preimage = payment.payment_preimage.parse::<Preimage>().ok();
            // An unfinished payment has 64 zeros here, which open no hash either.
            match (preimage.filter(|preimage| preimage.hash() == hash), amount(payment.fee_msat)) {
                (Some(preimage), Ok(fee)) => Outcome::Settled { preimage, fee },
                (None, _) | (_, Err(_)) => NO_ANSWER,
            }
        }
        Ok(PaymentStatus::Failed) if has_live_htlc(payment) => NO_ANSWER,
        Ok(PaymentStatus::Failed) => Outcome::Failed(failure_reason(payment.failure_reason)),
        Ok(PaymentStatus::Unknown) | Err(_) => NO_ANSWER,
    }
}

/// A payment that failed has no attempt that is out or was taken. Where the node says so, something is wrong with it.
fn has_live_htlc(payment: &lnrpc::Payment) -> bool {
    payment.htlcs.iter().any(|htlc| HtlcStatus::try_from(htlc.status) != Ok(HtlcStatus::Failed))
}

/// Why a payment failed. That it did is said by its status, so that a reason to come is no doubt about it.
fn failure_reason(reason: i32) -> FailureReason {
    match PaymentFailureReason::try_from(reason) {
        Ok(PaymentFailureReason::Timeout) => FailureReason::Timeout,
        Ok(PaymentFailureReason::NoRoute) => FailureReason::NoRoute,
        Ok(PaymentFailureReason::IncorrectPaymentDetails) => FailureReason::IncorrectDetails,
        Ok(PaymentFailureReason::InsufficientBalance) => FailureReason::InsufficientBalance,
        Ok(PaymentFailureReason::Canceled) => FailureReason::Canceled,
        Ok(PaymentFailureReason::Error | PaymentFailureReason::None) | Err(_) => FailureReason::Error,
    }
}

/// An amount that can be one.
pub(super) fn amount(msat: i64) -> Result<Msat, Trouble> {
    let amount = Msat::new(msat);
    if amount.is_negative() || amount > Msat::SUPPLY {
        return Err(Trouble::Nonsense("an amount out of range"));
    }
    Ok(amount)
}

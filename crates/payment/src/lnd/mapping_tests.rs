//! Every text and state that is known of LND, and what it means to us.

use std::time::Duration;

use poa_common::Msat;
use tonic::{Code, Status};

use super::connection::Refused;
use super::contract::lnrpc::{HtlcAttempt, Invoice, InvoiceHtlc, Payment};
use super::mapping::{Dispatch, dispatch, doubt, error, invoice_state, is_unresolved, outcome};
use super::trouble::Trouble;
use crate::{Doubt, Error, FailureReason, InvoiceState, Outcome, Preimage, Refusal};

fn refused(code: Code, text: &str) -> Refused {
    Refused::Status(Box::new(Status::new(code, text)))
}

fn meaning(code: Code, text: &str) -> String {
    match error(refused(code, text)) {
        Error::NoAnswer(Some(source)) => format!("no answer: {source}"),
        other => other.to_string(),
    }
}

#[test]
fn every_text_about_invoices_has_a_meaning() {
    let table = [
        (Code::Unknown, "invalid hash length of 31, want 32", "invalid request: a hash that is not 32 bytes"),
        (
            Code::Unknown,
            "invalid preimage length of 31, want 32",
            "invalid request: a preimage that is not 32 bytes",
        ),
        (Code::Unknown, "invoice with payment hash already exists", "the invoice is existing"),
        (
            Code::Unknown,
            "sat and msat arguments are mutually exclusive",
            "invalid request: an amount that is given twice",
        ),
        (Code::Unknown, "amount cannot be negative", "invalid request: a negative amount"),
        (
            Code::Unknown,
            "payments of negative value are not allowed, value is -1",
            "invalid request: a negative amount",
        ),
        (
            Code::Unknown,
            "invoice amount 200000 BTC is too large, max is 100000 BTC",
            "invalid request: an amount that is too large",
        ),
        (
            Code::Unknown,
            "memo too large: 1025 bytes (maxsize=1024)",
            "invalid request: a memo that is too long",
        ),
        (
            Code::Unknown,
            "description hash is 31 bytes, must be 32",
            "invalid request: a description hash that is not 32 bytes",
        ),
        (
            Code::Unknown,
            "expiry of 9.9999999e+07 seconds greater than max expiry of 3.1536e+07 seconds",
            "invalid request: an expiry of more than a year",
        ),
        (
            Code::Unknown,
            "CLTV delta of 23 must be greater than minimum of 24",
            "invalid request: a final CLTV delta out of range",
        ),
        (
            Code::Unknown,
            "CLTV delta of 70000 is too large, max accepted is: 65535",
            "invalid request: a final CLTV delta out of range",
        ),
        (Code::Unknown, "unable to locate invoice", "the node does not know this payment hash"),
        (Code::NotFound, "unable to locate invoice", "the node does not know this payment hash"),
        (Code::Unknown, "there are no existing invoices", "the node does not know this payment hash"),
        (Code::NotFound, "there are no existing invoices", "the node does not know this payment hash"),
        (Code::Unknown, "invoice still open", "the invoice is open"),
        (Code::Unknown, "invoice already canceled", "the invoice is canceled"),
        (Code::Unknown, "invoice already settled", "the invoice is settled"),
        (Code::InvalidArgument, "invoice ref must be set", "invalid request: a lookup of nothing"),
        (
            Code::InvalidArgument,
            "unable to parse pay hash: invalid hash length of 31, want 32",
            "invalid request: a hash that is not 32 bytes",
        ),
        (
            Code::Unknown,
            "payment hash must be exactly 32 bytes, is instead 31",
            "invalid request: a hash that is not 32 bytes",
        ),
        (
            Code::Unavailable,
            "cannot lookup with flag --store-final-htlc-resolutions=false",
            "this provider cannot say what is final: set store-final-htlc-resolutions in lnd.conf",
        ),
    ];
    for (code, text, expected) in table {
        assert_eq!(meaning(code, text), expected, "{text}");
    }
}

#[test]
fn every_text_about_the_node_itself_says_what_to_do() {
    let refused_macaroon = "lnd does not know the macaroon: is it this node's, and one that was not revoked?";
    let table = [
        (
            Code::Unknown,
            "waiting to start, RPC services not available",
            "lnd opens its database, or waits to lead its cluster, and serves nothing until then",
        ),
        (
            Code::Unknown,
            "wallet not created, create one to enable full RPC access",
            "lnd has no wallet: make one with `lncli create`",
        ),
        (
            Code::Unknown,
            "wallet locked, unlock it to enable full RPC access",
            "lnd's wallet is locked: `lncli unlock`, or let lnd do it with wallet-unlock-password-file",
        ),
        (
            Code::Unknown,
            "the RPC server is in the process of starting up, but not yet ready to accept calls",
            "lnd is starting, and not ready yet",
        ),
        (Code::Unknown, "expected 1 macaroon, got 0", refused_macaroon),
        (Code::Unknown, "encoding/hex: invalid byte: U+007A 'z'", refused_macaroon),
        (Code::Unknown, "unmarshal v2: varint value extends past end of buffer", refused_macaroon),
        (
            Code::Unknown,
            "verification failed: signature mismatch after caveat verification",
            refused_macaroon,
        ),
        (
            Code::Unknown,
            "permission denied",
            "the macaroon does not allow this: bake it anew with the permissions of its role",
        ),
        (
            Code::Unimplemented,
            "unknown service invoicesrpc.Invoices",
            "this lnd was built without invoicesrpc or routerrpc: take a release build",
        ),
        (Code::Internal, "internal server error", "lnd answered Internal: internal server error"),
        (Code::Unknown, "never heard of", "lnd answered Unknown: never heard of"),
    ];
    for (code, text, expected) in table {
        assert_eq!(meaning(code, text), format!("no answer: {expected}"), "{text}");
        // And none of it says anything of a payment.
        assert_eq!(dispatch(&refused(code, text)), Dispatch::Unclear, "{text}");
        assert_eq!(doubt(&refused(code, text)), Doubt::NoAnswer, "{text}");
    }
    let late = error(Refused::Late(Duration::from_secs(15)));
    assert!(
        matches!(late, Error::NoAnswer(Some(source)) if source.to_string() == "lnd did not answer within 15s")
    );
    assert!(!Trouble::of(Status::unknown("permission denied")).passes());
    assert!(Trouble::of(Status::unknown("wallet locked, unlock it to enable full RPC access")).passes());
}

#[test]
fn a_text_counts_only_with_its_code_and_whole() {
    for (code, text) in [
        (Code::Internal, "invoice already settled"),
        (Code::Unknown, "invoice already settled."),
        (Code::Unknown, "an invoice already settled"),
        (Code::Internal, "unable to locate invoice"),
        (Code::Unavailable, "cannot lookup"),
        (Code::Ok, "permission denied"),
    ] {
        assert!(matches!(error(refused(code, text)), Error::NoAnswer(_)), "{text}");
    }
}

#[test]
fn every_text_about_a_dispatch_has_a_meaning() {
    let is = |refusal| Dispatch::Refused(refusal);
    let table = [
        (Code::AlreadyExists, "invoice is already paid", Dispatch::Known),
        (Code::AlreadyExists, "payment is in transition", Dispatch::Known),
        (Code::AlreadyExists, "payment already exists", Dispatch::Known),
        (Code::Unknown, "invoice expired. Valid until 2026-11-22 09:02:56 +0000 UTC", is(Refusal::Expired)),
        (
            Code::Unknown,
            "amount must be specified when paying a zero amount invoice",
            is(Refusal::Amountless),
        ),
        (
            Code::Unknown,
            "amount must not be specified when paying a non-zero amount invoice",
            is(Refusal::Mismatch),
        ),
        (Code::Unknown, "self-payments not allowed", is(Refusal::OwnInvoice)),
        (Code::Unknown, "dest and payment_request cannot appear together", is(Refusal::Mismatch)),
        (Code::Unknown, "payment_hash and payment_request cannot appear together", is(Refusal::Mismatch)),
        (Code::Unknown, "final_cltv_delta and payment_request cannot appear together", is(Refusal::Mismatch)),
        (Code::Unknown, "invoice not for current active network 'regtest'", is(Refusal::WrongNetwork)),
        (Code::Unknown, "checksum failed. Expected abcdef, got fedcba.", is(Refusal::Malformed)),
        // A status that another server on the way made, and texts that are nearly known.
        (Code::AlreadyExists, "invoice expired. Valid until 2026", Dispatch::Unclear),
        (Code::Unknown, "invoice is already paid", Dispatch::Unclear),
        (Code::Internal, "self-payments not allowed", Dispatch::Unclear),
        (Code::Unavailable, "", Dispatch::Unclear),
        (Code::DeadlineExceeded, "", Dispatch::Unclear),
        (Code::Cancelled, "", Dispatch::Unclear),
    ];
    for (code, text, expected) in table {
        assert_eq!(dispatch(&refused(code, text)), expected, "{text}");
    }
    assert_eq!(dispatch(&Refused::Late(Duration::from_secs(1))), Dispatch::Unclear);
}

#[test]
fn only_one_answer_says_that_a_payment_is_not_known() {
    assert_eq!(doubt(&refused(Code::NotFound, "payment isn't initiated")), Doubt::NotFound);
    for (code, text) in [
        (Code::NotFound, "not found"),
        (Code::NotFound, ""),
        (Code::Unknown, "payment isn't initiated"),
        (Code::Unknown, "invoice expired. Valid until 2026-11-22 09:02:56 +0000 UTC"),
        (Code::Unavailable, "payment isn't initiated"),
    ] {
        assert_eq!(doubt(&refused(code, text)), Doubt::NoAnswer, "{text}");
    }
    assert_eq!(doubt(&Refused::Late(Duration::from_secs(1))), Doubt::NoAnswer);
}

#[test]
fn an_htlc_that_has_not_ended_is_told_from_one_that_cannot_be_asked_for() {
    let pending = |code, text| is_unresolved(&Status::new(code, text));
    assert!(pending(Code::NotFound, "htlc unknown"));
    assert!(!pending(Code::NotFound, "unable to locate invoice"));
    assert!(!pending(Code::Unavailable, "htlc unknown"));
}

fn preimage() -> Preimage {
    Preimage::new([7; 32])
}

fn invoice(state: i32) -> Invoice {
    let htlc =
        |state, expiry_height| InvoiceHtlc { chan_id: 1, htlc_index: 0, amt_msat: 5, expiry_height, state };
    Invoice {
        r_hash: preimage().hash().as_bytes().to_vec(),
        r_preimage: preimage().as_bytes().to_vec(),
        value_msat: 10,
        amt_paid_msat: 15,
        creation_date: 1_000,
        settle_date: 2_000,
        state,
        htlcs: vec![htlc(2, 90), htlc(0, 130), htlc(0, 120), htlc(1, 100)],
        ..Invoice::default()
    }
}

#[test]
fn an_invoice_in_each_state_is_read() {
    let hash = preimage().hash();
    let read = |invoice: &Invoice| invoice_state(hash, invoice);
    assert_eq!(read(&invoice(0)).unwrap(), InvoiceState::Open);
    assert_eq!(read(&invoice(2)).unwrap(), InvoiceState::Canceled);
    // Parts that were given back or belong to an earlier attempt do not count.
    let accepted = InvoiceState::Accepted { paid: Msat::new(15), parts: 2, lowest_expiry_height: 120 };
    assert_eq!(read(&invoice(3)).unwrap(), accepted);
    let at = time::OffsetDateTime::from_unix_timestamp(2_000).unwrap();
    let settled = InvoiceState::Settled { paid: Msat::new(15), at, preimage: Some(preimage()) };
    assert_eq!(read(&invoice(1)).unwrap(), settled);
    let foreign = Invoice { r_preimage: vec![0; 32], ..invoice(1) };
    let without = InvoiceState::Settled { paid: Msat::new(15), at, preimage: None };
    assert_eq!(read(&foreign).unwrap(), without);

    let nonsense = [
        invoice(4),
        invoice(-1),
        Invoice { r_hash: vec![1; 32], ..invoice(0) },
        Invoice { r_hash: Vec::new(), ..invoice(0) },
        Invoice { htlcs: Vec::new(), ..invoice(3) },
        Invoice { amt_paid_msat: -1, ..invoice(3) },
        Invoice { amt_paid_msat: i64::MAX, ..invoice(1) },
        Invoice { settle_date: i64::MAX, ..invoice(1) },
    ];
    for invoice in nonsense {
        assert!(matches!(read(&invoice), Err(Trouble::Nonsense(_))));
    }
}

fn payment(status: i32) -> Payment {
    Payment {
        payment_hash: preimage().hash().to_hex(),
        payment_preimage: preimage().to_hex(),
        fee_msat: 3,
        status,
        failure_reason: 4,
        ..Payment::default()
    }
}

#[test]
fn a_payment_in_each_status_is_read() {
    const NO_ANSWER: Outcome = Outcome::Unknown(Doubt::NoAnswer);
    let hash = preimage().hash();
    let read = |payment: &Payment| outcome(hash, payment);
    // A reason to fail is no failure.
    assert_eq!(read(&payment(1)), Outcome::InFlight);
    assert_eq!(read(&payment(4)), Outcome::InFlight);
    assert_eq!(read(&payment(2)), Outcome::Settled { preimage: preimage(), fee: Msat::new(3) });
    assert_eq!(read(&payment(3)), Outcome::Failed(FailureReason::IncorrectDetails));
    for status in [0, 5, -1, i32::MAX] {
        assert_eq!(read(&payment(status)), NO_ANSWER, "{status}");
    }
    let attempt = |status| vec![HtlcAttempt { status: 2 }, HtlcAttempt { status }];
    let nonsense = [
        Payment { payment_preimage: "0".repeat(64), ..payment(2) },
        Payment { payment_preimage: String::new(), ..payment(2) },
        Payment { fee_msat: -1, ..payment(2) },
        Payment { payment_hash: String::new(), ..payment(3) },
        Payment { payment_hash: "00".repeat(32), ..payment(3) },
        Payment { htlcs: attempt(0), ..payment(3) },
        Payment { htlcs: attempt(1), ..payment(3) },
        Payment { htlcs: attempt(9), ..payment(3) },
    ];
    for payment in nonsense {
        assert_eq!(read(&payment), NO_ANSWER);
    }
    let ended = Payment { htlcs: attempt(2), ..payment(3) };
    assert_eq!(read(&ended), Outcome::Failed(FailureReason::IncorrectDetails));
}

#[test]
fn every_reason_of_a_failure_is_read() {
    let table = [
        (0, FailureReason::Error),
        (1, FailureReason::Timeout),
        (2, FailureReason::NoRoute),
        (3, FailureReason::Error),
        (4, FailureReason::IncorrectDetails),
        (5, FailureReason::InsufficientBalance),
        (6, FailureReason::Canceled),
        (7, FailureReason::Error),
        (-1, FailureReason::Error),
    ];
    for (failure_reason, expected) in table {
        let failed = Payment { failure_reason, ..payment(3) };
        assert_eq!(outcome(preimage().hash(), &failed), Outcome::Failed(expected), "{failure_reason}");
    }
}

//! What a node does on a bad day, scripted call by call.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use poa_payment::FailureReason;
use tonic::Code;

/// One fault, for the next call of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LndFault {
    /// The method's name, such as `SendPaymentV2`.
    pub method: &'static str,
    /// What happens to the call.
    pub effect: LndEffect,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LndEffect {
    /// Nothing is done, and this error is answered. With the code and text of a real refusal, the node lies.
    Answers(Code, &'static str),
    /// Nothing is done, and every connection is reset.
    RequestLost,
    /// It is done, and every connection is reset before the answer.
    AnswerLost,
    /// Nothing is done or answered, for as long as the caller waits.
    Hangs,
    /// It is done, and not answered for as long as the caller waits.
    DoneAndHangs,
}

/// What becomes of a payment that the node takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaymentPlan {
    /// It succeeds where the invoice is known outside and is affordable within its limits.
    #[default]
    Usual,
    /// The payee holds it, until [`LndStandIn::resolve_payment`](super::LndStandIn::resolve_payment).
    PayeeHolds,
    /// It fails.
    Fails(FailureReason),
}

/// The faults that wait for their call, and the methods that were called.
#[derive(Debug, Default)]
pub(super) struct Script {
    faults: Mutex<VecDeque<LndFault>>,
    calls: Mutex<Vec<Call>>,
}

/// A call that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Such as `/lnrpc.Lightning/GetInfo`.
    pub(super) path: String,
    /// The number of the macaroon, where it has one that is known.
    pub(super) macaroon: Option<usize>,
}

// === impl Script ===

impl Script {
    pub(super) fn extend(&self, faults: impl IntoIterator<Item = LndFault>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// The fault for a call of this method, used up.
    pub(super) fn take(&self, method: &str) -> Option<LndEffect> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(|fault| fault.method == method)?;
        faults.remove(place).map(|fault| fault.effect)
    }

    pub(super) fn note(&self, call: Call) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

//! Faults on demand: what a real node does on a bad day, scripted call by call.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::FailureReason;

/// Faults that wait for their call. More are refused: a script is written by hand.
const MAX_SCRIPTED: usize = 4_096;

/// One fault, for the next call of its kind. Faults of one kind take effect in the order of the script; once
/// it is used up the node behaves. A script is not kept over a restart, its effects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of a payment.
    Pay {
        /// What becomes of it.
        effect: PayEffect,
        /// What the caller hears.
        answer: Answer,
    },
    /// Of a payment's lookup.
    LookupPayment(LookupFault),
    /// Of an invoice's lookup.
    LookupInvoice(LookupFault),
    /// Of the next creation, cancellation or settlement of an invoice.
    Change(ChangeFault),
    /// Of the next list, of invoices or of payments.
    List(ListFault),
    /// Of the next question whether a settled hold invoice is final.
    Finality(FinalityFault),
    /// Of the next hint that a stream delivers.
    Hint(HintFault),
}

/// What becomes of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayEffect {
    /// What would have become of it anyway.
    Usual,
    /// It stays in flight until [`resolve_payment`](super::SimulatedNode::resolve_payment): a payee that
    /// holds, a late settlement.
    StaysInFlight,
    /// It fails.
    Fails(FailureReason),
    /// The request never reaches the node.
    NeverArrives,
}

/// What a caller hears of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The truth.
    Given,
    /// A transport error.
    Lost,
    /// Nothing, for ever.
    Never,
}

/// What a lookup says in the place of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupFault {
    /// The hash is unknown.
    NotFound,
    /// A transport error.
    NoAnswer,
    /// What was true at first: open, or in flight.
    Stale,
    /// Nothing, for ever.
    Hangs,
}

/// What becomes of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFault {
    /// A transport error.
    NoAnswer,
    /// Nothing, for ever.
    Hangs,
    /// Its first row is left out, as if the node had never had it.
    Omit,
}

/// What is said of the finality of a settled hold invoice. Script [`Pending`](Self::Pending) N times to let it wait for N
/// questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalityFault {
    /// Not yet.
    Pending,
    /// The HTLCs timed out on the chain: the node loses the sats, for ever. An invoice that has been final, or whose sats
    /// the node no longer has, stays final, and one that is not settled is pending: the fault is then used up in vain.
    Lost,
    /// A transport error.
    NoAnswer,
    /// Nothing, for ever.
    Hangs,
}

/// What happens to a request that changes an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeFault {
    /// It never reaches the node.
    RequestLost,
    /// It is carried out, and the caller does not hear of it.
    AnswerLost,
}

/// What happens to a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintFault {
    /// It comes twice.
    Duplicate,
    /// It never comes.
    Lose,
    /// It comes after the one that follows it.
    Delay,
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<VecDeque<Fault>>);

// === impl Script ===

impl Script {
    /// Adds faults at the end; whether there was room for all of them.
    pub(super) fn extend(&self, faults: impl IntoIterator<Item = Fault>) -> bool {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.into_iter().all(|fault| {
            let room = script.len() < MAX_SCRIPTED;
            if room {
                script.push_back(fault);
            }
            room
        })
    }

    fn take<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, found) =
            script.iter().enumerate().find_map(|(place, fault)| Some((place, pick(fault)?)))?;
        script.remove(place);
        Some(found)
    }

    pub(super) fn pay(&self) -> Option<(PayEffect, Answer)> {
        self.take(
            |fault| if let Fault::Pay { effect, answer } = fault { Some((*effect, *answer)) } else { None },
        )
    }

    pub(super) fn lookup_payment(&self) -> Option<LookupFault> {
        self.take(|fault| if let Fault::LookupPayment(fault) = fault { Some(*fault) } else { None })
    }

    pub(super) fn lookup_invoice(&self) -> Option<LookupFault> {
        self.take(|fault| if let Fault::LookupInvoice(fault) = fault { Some(*fault) } else { None })
    }

    pub(super) fn change(&self) -> Option<ChangeFault> {
        self.take(|fault| if let Fault::Change(fault) = fault { Some(*fault) } else { None })
    }

    pub(super) fn list(&self) -> Option<ListFault> {
        self.take(|fault| if let Fault::List(fault) = fault { Some(*fault) } else { None })
    }

    pub(super) fn finality(&self) -> Option<FinalityFault> {
        self.take(|fault| if let Fault::Finality(fault) = fault { Some(*fault) } else { None })
    }

    pub(super) fn hint(&self) -> Option<HintFault> {
        self.take(|fault| if let Fault::Hint(fault) = fault { Some(*fault) } else { None })
    }
}

//! What goes wrong on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// A group of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `GET /getinfo`.
    GetInfo,
    /// `GET /getbalance`.
    GetBalance,
    /// `POST /createinvoice`.
    CreateInvoice,
    /// `POST /payinvoice`.
    PayInvoice,
    /// `GET /payments/incoming/{hash}`.
    LookupInvoice,
    /// `GET /payments/outgoingbyhash/{hash}`.
    LookupPayment,
    /// `GET /payments/incoming`.
    ListIncoming,
    /// `GET /payments/outgoing`.
    ListOutgoing,
}

/// What happens to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is answered with this, and not carried out.
    Answers(u16, String),
    /// It is answered as usual: a place to pass over in a script.
    None,
    /// The hash is not known, whatever is true.
    NotFound,
    /// It is lost with its connection, and not carried out.
    LostBefore,
    /// It is carried out, and the connection breaks before the answer.
    LostAfter,
    /// It is never answered, and not carried out.
    HangsBefore,
    /// It is carried out, and never answered.
    HangsAfter,
    /// It arrives only at [`Phoenixd::release`](super::Phoenixd::release), even if its sender is gone by then.
    Late,
    /// The answer is the right one, cut in the middle.
    Torn,
    /// The answer does not end.
    Flood,
}

/// What becomes of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What would become of it anyway.
    Usual,
    /// It stays in flight until [`Phoenixd::resolve`](super::Phoenixd::resolve).
    StaysPending,
    /// It fails with this text.
    Fails(String),
}

#[derive(Debug)]
pub(super) struct Script {
    troubles: Mutex<BTreeMap<Endpoint, VecDeque<Trouble>>>,
    effects: Mutex<VecDeque<Effect>>,
    released: watch::Sender<u64>,
}

// === impl Script ===

impl Default for Script {
    fn default() -> Self {
        Self { troubles: Mutex::default(), effects: Mutex::default(), released: watch::Sender::new(0) }
    }
}

impl Script {
    pub(super) fn add(&self, endpoint: Endpoint, troubles: impl IntoIterator<Item = Trouble>) {
        let mut all = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(endpoint).or_default().extend(troubles);
    }

    pub(super) fn next(&self, endpoint: Endpoint) -> Trouble {
        let mut all = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(&endpoint).and_then(VecDeque::pop_front).unwrap_or(Trouble::None)
    }

    pub(super) fn add_effects(&self, effects: impl IntoIterator<Item = Effect>) {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).extend(effects);
    }

    pub(super) fn next_effect(&self) -> Effect {
        let next = self.effects.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or(Effect::Usual)
    }

    pub(super) fn release(&self) {
        self.released.send_modify(|count| *count += 1);
    }

    /// Waits for the next release.
    pub(super) async fn released(&self) {
        let mut released = self.released.subscribe();
        released.borrow_and_update();
        let _never_closed = released.changed().await;
    }
}

//! The ability to send, apart from everything else.

use futures_util::future::BoxFuture;

use crate::{Outcome, PayIntent};

/// Sends payments. A provider hands out its payer apart from itself, once, and the payout worker is the only
/// one that gets it: whoever holds a [`Provider`](crate::Provider) alone cannot spend.
///
/// # The caller
///
/// - has committed the intent (hash, invoice, amount, fee limit, deadline, node identity) before it calls;
/// - takes [`Outcome::NotSent`] for an end only on the first dispatch of that hash. Dispatching again is
///   allowed after a crash, and anything but a terminal outcome then means: look the hash up;
/// - reserves amount and fee limit until the outcome is terminal, and frees nothing on
///   [`Outcome::Unknown`];
/// - never awaits a call in line with other work, and puts a limit of its own on the wait. A dropped call
///   is an unknown outcome.
///
/// # The implementor
///
/// - sends **at most one payment per hash, ever**. A hash that it knows gets the outcome it has, before any
///   check of the invoice: that an invoice has expired says nothing of the first dispatch;
/// - answers as soon as the node has durably taken the payment ([`Outcome::InFlight`]) or its end is known. It
///   does not wait for a payee that holds;
/// - answers [`Outcome::NotSent`] only if nothing was and nothing will be sent by this call, and
///   [`Outcome::Unknown`] for every timeout, transport error and text it does not know;
/// - never pays an invoice of another network, of no amount, of its own node, or above the fee limit (where
///   [`FeeModel`](crate::FeeModel) says that a limit is kept);
/// - a dropped call leaves the payment as it is: it neither cancels nor repeats it.
pub trait Payer: Send + Sync + 'static {
    /// Sends one payment, or says what became of it. There is no error apart from the outcome, so that none
    /// can be taken for a failed payment.
    fn pay(&self, intent: PayIntent) -> BoxFuture<'_, Outcome>;
}

//! The cases that every provider must pass, under the same names for all of them.
//!
//! A provider's tests build a [`World`] around it (a node, somebody outside who pays and is paid) and run [`cases`] in it:
//! each in a world of its own where a node costs nothing, one after another in the same world where nodes are real.

mod holding;
mod listing;
mod receiving;
mod sending;
mod waiting;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use poa_common::{Msat, Timestamp};

use self::waiting::{PATIENCE, at_rest, until, until_balance, until_state, until_terminal};
use crate::{
    Error, HoldInvoices, InvoiceState, NewInvoice, Outcome, PayIntent, Payer, PaymentHash, Provider,
};

/// The amount of most cases: whole sats, well above dust.
const AMOUNT: Msat = Msat::new(50_000_000);
/// The fee limit of most cases: 1 %.
const FEE_LIMIT: Msat = Msat::new(500_000);
/// What the invoices of the cases pay for.
const DESCRIPTION_HASH: [u8; 32] = [0xd5; 32];

/// A provider and the world around it.
///
/// The node can send at least a million sats when a case begins, and somebody outside can send as much to it: the cases
/// together move less than that in either direction. It may have any history. While a case runs, nothing else uses the
/// node: no other case, no other payment in flight and no other held invoice, or balances and lists would say more than what
/// the case did. A case that passes leaves nothing held or in flight for longer than a channel needs to settle.
pub trait World: Send + Sync {
    /// The node.
    fn provider(&self) -> &dyn Provider;

    /// What sends from the node.
    fn payer(&self) -> &dyn Payer;

    /// The time by the node's clock.
    fn now(&self) -> Timestamp;

    /// Somebody outside pays an invoice of the node. Returns when the payment has arrived (settled or held) or
    /// was refused.
    fn pay_from_outside<'a>(&'a self, bolt11: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// How far from the sum of what was paid the balance may be: zero where nothing else moves it. In a real channel the
    /// fee of the commitment transaction comes out of the side that opened it, and grows with each HTLC in flight. Well
    /// below 50,000 sat, the amount of most cases.
    fn balance_tolerance(&self) -> Msat;

    /// Somebody outside makes an invoice that the node can pay, or one of more than the node has.
    fn outside_invoice(&self, amount: Msat) -> BoxFuture<'_, Result<String, String>>;
}

/// A case.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: &'static str,
    run: fn(&dyn World) -> BoxFuture<'_, Checked>,
}

/// How a case ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider does what it must.
    Passed,
    /// The provider has declared that it cannot do this at all.
    NotApplicable,
}

/// What a provider did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

type Checked = Result<Verdict, Failure>;

macro_rules! list_cases {
    ($($case:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] =
            &[$(super::Case { name: stringify!($case), run: |world| Box::pin($case(world)) }),*];
    };
}
use list_cases;

/// All cases.
pub fn cases() -> impl Iterator<Item = Case> {
    [receiving::CASES, sending::CASES, holding::CASES, listing::CASES].into_iter().flatten().copied()
}

// === impl Case ===

impl Case {
    /// Runs the case, alone in its world.
    pub async fn run(&self, world: &dyn World) -> Result<Verdict, Failure> {
        (self.run)(world).await.map_err(|failure| Failure(format!("{}: {}", self.name, failure.0)))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("{error:?}"))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

// === What the cases share ===

fn check(holds: bool, what: impl fmt::Display) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure(what.to_string())) }
}

fn equal<T: PartialEq + fmt::Debug>(found: &T, expected: &T) -> Result<(), Failure> {
    check(found == expected, format_args!("found {found:?}, expected {expected:?}"))
}

fn sum(one: Msat, other: Msat) -> Result<Msat, Failure> {
    one.checked_add(other).map_err(|error| Failure(error.to_string()))
}

/// Whether the answer is "wrong state", and which.
fn wrong_state<T>(answer: Result<T, Error>, expected: &str) -> Result<(), Failure> {
    match answer {
        Err(Error::WrongState { state }) => equal(&state, &expected),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Failure(format!("allowed, although the invoice is {expected}"))),
    }
}

fn request(amount: Msat) -> NewInvoice {
    NewInvoice {
        amount,
        description_hash: DESCRIPTION_HASH,
        expiry: Duration::from_secs(3_600),
        min_final_cltv: None,
    }
}

fn intent(world: &dyn World, bolt11: &str) -> Result<PayIntent, Failure> {
    let decoded = world.provider().decode(bolt11).map_err(|error| Failure(error.to_string()))?;
    Ok(PayIntent {
        hash: decoded.hash,
        bolt11: bolt11.to_owned(),
        amount: decoded.amount.unwrap_or(AMOUNT),
        fee_limit: FEE_LIMIT,
        deadline: world.now() + Duration::from_secs(60),
    })
}

fn hold(world: &dyn World) -> Option<&dyn HoldInvoices> {
    world.provider().hold_invoices()
}

async fn state(world: &dyn World, hash: PaymentHash) -> Result<InvoiceState, Failure> {
    let found = world.provider().lookup_invoice(hash).await?;
    found.ok_or_else(|| Failure("the node does not know its own invoice".to_owned()))
}

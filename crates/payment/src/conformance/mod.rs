//! The cases that every provider must pass, under the same names for all of them.
//!
//! A provider's tests build a [`World`] around it (a node, somebody outside who pays and is paid) and run
//! each of [`cases`] in a world of its own.

mod holding;
mod receiving;
mod sending;

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use poa_common::{Msat, Timestamp};

use crate::{
    Error, HoldInvoices, InvoiceState, NewInvoice, Outcome, PayIntent, Payer, PaymentHash, Provider,
};

/// How long a case waits for what a real network needs time for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks while it waits.
const POLL: Duration = Duration::from_millis(20);
/// The amount of most cases: whole sats, well above dust.
const AMOUNT: Msat = Msat::new(50_000_000);
/// The fee limit of most cases: 1 %.
const FEE_LIMIT: Msat = Msat::new(500_000);
/// What the invoices of the cases pay for.
const DESCRIPTION_HASH: [u8; 32] = [0xd5; 32];

/// A provider and the world around it. The node can send at least a million sats.
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

    /// Somebody outside makes an invoice that the node can pay.
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
    [receiving::CASES, sending::CASES, holding::CASES].into_iter().flatten().copied()
}

// === impl Case ===

impl Case {
    /// Runs the case in a world that no other case has used.
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

async fn until_state(world: &dyn World, hash: PaymentHash, expected: &str) -> Result<InvoiceState, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let found = state(world, hash).await?;
        if found.as_str() == expected {
            return Ok(found);
        }
        check(waited < PATIENCE, format_args!("still {}, expected {expected}", found.as_str()))?;
        tokio::time::sleep(POLL).await;
        waited += POLL;
    }
}

async fn until_terminal(world: &dyn World, hash: PaymentHash) -> Result<Outcome, Failure> {
    let mut waited = Duration::ZERO;
    loop {
        let found = world.provider().lookup_payment(hash).await;
        if found.is_terminal() {
            return Ok(found);
        }
        check(waited < PATIENCE, format_args!("still {}", found.as_str()))?;
        tokio::time::sleep(POLL).await;
        waited += POLL;
    }
}

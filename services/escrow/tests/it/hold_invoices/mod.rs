//! Escrows that hold invoices fund, a module for each way in which they go, or go wrong.

mod concurrency;
mod events;
mod faults;
mod finality;
mod height;
mod lifecycle;
mod limits;
mod restart;

use std::time::Duration;

use poa_common::{Msat, Network};
use poa_payment::PaymentHash;
use poa_payment::simulated::Attempt;
use poa_proto::escrow::v1::escrow::State;
use poa_proto::escrow::v1::{Escrow, GetEscrowRequest, HoldFundsResponse, SecureEscrowRequest};
use poa_testkit::eventually;
use proof_of_agent::{Rail, TermsOffered};
use tonic::Status;

use crate::chain::{Job, hold, offer_of, terms};
use crate::world::{SOON, User, World, with, world_with};

/// A price with an odd msat, so that a fee of 5 % is rounded: the fee is 500,049 and the payee's part 9,500,950.
pub(crate) const PRICE: i64 = 10_000_999;
/// Until a restarted service must know the truth.
const TRUTH: Duration = Duration::from_secs(5);

/// A world whose worker looks often.
pub(crate) async fn world() -> World {
    world_with(|config| config.holds.poll_ms = 50).await
}

/// A task that a hold invoice of the payer's is to fund.
pub(crate) fn job(world: &World, payer: &User, msat: i64) -> Job {
    job_with(world, payer, msat, |_| {})
}

fn job_with(world: &World, payer: &User, msat: i64, change: impl FnOnce(&mut TermsOffered)) -> Job {
    let (escrow, task) = (world.env.new_id(), world.env.new_id());
    let mut terms = terms(world, payer.account, escrow, msat);
    terms.rail = Rail::HoldInvoice;
    change(&mut terms);
    let offer = offer_of(world, task, Network::Simulated, terms);
    Job { escrow, task, payer: payer.clone(), offer }
}

/// The invoice text of a new task.
pub(crate) async fn awaiting(world: &World, payer: &User, msat: i64) -> (Job, String) {
    let job = job(world, payer, msat);
    let held = hold(world, &job).await.unwrap();
    (job, invoice(&held))
}

fn invoice(held: &HoldFundsResponse) -> String {
    let escrow = held.escrow.as_ref().unwrap();
    assert_eq!(escrow.state(), State::Awaiting);
    escrow.hold_invoice.as_ref().unwrap().invoice.clone()
}

/// A new task whose sats are locked.
pub(crate) async fn accepted(world: &World, payer: &User, msat: i64) -> Job {
    let (job, invoice) = awaiting(world, payer, msat).await;
    world.node().pay_invoice(&invoice).await.unwrap();
    reaches(world, &job, State::Accepted).await;
    job
}

/// The escrow as it is.
pub(crate) async fn now(world: &World, job: &Job) -> Escrow {
    let payer = world.again(&job.payer);
    let request = GetEscrowRequest { escrow_id: job.escrow.to_string() };
    let answer = world.escrow().get_escrow(with(&payer.token, request)).await.unwrap();
    answer.into_inner().escrow.unwrap()
}

/// Waits until an escrow stands there, and answers with it.
pub(crate) async fn reaches(world: &World, job: &Job, state: State) -> Escrow {
    reaches_within(SOON, world, job, state).await
}

async fn reaches_within(limit: Duration, world: &World, job: &Job, state: State) -> Escrow {
    let what = format!("the escrow is {}", state.as_str_name());
    eventually(limit, &what, async || now(world, job).await.state() == state).await;
    now(world, job).await
}

pub(crate) async fn secure(world: &World, job: &Job) -> Result<Escrow, Status> {
    let request = SecureEscrowRequest { escrow_id: job.escrow.to_string(), task_id: job.task.to_string() };
    let answer = world.internal().secure_escrow(request).await?;
    Ok(answer.into_inner().escrow.unwrap())
}

fn hash(escrow: &Escrow) -> PaymentHash {
    let invoice = escrow.hold_invoice.as_ref().unwrap();
    PaymentHash::try_from(invoice.payment_hash.as_slice()).unwrap()
}

fn pays(msat: i64, parts: u32) -> Attempt {
    Attempt { amount: Some(Msat::new(msat)), parts, extra_cltv_blocks: 0 }
}

/// Nothing was posted for the escrow.
async fn assert_nothing_moved(world: &World, payer: &User) {
    assert_eq!(world.balance(&world.again(payer)).await, (0, 0));
    assert_eq!(world.count("SELECT count(*) FROM postings").await, 0);
    assert_eq!(world.count("SELECT count(*) FROM releases").await, 0);
    world.assert_sound().await;
}

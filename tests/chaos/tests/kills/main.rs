//! Every failpoint of money and saga, struck in a mesh of separate processes while people use it: by a kill -9, by a
//! failure and by a stall. After each of them every task ends, every sat is where it belongs, to the msat, each payout
//! was paid at most once, the receipts verify, and the audit, which reads the live ledger all the while, is clean.
//!
//! Kills come one at a time, each with a story that leads to its failpoint, and the time from the restart to rest is
//! measured. Failures and stalls are armed all at once, while every story runs at the same time. `POA_CHAOS=full`
//! adds later arrivals to the kills, and each failure and stall alone; any other value of it names the failpoints to kill
//! at, by how they begin.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the harness of tests: what cannot go on ends the test"
)]

mod agents;
mod books;
mod deposits;
mod figures;
mod liabilities;
mod market;
mod node;
mod payouts;
mod points;
mod rig;
mod stories;

use figures::Figures;
use points::{Action, Strike};
use rig::{Pace, Rig};
use stories::Story;

/// How often all stories are told until everything that is armed must have struck.
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_task_service_lose_nothing() {
    killed("kills: task", &["task"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_escrow_and_attestation_lose_nothing() {
    killed("kills: escrow and attestation", &["escrow", "attestation"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_at_every_failpoint_lose_nothing() {
    all_at_once("failures", Action::Error).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalls_at_every_failpoint_stop_nothing_for_ever() {
    all_at_once("stalls", Action::Hang).await;
}

/// Strikes every failpoint of these services, one after the other.
async fn killed(name: &'static str, services: &[&'static str]) {
    let mut rig = Rig::start(Pace::Quick).await;
    let mut figures = Figures::new(name);
    let wanted = points::singly(services);
    for strike in &wanted {
        figures.note(*strike, rig.strike(*strike).await);
    }
    rig.rest().await;
    rig.close(&wanted).await;
    figures.print(&rig);
}

/// Arms every failpoint of all services with one action, and tells all stories at once until each has struck.
async fn all_at_once(name: &'static str, action: Action) {
    let mut rig = Rig::start(Pace::Slow).await;
    let wanted: Vec<Strike> = points::all().map(|point| Strike { point, action, arrival: 1 }).collect();
    rig.arm(&wanted).await;
    for _ in 0..ROUNDS {
        if rig.missing(&wanted).is_empty() {
            break;
        }
        rig.tell(&Story::ALL).await;
        rig.rest().await;
    }
    rig.close(&wanted).await;
    let mut figures = Figures::new(name);
    for strike in wanted {
        figures.note(strike, None);
    }
    figures.print(&rig);
}

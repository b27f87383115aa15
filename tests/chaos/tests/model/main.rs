//! A seeded model of the saga against the real services in process: operations, crashes, duplicates, reorders and late
//! answers by the seed; every read must have an explanation, and the end must be exact.
//!
//! `POA_MODEL_SEED=n` replays one seed, `POA_MODEL_STEPS=n` cuts its schedule, `POA_MODEL_SEEDS=n` runs so many seeds,
//! `POA_MODEL_FIRST=n` from another first one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod dice;
mod finish;
mod house;
mod money;
mod network;
mod observe;
mod ops;
mod plan;
mod report;
mod run;
mod sabotage;
mod shape;
mod world;

use std::str::FromStr;
use std::time::{Duration, Instant};

use report::Figures;
use run::run;
use sabotage::Sabotage;

/// Steps of a seed, where nothing else is said.
const STEPS: usize = 60;
/// Seeds of every run, after one of the day.
const SEEDS: [u64; 5] = [1, 2, 7, 42, 1_234];
/// No further seed is begun after this: a slow machine runs fewer, and at least the first.
const BUDGET: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_saga_keeps_its_promises_whatever_the_seed() {
    let steps = setting("POA_MODEL_STEPS").unwrap_or(STEPS);
    let long = setting::<u64>("POA_MODEL_SEEDS");
    let seeds: Vec<u64> = match (setting("POA_MODEL_SEED"), long) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => {
            let first = setting("POA_MODEL_FIRST").unwrap_or(1);
            (first..first + count).collect()
        }
        (None, None) => std::iter::once(of_the_day()).chain(SEEDS).collect(),
    };
    let began = Instant::now();
    let mut sum = Figures::default();
    for seed in seeds {
        if long.is_none() && sum.seeds > 0 && began.elapsed() > BUDGET {
            break;
        }
        match run(seed, steps, Sabotage::Nothing).await {
            Ok(figures) => {
                println!(
                    "seed {seed}: {steps} steps in {:.1} s, {:.1} s of it the opening, {:.1} s the end",
                    figures.took.as_secs_f64(),
                    figures.opening.as_secs_f64(),
                    figures.end.as_secs_f64()
                );
                sum.add(&figures);
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{}", sum.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balance_that_grew_by_itself_is_found() {
    found(Sabotage::Balance, &["the audit finds", "msat are inside"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_was_made_twice_is_found_though_the_journal_adds_up() {
    found(Sabotage::PaidTwice, &["the audit finds", "msat are inside", "and must have"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_comes_back_from_its_end_is_found() {
    found(Sabotage::Reopened, &["nothing explains what was read"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_claim_that_is_forgotten_is_found() {
    // Where nobody reads the task again before it expires, its history tells.
    found(Sabotage::ForgottenClaim, &["nothing explains what was read", "is not legal"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ends_before_its_time_is_found() {
    found(Sabotage::EarlyLapse, &["nothing explains what was read"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_with_an_edge_that_is_none_is_found() {
    found(Sabotage::History, &["is not legal"]).await;
}

/// The model fails over a defect, and says what it needs to be replayed.
async fn found(sabotage: Sabotage, one_of: &[&str]) {
    let failure = run(5, 24, sabotage).await.unwrap_err();
    assert!(one_of.iter().any(|what| failure.contains(what)), "{failure}");
    assert!(failure.contains("put in on purpose"), "it fails without the defect: {failure}");
    assert!(failure.contains("POA_MODEL_SEED=5 POA_MODEL_STEPS="), "{failure}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long and from which seed is told by the one who runs the tests"
)]
fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// A seed that is new every day and the same all day.
#[expect(clippy::disallowed_methods, reason = "the day is no part of the run, only its seed")]
fn of_the_day() -> u64 {
    let days = time::OffsetDateTime::now_utc().unix_timestamp() / 86_400;
    u64::try_from(days).unwrap()
}

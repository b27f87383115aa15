//! Load: a closed loop finds the capacity, an open loop measures latency as those feel it who come when they come.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Failure;
use crate::lifecycle::Took;
use crate::numbers::{float, per_second};

/// The longest latency that is told apart from longer ones, in microseconds.
const LONGEST_MICROS: u64 = 60_000_000;
/// Digits that a latency is exact to.
const DIGITS: u8 = 3;
/// The part of a closed slice that warms up and is not counted.
const WARM_UP: f64 = 0.15;
/// Arrivals under way at once; more would measure the generator's memory.
const MAX_UNDER_WAY: u64 = 4_000;
/// Different errors that are kept.
const MAX_ERRORS: usize = 5;

/// What a slice of load came to.
pub(crate) struct Load {
    /// Finished within the counted part, by the second.
    pub(crate) rate: f64,
    /// Finished in all, for costs by the piece.
    pub(crate) done: u64,
    /// Not finished.
    pub(crate) failed: u64,
    /// Some of the reasons.
    pub(crate) errors: Vec<String>,
    create: Histogram<u64>,
    claim: Histogram<u64>,
    submit: Histogram<u64>,
}

/// The latencies of one step, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half are faster.
    pub(crate) p50_ms: f64,
    /// 99 of 100 are faster.
    pub(crate) p99_ms: f64,
}

// === impl Load ===

impl Load {
    fn new() -> Result<Self, Failure> {
        let empty = Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)?;
        Ok(Self {
            rate: 0.0,
            done: 0,
            failed: 0,
            errors: Vec::new(),
            create: empty.clone(),
            claim: empty.clone(),
            submit: empty,
        })
    }

    /// From the intended arrival to the held offer.
    pub(crate) fn create(&self) -> Latency {
        latency(&self.create)
    }

    /// The claim.
    pub(crate) fn claim(&self) -> Latency {
        latency(&self.claim)
    }

    /// From the submission to the end.
    pub(crate) fn submit(&self) -> Latency {
        latency(&self.submit)
    }

    /// How many came to their end, of a hundred.
    pub(crate) fn done_percent(&self) -> f64 {
        100.0 * float(self.done) / float((self.done + self.failed).max(1))
    }

    fn add(&mut self, outcome: Result<Took, Failure>) {
        match outcome {
            Ok(took) => {
                self.done += 1;
                self.create.saturating_record(micros(took.create));
                self.claim.saturating_record(micros(took.claim));
                self.submit.saturating_record(micros(took.submit));
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn fail(&mut self, error: String) {
        self.failed += 1;
        if self.errors.len() < MAX_ERRORS && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn merge(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        for error in other.errors {
            self.failed -= 1;
            self.fail(error);
        }
        // Both have the same bounds, so nothing can be out of them.
        let added =
            [self.create.add(&other.create), self.claim.add(&other.claim), self.submit.add(&other.submit)];
        debug_assert!(added.iter().all(Result::is_ok), "histograms of the same bounds");
    }
}

/// Callers that each begin anew when they are done, for a span of time.
pub(crate) async fn closed<F, Fut>(callers: usize, span: Duration, work: F) -> Result<Load, Failure>
where
    F: Fn(Instant) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Took, Failure>> + Send,
{
    let begun = Instant::now();
    let (counted_from, end) = (begun + span.mul_f64(WARM_UP), begun + span);
    let counted = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for _ in 0..callers {
        let (work, counted) = (work.clone(), Arc::clone(&counted));
        let mut load = Load::new()?;
        loops.spawn(async move {
            while Instant::now() < end {
                let outcome = work(Instant::now()).await;
                let now = Instant::now();
                if outcome.is_ok() && now >= counted_from && now < end {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                load.add(outcome);
            }
            load
        });
    }
    let mut all = Load::new()?;
    while let Some(load) = loops.join_next().await {
        all.merge(load?);
    }
    all.rate = per_second(counted.load(Ordering::Relaxed), end - counted_from);
    Ok(all)
}

/// Callers of one thing, each again when it is answered: how many by the second, and what a call takes. The number that `work`
/// gets is that of the call.
pub(crate) async fn calls<F, Fut>(callers: usize, span: Duration, work: F) -> Result<(f64, Latency), Failure>
where
    F: Fn(u64) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    let begun = Instant::now();
    let number = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for _ in 0..callers {
        let (work, number) = (work.clone(), Arc::clone(&number));
        let mut took = Histogram::<u64>::new_with_bounds(1, LONGEST_MICROS, DIGITS)?;
        loops.spawn(async move {
            while begun.elapsed() < span {
                let called = Instant::now();
                work(number.fetch_add(1, Ordering::Relaxed)).await?;
                took.saturating_record(micros(called.elapsed()));
            }
            Ok::<_, Failure>(took)
        });
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, LONGEST_MICROS, DIGITS)?;
    while let Some(took) = loops.join_next().await {
        all.add(&took??)?;
    }
    Ok((per_second(all.len(), begun.elapsed()), latency(&all)))
}

/// Arrivals at a constant rate, whether the earlier ones are done or not; latency counts from the moment at which an
/// arrival was due, so that a stall is felt by all who would have come meanwhile.
pub(crate) async fn open<F, Fut>(per_second: f64, span: Duration, work: F) -> Result<Load, Failure>
where
    F: Fn(Instant) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Took, Failure>> + Send + 'static,
{
    let (sender, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    let gap = Duration::from_secs_f64(1.0 / per_second.max(0.1));
    let begun = Instant::now();
    // A thread of its own: the runtime's timer has a resolution of a millisecond, and what it drives is under load.
    let clock = std::thread::spawn(move || {
        let under_way = Arc::new(AtomicU64::new(0));
        let mut due = begun;
        while due < begun + span {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if under_way.load(Ordering::Relaxed) >= MAX_UNDER_WAY {
                let _receiver_lives = sender.send(Err("too many were under way".into()));
            } else {
                under_way.fetch_add(1, Ordering::Relaxed);
                let (work, sender, under_way) = (work.clone(), sender.clone(), Arc::clone(&under_way));
                runtime.spawn(async move {
                    let _receiver_lives = sender.send(work(due).await);
                    under_way.fetch_sub(1, Ordering::Relaxed);
                });
            }
            due += gap;
        }
    });
    let mut load = Load::new()?;
    while let Some(outcome) = outcomes.recv().await {
        load.add(outcome);
    }
    clock.join().map_err(|_| "the clock of the open loop panicked")?;
    load.rate = float(load.done) / begun.elapsed().max(span).as_secs_f64();
    Ok(load)
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile| float(histogram.value_at_quantile(quantile)) / 1_000.0;
    Latency { p50_ms: at(0.5), p99_ms: at(0.99) }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(LONGEST_MICROS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(create: Duration) -> Took {
        Took { create, claim: Duration::ZERO, submit: Duration::ZERO }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stall_is_felt_by_all_who_were_due_meanwhile() {
        let gate = Arc::new(tokio::sync::Mutex::new(0_u32));
        let work = move |due: Instant| {
            let gate = Arc::clone(&gate);
            async move {
                let mut served = gate.lock().await;
                if *served == 0 {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                *served += 1;
                Ok(took(due.elapsed()))
            }
        };
        let load = open(100.0, Duration::from_millis(400), work).await.unwrap();
        assert_eq!((load.done, load.failed), (40, 0));
        // A closed loop would have one slow call of 40; here at least a quarter waited for 100 ms or more.
        assert!(load.create().p50_ms > 20.0, "{:?}", load.create());
        assert!(load.create().p99_ms > 200.0, "{:?}", load.create());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn failures_are_counted_and_their_reasons_kept_once() {
        let work = |_| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Err("no".into())
        };
        let load = closed(3, Duration::from_millis(50), work).await.unwrap();
        assert_eq!((load.done, load.rate), (0, 0.0));
        assert!(load.failed >= 3);
        assert_eq!(load.errors, ["no"]);
        assert_eq!(load.done_percent(), 0.0);
    }
}

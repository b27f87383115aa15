//! The figures with a gate and a goal: how each comes out of the rounds, and what the run says of a missed one.

use super::digits;
use crate::numbers::{Spread, float, ratio, spread};
use crate::report::{Feeds, Growth, Report, Round, Slice};

/// Bytes of a mebibyte.
pub(super) const MEBIBYTE: f64 = 1_048_576.0;

/// A figure with its gate and its goal.
pub(super) struct Row {
    pub(super) target: Target,
    pub(super) measured: Option<Spread>,
    /// Why it is what it is, from the figures of the run.
    pub(super) because: String,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) name: &'static str,
    /// 0 where there is none.
    pub(super) gate: f64,
    pub(super) goal: f64,
    pub(super) sense: Sense,
    pub(super) unit: &'static str,
}

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    More,
    Less,
}

/// A figure that every round has: its target, how it comes out of a round, and what explains it.
type Figure = (Target, fn(&Report, &Round) -> f64, fn(&Report) -> String);

/// The figures of every run.
const FIGURES: [Figure; 8] = [
    (
        more("A / B1: mesh against one command a transaction", 0.6, 1.5),
        |_, round| ratio(round.mesh.rate, round.one_by_one),
        where_time_goes,
    ),
    (
        more("A / B2: mesh against the batched ceiling", 0.2, 0.4),
        |_, round| ratio(round.mesh.rate, round.batched),
        what_is_done,
    ),
    (
        more("A / C: mesh against the weekend monolith", 0.0, 1.5),
        |_, round| ratio(round.mesh.rate, round.monolith.rate),
        what_is_done,
    ),
    (more("RPCs of A / RPCs of D", 0.08, 0.15), rpc_efficiency, where_time_goes),
    (more("A\u{2032} / A: grpc-web", 0.9, 0.96), |_, round| ratio(round.web.rate, round.mesh.rate), web_cost),
    (
        less("p99 of create+hold at 50 % load, in one-row commits", 25.0, 12.0, ""),
        |_, round| in_commits(round),
        waits,
    ),
    (less("CPU of all services by lifecycle, in bare RPCs", 30.0, 15.0, ""), in_echoes, where_time_goes),
    (
        less("WAL by lifecycle, without page images", 8.0, 4.0, " kB"),
        |_, round| (round.mesh.written.bytes - round.mesh.written.page_image_bytes) / 1_000.0,
        what_is_done,
    ),
];
/// The figures that are measured by hand.
const AS_TABLES_GROW: Target =
    less("p99 at the most tasks against the fewest, the worse of create and claim", 1.25, 1.1, "");
const FEEDS_OPEN: Target =
    less("resident, gateway and task together, with all feeds open", 512.0, 250.0, " MiB");

/// All of them.
pub(super) fn rows(report: &Report, growth: Option<&Growth>, feeds: Option<&Feeds>) -> Vec<Row> {
    let every = FIGURES.iter().map(|(target, figure, because)| Row {
        target: *target,
        measured: Some(spread(&report.each(|round| figure(report, round)))),
        because: because(report),
    });
    let by_hand = [(AS_TABLES_GROW, growth.and_then(grown)), (FEEDS_OPEN, feeds.map(resident))];
    let by_hand =
        by_hand.into_iter().map(|(target, measured)| Row { target, measured, because: String::new() });
    every.chain(by_hand).collect()
}

const fn more(name: &'static str, gate: f64, goal: f64) -> Target {
    Target { name, gate, goal, sense: Sense::More, unit: "" }
}

const fn less(name: &'static str, gate: f64, goal: f64, unit: &'static str) -> Target {
    Target { name, gate, goal, sense: Sense::Less, unit }
}

/// Whether a figure reaches its goal, its gate, or neither; without a gate and its goal it is only reported.
pub(super) fn verdict(row: &Row) -> &'static str {
    let target = row.target;
    let Some(measured) = row.measured else { return "" };
    let reaches = |bound: f64| match target.sense {
        Sense::More => measured.median >= bound,
        Sense::Less => measured.median <= bound,
    };
    match (reaches(target.goal), target.gate == 0.0 || reaches(target.gate)) {
        (true, _) => "goal",
        (false, true) if target.gate == 0.0 => "reported",
        (false, true) => "gate",
        (false, false) => "missed",
    }
}

/// RPCs of the mesh by the second against those of the bare echo.
fn rpc_efficiency(report: &Report, round: &Round) -> f64 {
    ratio(round.mesh.rate * round.mesh.all_rpcs(), round.echo.rate * f64::from(report.echo_rpcs))
}

/// The p99 of create+hold at half load, in the time of a one-row commit.
fn in_commits(round: &Round) -> f64 {
    round.half.create.p99_ms / 1_000.0 * round.machine.commits_one
}

/// Processor time of the services, in that of a bare RPC with both its ends.
fn in_echoes(report: &Report, round: &Round) -> f64 {
    let bare = (round.echo.all_cpu_micros() + round.echo.generator_micros) / f64::from(report.echo_rpcs);
    ratio(round.mesh.all_cpu_micros(), bare)
}

fn grown(growth: &Growth) -> Option<Spread> {
    let ((_, first_create, first_claim), (_, create, claim)) = (growth.steps.first()?, growth.steps.last()?);
    let worse = ratio(create.p99_ms, first_create.p99_ms).max(ratio(claim.p99_ms, first_claim.p99_ms));
    Some(spread(&[worse]))
}

fn resident(feeds: &Feeds) -> Spread {
    let servers = ["gateway", "task"].map(|server| feeds.after.get(server).copied().unwrap_or(0));
    spread(&[float(servers.iter().sum()) / MEBIBYTE])
}

fn where_time_goes(report: &Report) -> String {
    let of = |figure: &dyn Fn(&Slice) -> f64| spread(&report.each(|round| figure(&round.mesh))).median;
    format!(
        "A lifecycle takes {} \u{b5}s of processor time: services {}, PostgreSQL {}, load generator {}; at {} lifecycles/s \
         that is {} cores.",
        digits(of(&total_micros)),
        digits(of(&Slice::all_cpu_micros)),
        digits(of(&|slice| slice.postgres_micros)),
        digits(of(&|slice| slice.generator_micros)),
        digits(of(&|slice| slice.rate)),
        digits(of(&|slice| slice.rate * total_micros(slice) / 1e6))
    )
}

fn total_micros(slice: &Slice) -> f64 {
    slice.all_cpu_micros() + slice.postgres_micros + slice.generator_micros
}

fn what_is_done(report: &Report) -> String {
    let of = |figure: &dyn Fn(&Slice) -> f64| spread(&report.each(|round| figure(&round.mesh))).median;
    format!(
        "A lifecycle is {} durable commits, {} RPCs and {} kB of log, of which {} kB are images of pages.",
        digits(of(&|slice| slice.written.commits)),
        digits(of(&Slice::all_rpcs)),
        digits(of(&|slice| slice.written.bytes / 1_000.0)),
        digits(of(&|slice| slice.written.page_image_bytes / 1_000.0))
    )
}

fn web_cost(report: &Report) -> String {
    let of = |figure: &dyn Fn(&Round) -> f64| digits(spread(&report.each(figure)).median);
    format!(
        "Of gateway and load generator, a lifecycle takes {} \u{b5}s by grpc-web and {} \u{b5}s by gRPC.",
        of(&|round| edge_micros(&round.web)),
        of(&|round| edge_micros(&round.mesh))
    )
}

fn edge_micros(slice: &Slice) -> f64 {
    slice.cpu_micros.get("gateway").copied().unwrap_or(0.0) + slice.generator_micros
}

fn waits(report: &Report) -> String {
    let of = |figure: &dyn Fn(&Round) -> f64| digits(spread(&report.each(figure)).median);
    format!(
        "Half of the offers are held within {} ms; a one-row commit takes {} ms.",
        of(&|round| round.half.create.p50_ms),
        of(&|round| ratio(1_000.0, round.machine.commits_one))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(measured: f64, target: Target) -> Row {
        Row { target, measured: Some(spread(&[measured])), because: String::new() }
    }

    #[test]
    fn a_figure_reaches_its_goal_its_gate_or_neither() {
        assert_eq!(
            [0.5, 0.7, 1.6].map(|value| verdict(&row(value, more("", 0.6, 1.5)))),
            ["missed", "gate", "goal"]
        );
        assert_eq!(
            [30.0, 20.0, 9.0].map(|value| verdict(&row(value, less("", 25.0, 12.0, "")))),
            ["missed", "gate", "goal"]
        );
        // Without a gate a figure is reported, and cannot miss more than its goal.
        assert_eq!(verdict(&row(0.1, more("", 0.0, 1.5))), "reported");
    }
}

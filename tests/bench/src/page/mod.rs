//! The tables of docs/performance.md, written from a result and never by hand.

use std::fmt::Write as _;

mod rows;

use crate::Failure;
use crate::numbers::{Spread, float, ratio, spread};
use crate::receipts::Receipts;
use crate::report::{self, Feeds, Growth, Log, Report, Round, Slice, Steady};

use rows::{MEBIBYTE, Row, Sense, Target, rows, verdict};

/// Where the tables stand in the page.
const BEGIN: &str = "<!-- tables: begin, written by `make bench` -->";
const END: &str = "<!-- tables: end -->";

/// Puts the tables of a result into the page.
pub(crate) fn write(report: &Report) -> Result<(), Failure> {
    let path = report::repository().join("docs/performance.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/performance.md has no place for its tables")?;
    let (_, after) = rest.split_once(END).ok_or("the tables of docs/performance.md have no end")?;
    std::fs::write(&path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", tables(report)))?;
    println!("tables of {} written", path.display());
    Ok(())
}

/// All tables.
pub(crate) fn tables(report: &Report) -> String {
    let (growth, feeds) = (report::by_hand::<Growth>("growth"), report::by_hand::<Feeds>("feeds"));
    let rows = rows(report, growth.as_ref(), feeds.as_ref());
    let mut page = format!(
        "Commit `{}`, {}, on {}. {} rounds, {} s a slice, {} requesters and as many agents. Median of the rounds, in \
         brackets the 95 % interval of that median.\n\n",
        report.commit,
        report.time,
        report.host,
        report.rounds.len(),
        report.seconds,
        report.parties
    );
    ratio_table(&mut page, &rows);
    rate_table(&mut page, report);
    latency_table(&mut page, report);
    cost_table(&mut page, report);
    receipt_table(&mut page, report);
    by_hand(&mut page, growth.as_ref(), feeds.as_ref());
    if let Some(log) = report::by_hand::<Log>("log") {
        log_table(&mut page, &log);
    }
    settings(&mut page, report);
    page
}

fn ratio_table(page: &mut String, rows: &[Row]) {
    page.push_str("| | gate | goal | measured | reaches |\n|---|---|---|---|---|\n");
    for row in rows {
        let Target { name, gate, goal, sense, unit } = row.target;
        let sign = match sense {
            Sense::More => "\u{2265}",
            Sense::Less => "\u{2264}",
        };
        let gate = if gate > 0.0 { format!("{sign} {gate}{unit}") } else { "reported".to_owned() };
        let measured = row.measured.map_or_else(|| "not measured".to_owned(), |spread| shown(spread) + unit);
        let line = format!("| {name} | {gate} | {sign} {goal}{unit} | {measured} | {} |", verdict(row));
        line_of(page, &line);
    }
    let missed: Vec<&Row> =
        rows.iter().filter(|row| matches!(verdict(row), "missed" | "gate" | "reported")).collect();
    if !missed.is_empty() {
        page.push_str("\nWhat is missed, and what the run says of it:\n\n");
    }
    for row in missed {
        let level = if verdict(row) == "missed" { "the gate" } else { "the goal" };
        let because = if row.because.is_empty() { String::new() } else { format!(" {}", row.because) };
        line_of(page, &format!("- {}: misses {level}.{because}", row.target.name));
    }
    page.push('\n');
}

fn rate_table(page: &mut String, report: &Report) {
    page.push_str("| slice | lifecycles/s | callers |\n|---|---|---|\n");
    let mut slice = |name: &str, rate: Vec<f64>, callers: String| {
        line_of(page, &format!("| {name} | {} | {callers} |", shown(spread(&rate))));
    };
    let callers = report.callers.count.to_string();
    slice("A: the mesh, five processes, gRPC", report.each(|round| round.mesh.rate), callers.clone());
    slice("A\u{2032}: the same by grpc-web", report.each(|round| round.web.rate), callers);
    let single: Vec<f64> =
        report.rounds.iter().filter_map(|round| Some(round.single.as_ref()?.rate)).collect();
    if !single.is_empty() {
        slice("A1: the mesh in one process", single, "64".to_owned());
    }
    slice(
        "B1: pgbench, one command a transaction",
        report.each(|round| round.one_by_one),
        report.clients.count.to_string(),
    );
    let batched = format!("B2: pgbench, {} lifecycles a transaction", report.batch);
    slice(&batched, report.each(|round| round.batched), report.batch_clients.to_string());
    slice(
        "C: REST monolith, four commits",
        report.each(|round| round.monolith.rate),
        report.monolith_callers.count.to_string(),
    );
    let echo = format!("D: bare tonic, {} RPCs a lifecycle", report.echo_rpcs);
    slice(&echo, report.each(|round| round.echo.rate), report.echo_callers.count.to_string());
    page.push_str("\n| the machine in the same minutes | |\n|---|---|\n");
    let mut machine =
        |name: &str, rate: Vec<f64>| line_of(page, &format!("| {name} | {} |", shown(spread(&rate))));
    machine(
        "pages of 8 kB written and synced, by the second",
        report.each(|round| round.machine.syncs_per_second),
    );
    machine(
        "one-row inserts committed by the second, 1 connection",
        report.each(|round| round.machine.commits_one),
    );
    machine("the same, 16 connections", report.each(|round| round.machine.commits_sixteen));
    machine(
        "Ed25519 strict verifications by the second and core",
        report.each(|round| round.machine.verifies),
    );
    machine(
        "a bare RPC there and back, alone, in \u{b5}s",
        report.each(|round| round.machine.round_trip_micros),
    );
    page.push('\n');
}

fn latency_table(page: &mut String, report: &Report) {
    page.push_str("| latency in ms, p50 / p99 | create+hold | claim | submit to COMPLETED | done |\n|---|---|---|---|---|\n");
    let pair = |values: Vec<crate::load::Latency>| {
        let p50: Vec<f64> = values.iter().map(|value| value.p50_ms).collect();
        let p99: Vec<f64> = values.iter().map(|value| value.p99_ms).collect();
        format!("{} / {}", digits(spread(&p50).median), shown(spread(&p99)))
    };
    let mut steady = |name: &str, chosen: &dyn Fn(&Round) -> &Steady| {
        let of = |step: &dyn Fn(&Steady) -> crate::load::Latency| {
            pair(report.rounds.iter().map(|round| step(chosen(round))).collect())
        };
        let asked = spread(&report.each(|round| chosen(round).asked)).median;
        let done = spread(&report.each(|round| chosen(round).done_percent)).low;
        let line = format!(
            "| open loop at {name}, {} arrivals/s | {} | {} | {} | {} % |",
            digits(asked),
            of(&|steady| steady.create),
            of(&|steady| steady.claim),
            of(&|steady| steady.submit),
            digits(done)
        );
        line_of(page, &line);
    };
    steady("50 %", &|round| &round.half);
    steady("80 %", &|round| &round.eighty);
    let of = |step: &dyn Fn(&Slice) -> crate::load::Latency| {
        pair(report.rounds.iter().map(|round| step(&round.mesh)).collect())
    };
    let line = format!(
        "| closed loop, {} callers | {} | {} | {} | |",
        report.callers.count,
        of(&|slice| slice.create),
        of(&|slice| slice.claim),
        of(&|slice| slice.submit)
    );
    line_of(page, &line);
    page.push('\n');
}

fn cost_table(page: &mut String, report: &Report) {
    page.push_str("| by lifecycle | A | C | D |\n|---|---|---|---|\n");
    let mut cost = |name: &str, figure: &dyn Fn(&Slice) -> f64| {
        let of = |slice: &dyn Fn(&Round) -> &Slice| {
            let values = report.each(|round| figure(slice(round)));
            if values.iter().all(|value| *value == 0.0) { String::new() } else { shown(spread(&values)) }
        };
        let line = format!(
            "| {name} | {} | {} | {} |",
            of(&|round| &round.mesh),
            of(&|round| &round.monolith),
            of(&|round| &round.echo)
        );
        line_of(page, &line);
    };
    cost("CPU of the servers, \u{b5}s", &Slice::all_cpu_micros);
    for server in ["gateway", "task", "escrow", "attestation", "auth"] {
        cost(&format!("\u{2026} {server}"), &|slice| slice.cpu_micros.get(server).copied().unwrap_or(0.0));
    }
    cost("CPU of PostgreSQL, \u{b5}s", &|slice| slice.postgres_micros);
    cost("CPU of the load generator, \u{b5}s", &|slice| slice.generator_micros);
    cost("RPCs answered, all hops", &Slice::all_rpcs);
    cost("durable commits (commit records of the log)", &|slice| slice.written.commits);
    cost("syncs of the log", &|slice| slice.written.syncs);
    for database in ["poa_task", "poa_escrow", "poa_attestation"] {
        cost(&format!("transactions of {database}, reads included"), &|slice| {
            slice.transactions.get(database).copied().unwrap_or(0.0)
        });
    }
    for writer in ["escrow", "attestation", "task"] {
        cost(&format!("batches of {writer}'s writer"), &|slice| {
            slice.batches.get(writer).map_or(0.0, |(batches, _)| *batches)
        });
        cost("\u{2026} commands in one", &|slice| slice.batches.get(writer).map_or(0.0, |(_, size)| *size));
    }
    cost("WAL, kB", &|slice| slice.written.bytes / 1_000.0);
    cost("\u{2026} of which images of pages after the checkpoint, kB", &|slice| {
        slice.written.page_image_bytes / 1_000.0
    });
    cost("calls refused as too many, and made again", &|slice| slice.busy);
    cost("extra looks at a task", &|slice| slice.looks);
    page.push('\n');
}

/// A figure of receipts in one round.
type Figure<'f> = &'f dyn Fn(&Receipts) -> f64;

/// Each figure in microseconds, and in those of the bare signature or verification of the same round that it cannot do without.
fn receipt_table(page: &mut String, report: &Report) {
    let measured: Vec<Receipts> = report.rounds.iter().filter_map(|round| round.receipts).collect();
    let Some(first) = measured.first() else { return };
    page.push_str("| receipts and their log, in memory, one core | \u{b5}s | in bare Ed25519 of the same round |\n|---|---|---|\n");
    let each = |figure: Figure<'_>| spread(&measured.iter().map(figure).collect::<Vec<f64>>());
    let mut row = |name: &str, figure: Figure<'_>, floor: Option<Figure<'_>>| {
        let against = floor.map(|floor| shown(each(&|round| ratio(figure(round), floor(round)))));
        let line = format!("| {name} | {} | {} |", shown(each(figure)), against.unwrap_or_default());
        line_of(page, &line);
    };
    let (sign, verify): (Figure<'_>, Figure<'_>) = (&|round| round.bare_sign, &|round| round.bare_verify);
    row("bare: a statement's bytes signed", sign, None);
    row("bare: the same verified strictly", verify, None);
    row("a statement made, signed and written", &|round| round.sign, Some(sign));
    row("an envelope read, verified, its statement checked", &|round| round.open, Some(verify));
    let name = format!("a receipt of {:.0} signatures read and verified", first.signatures);
    row(&name, &|round| round.verify, Some(&|round| round.bare_verify * round.signatures));
    row("a leaf appended to a log of 1,000,000", &|round| round.append, Some(sign));
    row("a place in that log proved", &|round| round.prove, Some(sign));
    let name = format!("that proof of {:.0} bytes verified", first.proof_bytes);
    row(&name, &|round| round.verify_proof, Some(verify));
    page.push('\n');
}

fn by_hand(page: &mut String, growth: Option<&Growth>, feeds: Option<&Feeds>) {
    if let Some(growth) = growth {
        line_of(
            page,
            &format!(
                "By hand, {}: {} arrivals/s with tables of different sizes.\n",
                growth.of,
                digits(growth.asked)
            ),
        );
        page.push_str(
            "| tasks that were there | create+hold p50 / p99, ms | claim p50 / p99, ms |\n|---|---|---|\n",
        );
        for (tasks, create, claim) in &growth.steps {
            let pair = |of: &crate::load::Latency| format!("{} / {}", digits(of.p50_ms), digits(of.p99_ms));
            line_of(page, &format!("| {tasks} | {} | {} |", pair(create), pair(claim)));
        }
        page.push('\n');
    }
    if let Some(feeds) = feeds {
        let mib = |servers: &std::collections::BTreeMap<String, u64>| {
            let parts = servers
                .iter()
                .map(|(server, bytes)| format!("{server} {}", digits(float(*bytes) / MEBIBYTE)));
            parts.collect::<Vec<_>>().join(", ")
        };
        let line = format!(
            "By hand, {}: {} open feeds, {} of them stalled, {} events read. Resident MiB before: {}; after: {}.\n",
            feeds.of,
            feeds.open,
            feeds.stalled,
            feeds.events,
            mib(&feeds.before),
            mib(&feeds.after)
        );
        line_of(page, &line);
    }
}

fn log_table(page: &mut String, log: &Log) {
    let line = format!(
        "By hand, {}: the log of attestation, statements appended by {} callers, proofs and tiles read by one through the \
         gateway, each proof held against the published checkpoint.\n",
        log.of, log.writers
    );
    line_of(page, &line);
    page.push_str("| leaves | appends/s | append p50 / p99, ms | tree grown, leaves/s | proof p50 / p99, ms | proof, bytes | tile p50 / p99, ms |\n|---|---|---|---|---|---|---|\n");
    for step in &log.steps {
        let pair = |of: &crate::load::Latency| format!("{} / {}", digits(of.p50_ms), digits(of.p99_ms));
        let line = format!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            step.leaves,
            digits(step.appends_per_second),
            pair(&step.append),
            digits(step.grown_per_second),
            pair(&step.proof),
            step.proof_bytes,
            pair(&step.tile)
        );
        line_of(page, &line);
    }
    page.push('\n');
}

fn settings(page: &mut String, report: &Report) {
    let settings: Vec<String> =
        report.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    line_of(page, &format!("PostgreSQL: {}.", settings.join(", ")));
}

fn shown(spread: Spread) -> String {
    if spread.low == spread.high {
        return digits(spread.median);
    }
    format!("{} ({}\u{2013}{})", digits(spread.median), digits(spread.low), digits(spread.high))
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn line_of(page: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _infallible = writeln!(page, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_three_digits_and_their_interval() {
        assert_eq!([1_234.5, 12.34, 1.234, 0.1234].map(digits), ["1234", "12.3", "1.23", "0.123"]);
        assert_eq!(shown(spread(&[1.0, 2.0, 4.0])), "2.00 (1.00\u{2013}4.00)");
        assert_eq!(shown(spread(&[2.0])), "2.00");
    }
}

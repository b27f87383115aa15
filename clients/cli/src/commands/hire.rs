//! `hire`: offers a task.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use poa_sdk::api::task::criterion::Check;
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{Content, CreateTaskRequest, Criterion, ReleasePolicy, SizeRange, Task, content};
use poa_sdk::{Session, ToJson as _, to_duration};

use super::deposit::WATCH_PATIENCE;
use super::funding::{self, Funding};
use crate::app::{App, MAX_INLINE_BYTES, read_file, write_file};
use crate::failure::{Exit, Failure};
use crate::output::{fields, one_line};
use crate::units::{Amount, Size, Span, per_cent, sats};
use crate::{describe, describe_hold};

/// Bytes of a JSON schema, as the contract has it.
const MAX_SCHEMA_BYTES: usize = 16 * 1024;
/// Of the chain: one in ten minutes on average.
const BLOCKS_PER_DAY: f64 = 144.0;

#[derive(Debug, Args)]
pub(crate) struct HireArgs {
    /// What is asked for, on one line.
    title: String,
    /// What the agent must be able to do, such as text.summarize.
    #[arg(long, value_name = "WORD")]
    capability: String,
    /// What it works on; `-` is standard input. Up to 128 KiB.
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    input: Option<PathBuf>,
    /// The input's media type.
    #[arg(long, default_value = "text/plain; charset=utf-8", value_name = "TYPE")]
    media_type: String,
    /// What you pay, fee included.
    #[arg(long, value_name = "AMOUNT")]
    price: Amount,
    /// Where the price comes from.
    #[arg(long, value_enum, default_value_t = Funding::Balance, value_name = "FROM")]
    funding: Funding,
    /// Have the faucet of the simulated network pay the hold invoice.
    #[arg(long, conflicts_with = "dry_run")]
    faucet: bool,
    #[command(flatten)]
    criteria: CriteriaArgs,
    /// When the sats are released [default: on attestation where a machine can check, else on acceptance].
    #[arg(long, value_enum, value_name = "WHEN")]
    policy: Option<Policy>,
    /// Hire this agent alone.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    agent: String,
    #[command(flatten)]
    times: TimeArgs,
    /// Follow the task to its end and print the result.
    #[arg(long)]
    wait: bool,
    /// Where the result goes with --wait [default: standard output].
    #[arg(short, long, value_name = "FILE", requires = "wait")]
    output: Option<PathBuf>,
    /// Say what it would cost, and do nothing.
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
}

/// How long each step of the task may take.
#[derive(Debug, Args)]
pub(crate) struct TimeArgs {
    /// How long the offer stands [default: 1d].
    #[arg(long, value_name = "SPAN")]
    open_for: Option<Span>,
    /// How long the agent may work [default: 1h].
    #[arg(long, value_name = "SPAN")]
    work_for: Option<Span>,
    /// How long you may review [default: 1d].
    #[arg(long, value_name = "SPAN")]
    review_for: Option<Span>,
}

/// What the result must be. All criteria must hold; they are numbered from 0 in this order.
#[derive(Debug, Args)]
#[command(next_help_heading = "Criteria")]
pub(crate) struct CriteriaArgs {
    /// The result is JSON that the schema in this file accepts.
    #[arg(long = "schema", value_name = "FILE")]
    schemas: Vec<PathBuf>,
    /// The result is text that this regular expression matches.
    #[arg(long = "pattern", value_name = "REGEX")]
    patterns: Vec<String>,
    /// The result has at least this size.
    #[arg(long, value_name = "SIZE")]
    min_size: Option<Size>,
    /// The result has at most this size.
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,
    /// The result has this SHA-256, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// You judge the result by this sentence.
    #[arg(long = "manual", value_name = "TEXT")]
    manuals: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Policy {
    /// As soon as the receipt is logged and the criteria hold.
    OnAttestation,
    /// When you accept, or your review time passes.
    OnAcceptance,
}

pub(crate) async fn run(app: &App, args: HireArgs) -> Result<(), Failure> {
    let price_msat = app.msat(args.price)?;
    if args.faucet && args.funding == Funding::Balance {
        return Err(Failure::new(Exit::Usage, "there is no invoice that the faucet could pay")
            .hint("say where the price comes from: `--funding hold-invoice`"));
    }
    let session = app.session()?;
    if args.dry_run {
        return estimate(app, &session, price_msat, &args).await;
    }
    let path = args.input.ok_or_else(|| {
        Failure::new(Exit::Usage, "what does the agent work on?").hint("say it with --input FILE")
    })?;
    let input = Content {
        media_type: args.media_type,
        body: Some(content::Body::Inline(read_file(&path, MAX_INLINE_BYTES)?)),
    };
    let release_policy = match args.policy {
        None => ReleasePolicy::Unspecified,
        Some(Policy::OnAttestation) => ReleasePolicy::OnAttestation,
        Some(Policy::OnAcceptance) => ReleasePolicy::OnAcceptance,
    };
    let span = |span: Option<Span>| span.map(|span| to_duration(span.0));
    let request = CreateTaskRequest {
        request_id: String::new(),
        title: args.title,
        capability: args.capability,
        input: Some(input),
        criteria: criteria(&args.criteria)?,
        price_msat,
        release_policy: release_policy.into(),
        direct_agent_id: args.agent,
        open_duration: span(args.times.open_for),
        work_duration: span(args.times.work_for),
        review_duration: span(args.times.review_for),
        funding: poa_sdk::api::task::Funding::from(args.funding).into(),
    };
    let task = session.create_task(request).await?;
    if args.funding == Funding::HoldInvoice {
        return hired_by_invoice(app, &session, task, args.faucet, args.wait, args.output).await;
    }
    if !args.wait {
        app.out.show(&task, || describe::task(&task))?;
        app.out.progress(&format!("Follow it: `poa watch {}`", task.task_id));
        return Ok(());
    }
    app.out.progress(&format!("Hired: {} is held for {}.", sats(task.price_msat), task.task_id));
    let ended = follow(app, &session, &task.task_id, None).await?;
    deliver(app, &session, &ended, args.output).await
}

/// Goes on with a task whose price a wallet has still to lock.
async fn hired_by_invoice(
    app: &App,
    session: &Session,
    task: Task,
    faucet: bool,
    wait: bool,
    output: Option<PathBuf>,
) -> Result<(), Failure> {
    let task = funding::invoiced(session, task).await?;
    if !wait {
        return funding::hand_over(app, session, &task, faucet).await;
    }
    // Whoever follows is told of the invoice, unless it is paid already.
    let seen = if faucet {
        funding::pay(app, session, &task).await?;
        Some(&task)
    } else {
        None
    };
    let ended = follow(app, session, &task.task_id, seen).await?;
    deliver(app, session, &ended, output).await
}

async fn estimate(app: &App, session: &Session, price_msat: i64, args: &HireArgs) -> Result<(), Failure> {
    let lock = match args.funding {
        Funding::Balance => None,
        Funding::HoldInvoice => {
            let spans = [args.times.open_for, args.times.work_for, args.times.review_for];
            Some(funding::lock_blocks(spans.map(|span| span.map(|span| span.0)))?)
        }
    };
    let estimate = session.estimate_fees(price_msat).await?;
    app.out.show(&estimate, || {
        let fee = format!("{} ({})", sats(estimate.fee_msat), per_cent(estimate.fee_basis_points));
        let mut rows =
            vec![("you pay", sats(price_msat)), ("agent gets", sats(estimate.payee_msat)), ("fee", fee)];
        if let Some(blocks) = lock {
            let days = f64::from(blocks) / BLOCKS_PER_DAY;
            rows.push(("locked", format!("for {blocks} blocks at most, about {days:.1} days")));
        }
        if let Some(change) = &estimate.change_time {
            let next = per_cent(estimate.next_fee_basis_points);
            rows.push(("later", format!("{next} from {} on", describe::time(Some(change)))));
        }
        fields(&rows)
    })
}

/// The criteria of the flags, in the documented order: schemas, patterns, size, digest, sentences.
fn criteria(args: &CriteriaArgs) -> Result<Vec<Criterion>, Failure> {
    let mut checks = Vec::new();
    for path in &args.schemas {
        let text = String::from_utf8(read_file(path, MAX_SCHEMA_BYTES)?)
            .map_err(|_| Failure::new(Exit::Usage, format!("{} is not text", path.display())))?;
        let sound: Result<serde_json::Value, _> = serde_json::from_str(&text);
        sound
            .map_err(|error| Failure::new(Exit::Usage, format!("{} is not JSON: {error}", path.display())))?;
        checks.push(Check::JsonSchema(text));
    }
    checks.extend(args.patterns.iter().cloned().map(Check::Pattern));
    if args.min_size.is_some() || args.max_size.is_some() {
        let size = |size: Option<Size>| size.map_or(Ok(0), |size| i64::try_from(size.0));
        let range = size(args.min_size)
            .and_then(|min_bytes| Ok(SizeRange { min_bytes, max_bytes: size(args.max_size)? }));
        checks.push(Check::Size(range.map_err(|_| Failure::new(Exit::Usage, "the size is too large"))?));
    }
    if let Some(digest) = &args.sha256 {
        let bytes = hex::decode(digest).ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes.ok_or_else(|| Failure::new(Exit::Usage, "a SHA-256 has 64 hexadecimal digits"))?;
        checks.push(Check::Sha256(bytes));
    }
    checks.extend(args.manuals.iter().cloned().map(Check::Manual));
    Ok(checks.into_iter().map(|check| Criterion { check: Some(check) }).collect())
}

/// Follows a task to its end and says each step: on standard error for people, as JSON lines for scripts. What is known of
/// it from before is not told again.
pub(crate) async fn follow(
    app: &App,
    session: &Session,
    task_id: &str,
    known: Option<&Task>,
) -> Result<Task, Failure> {
    let mut states = session.watch_task(task_id, WATCH_PATIENCE);
    let mut last = known.cloned();
    while let Some(task) = states.next().await {
        let task = task?;
        if app.out.is_json() {
            app.out.show(&task, String::new)?;
        } else {
            if last.as_ref().map(Task::state) != Some(task.state()) {
                app.out.progress(&step(&task));
            }
            if let Some(news) = describe_hold::news(last.as_ref(), &task) {
                app.out.progress(&news);
            }
        }
        last = Some(task);
    }
    last.ok_or_else(|| Failure::new(Exit::Unavailable, "the server ended the watch"))
}

/// One step of a task in words.
pub(crate) fn step(task: &Task) -> String {
    let state = describe::state(task.state().as_str_name());
    let waits = task.waiting.as_ref().map(|waiting| format!(" · {}", describe::waiting(waiting)));
    let note = if task.note.is_empty() { String::new() } else { format!(" · {}", one_line(&task.note)) };
    let review = match (task.state(), task.release_policy()) {
        (State::Submitted, ReleasePolicy::OnAcceptance) => {
            format!(
                "\n  look at it: `poa task result {0}`, then `poa accept {0}` or `poa reject {0} …`",
                task.task_id
            )
        }
        (_, _) => String::new(),
    };
    format!("{state}{}{note}{review}", waits.unwrap_or_default())
}

/// Prints the result of a task that ended well.
async fn deliver(app: &App, session: &Session, ended: &Task, output: Option<PathBuf>) -> Result<(), Failure> {
    if ended.state() != State::Completed {
        let state = describe::state(ended.state().as_str_name());
        let reason =
            if ended.note.is_empty() { String::new() } else { format!(": {}", one_line(&ended.note)) };
        let message = format!("the task ended as {state}{reason}");
        return Err(Failure::new(Exit::Refused, message).hint(describe_hold::after(ended)));
    }
    let task = session.task(&ended.task_id).await?;
    let bytes = result_bytes(&task)?;
    match output {
        Some(path) => write_file(app.out, &path, &bytes)?,
        None if app.out.is_json() => {}
        None => app.out.bytes(&bytes)?,
    }
    if app.out.is_json() {
        app.out.json(&ended_json(&task, &bytes))?;
    }
    app.out.progress(&format!(
        "Paid {}. The receipt: `poa receipt {} -o receipt.json`",
        sats(task.price_msat),
        task.task_id
    ));
    Ok(())
}

/// The ended task with its bodies, and the result as text where it is text: what scripts want first.
fn ended_json(task: &Task, result: &[u8]) -> serde_json::Value {
    let mut json = task.to_json();
    json["result_text"] =
        std::str::from_utf8(result).map_or(serde_json::Value::Null, serde_json::Value::from);
    json
}

/// The inline result.
pub(crate) fn result_bytes(task: &Task) -> Result<Vec<u8>, Failure> {
    match task.result.as_ref().map(|result| &result.body) {
        Some(Some(content::Body::Inline(bytes))) => Ok(bytes.clone()),
        Some(None) => Ok(Vec::new()),
        Some(Some(content::Body::Remote(remote))) => {
            let message = format!("the result is kept elsewhere: {}", one_line(&remote.uri));
            Err(Failure::new(Exit::Refused, message)
                .hint(format!("its SHA-256 is {}", hex::encode(&remote.sha256))))
        }
        None => Err(Failure::new(Exit::Refused, "there is no result, or not for you yet")
            .hint(format!("see `poa task show {}`", task.task_id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> CriteriaArgs {
        CriteriaArgs {
            schemas: Vec::new(),
            patterns: Vec::new(),
            min_size: None,
            max_size: None,
            sha256: None,
            manuals: Vec::new(),
        }
    }

    #[test]
    fn criteria_keep_the_documented_order() {
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("schema.json");
        std::fs::write(&schema, "{\"type\":\"object\"}").unwrap();
        let made = criteria(&CriteriaArgs {
            schemas: vec![schema],
            patterns: vec!["^a".to_owned()],
            max_size: Some(Size(10)),
            sha256: Some("ab".repeat(32)),
            manuals: vec!["good".to_owned()],
            ..args()
        })
        .unwrap();
        let kinds: Vec<_> = made.iter().map(describe::criterion).collect();
        assert!(kinds[0].starts_with("JSON by the schema"));
        assert_eq!(kinds[1], "text that matches ^a");
        assert_eq!(kinds[2], "0 to 10 bytes");
        assert!(kinds[3].starts_with("SHA-256 abab"));
        assert_eq!(kinds[4], "a person judges: good");
    }

    #[test]
    fn a_schema_that_is_not_json_and_a_short_digest_are_usage_errors() {
        let folder = tempfile::tempdir().unwrap();
        let schema = folder.path().join("schema.json");
        std::fs::write(&schema, "{").unwrap();
        let wrong = criteria(&CriteriaArgs { schemas: vec![schema], ..args() }).unwrap_err();
        assert_eq!(wrong.exit(), Exit::Usage);
        assert!(wrong.message().contains("is not JSON"));
        assert!(criteria(&CriteriaArgs { sha256: Some("abcd".to_owned()), ..args() }).is_err());
    }
}

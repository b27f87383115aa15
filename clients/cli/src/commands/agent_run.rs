//! `agent run`: the daemon that works.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use poa_sdk::worker::{Handler, Job, Output, Refusal, Shutdown, Worker, WorkerConfig, WorkerEvent};
use poa_sdk::{rfc3339, system_env};
use serde_json::{Value as Json, json};
use tokio::signal::unix::{SignalKind, signal};

use super::agent::{find, load_key};
use super::agent_version::build_of;
use crate::app::{App, MAX_INLINE_BYTES, read_file};
use crate::failure::{Exit, Failure};
use crate::output::{Out, one_line};
use crate::runner::{CommandSpec, environment, run as run_command};
use crate::trust;
use crate::units::{Amount, Size, Span, bytes, sats};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The agent [default: yours with this key].
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Its key [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What to take; may be given several times [default: what the agent is registered for].
    #[arg(long = "capability", value_name = "WORD")]
    capabilities: Vec<String>,
    /// How many tasks at once.
    #[arg(long, default_value_t = 1, value_name = "N")]
    concurrency: usize,
    /// After this a command and all its children are killed, and the claim is given back.
    #[arg(long, default_value = "5m", value_name = "SPAN")]
    timeout: Span,
    /// More output than this is no result.
    #[arg(long, default_value = "128KiB", value_name = "SIZE")]
    max_output: Size,
    /// The least to work for, after the fee.
    #[arg(long, value_name = "AMOUNT")]
    min_price: Option<Amount>,
    /// The media type of the results.
    #[arg(long, default_value = "application/octet-stream", value_name = "TYPE")]
    media_type: String,
    /// A variable of this environment that COMMAND sees too; may be given several times.
    #[arg(long = "pass-env", value_name = "NAME")]
    pass_env: Vec<String>,
    /// The published version that COMMAND is: receipts name its build, and so show more than the key alone.
    #[arg(long, value_name = "NAME")]
    build_version: Option<String>,
    /// Whose statements to believe [default: the pinned one].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
    /// What to run for each task: input on standard input, result on standard output. It sees PATH, HOME, LANG, TZ, TERM,
    /// POA_TASK_ID, POA_TASK_TITLE and POA_CAPABILITY; with --build-version also POA_ACCEPTANCE and POA_AGENT_KEY
    /// (hexadecimal: what a trusted execution environment vouches for, with the result) and POA_EVIDENCE_FILE, where it may
    /// write the evidence. A failure gives the claim back with its last line of standard error.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command for each task.
struct CommandHandler {
    spec: CommandSpec,
    /// Whether receipts name a build, without which evidence is of nothing.
    names_build: bool,
    media_type: String,
    out: Out,
}

/// A folder of its own for one task's evidence.
struct EvidencePlace {
    /// Removed with everything in it.
    _folder: tempfile::TempDir,
    path: String,
}

pub(crate) async fn run(app: &App, args: RunArgs) -> Result<(), Failure> {
    let max_output_bytes = usize::try_from(args.max_output.0).ok().filter(|size| *size <= MAX_INLINE_BYTES);
    let max_output_bytes = max_output_bytes
        .ok_or_else(|| Failure::new(Exit::Usage, "a result has at most 128 KiB: lower --max-output"))?;
    let key = load_key(app, args.key)?;
    let session = app.session()?;
    let agent = find(&session, args.agent.as_deref(), &key).await?;
    let agent_id = agent
        .agent_id
        .parse()
        .map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", agent.agent_id)))?;
    let build = match &args.build_version {
        Some(version) => Some(build_of(&session, agent_id, version).await?),
        None => None,
    };
    let min_payee_msat = args.min_price.map_or(Ok(0), |price| app.msat(price))?;
    let config = WorkerConfig {
        agent_id,
        capabilities: if args.capabilities.is_empty() { agent.capabilities } else { args.capabilities },
        min_payee_msat,
        concurrency: args.concurrency,
        trust_root: trust::believed(app, session.client(), args.trust_root.as_deref()).await?,
        build,
    };
    let mut command = args.command.into_iter();
    let spec = CommandSpec {
        program: command.next().ok_or_else(|| Failure::new(Exit::Usage, "which command?"))?,
        args: command.collect(),
        timeout: args.timeout.0.max(Duration::from_secs(1)),
        max_output_bytes,
        environment: environment(std::env::vars_os(), &args.pass_env),
    };
    let out = app.out;
    let names_build = config.build.is_some();
    let handler = CommandHandler { spec, names_build, media_type: args.media_type, out };
    let worker = Worker::new(session, key, config, handler, move |event| report(out, &event)).await?;
    stop_on_signals(&worker.shutdown(), out)?;
    Ok(worker.run().await?)
}

/// The first signal drains, the second gives back what runs.
fn stop_on_signals(shutdown: &Shutdown, out: Out) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Other, format!("signals: {error}")));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        for token in [shutdown.drain, shutdown.abort] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !token.is_cancelled() {
                out.progress("stopping: what runs may finish, a second signal gives it back");
            }
            token.cancel();
        }
    });
    Ok(())
}

// === impl EvidencePlace ===

impl EvidencePlace {
    fn new() -> Result<Self, Refusal> {
        let unusable = |problem: &dyn std::fmt::Display| {
            Refusal::new(format!("no place for the evidence of a trusted execution environment: {problem}"))
        };
        let folder =
            tempfile::Builder::new().prefix("poa-evidence-").tempdir().map_err(|error| unusable(&error))?;
        let path = folder.path().join("evidence.json");
        let path = path.to_str().ok_or_else(|| unusable(&"its path is not UTF-8"))?.to_owned();
        Ok(Self { _folder: folder, path })
    }

    /// What the command wrote, if it did.
    fn read(self) -> Result<Option<Vec<u8>>, Refusal> {
        let path = std::path::Path::new(&self.path);
        if !path.exists() {
            return Ok(None);
        }
        let evidence = read_file(path, MAX_INLINE_BYTES);
        Ok(Some(
            evidence.map_err(|failure| Refusal::new(format!("POA_EVIDENCE_FILE: {}", failure.message())))?,
        ))
    }
}

impl Handler for CommandHandler {
    async fn handle(&self, job: Job) -> Result<Output, Refusal> {
        let out = self.out;
        let task_id = Arc::new(job.task.task_id.clone());
        let shown = Arc::clone(&task_id);
        let on_line = move |line: &str| {
            out.warn(&if out.is_json() {
                json!({ "event": "stderr", "task_id": *shown, "line": line }).to_string()
            } else {
                format!("  {shown} | {line}")
            });
        };
        // A title with a NUL byte cannot be a variable.
        let title = one_line(&job.task.title);
        let (acceptance, agent_key) = (job.acceptance.to_string(), hex::encode(job.agent_key.as_bytes()));
        let mut variables = vec![
            ("POA_TASK_ID", task_id.as_str()),
            ("POA_TASK_TITLE", title.as_str()),
            ("POA_CAPABILITY", job.task.capability.as_str()),
        ];
        let place = if self.names_build { Some(EvidencePlace::new()?) } else { None };
        if let Some(place) = &place {
            variables.extend([
                ("POA_ACCEPTANCE", acceptance.as_str()),
                ("POA_AGENT_KEY", agent_key.as_str()),
                ("POA_EVIDENCE_FILE", place.path.as_str()),
            ]);
        }
        let bytes = run_command(&self.spec, &variables, job.input, &job.cancel, on_line).await?;
        let evidence = place.map_or(Ok(None), EvidencePlace::read)?;
        Ok(Output { evidence, ..Output::new(bytes, self.media_type.clone()) })
    }
}

/// One line an event.
fn report(out: Out, event: &WorkerEvent) {
    let line = if out.is_json() { json_of(event).to_string() } else { text_of(event) };
    // Where nobody reads the log any more, the work goes on.
    let _ = out.line(&line);
}

fn text_of(event: &WorkerEvent) -> String {
    match event {
        WorkerEvent::Ready => "ready".to_owned(),
        WorkerEvent::Trouble { error } => format!("trouble: {error}"),
        WorkerEvent::NotClaimed { task_id, reason } => format!("passed over {task_id}: {reason}"),
        WorkerEvent::Claimed { task_id, title, payee_msat, input_bytes } => {
            let input = bytes(u64::try_from(*input_bytes).unwrap_or(0));
            format!("claimed {task_id} for {}: {} ({input})", sats(*payee_msat), one_line(title))
        }
        WorkerEvent::Submitted { task_id, output_bytes, output_sha256, state } => {
            let output = bytes(u64::try_from(*output_bytes).unwrap_or(0));
            format!(
                "submitted {task_id}: {output}, SHA-256 {output_sha256}, {}",
                crate::describe::state(state)
            )
        }
        WorkerEvent::Released { task_id, reason } => format!("gave back {task_id}: {}", one_line(reason)),
        WorkerEvent::Lost { task_id, reason } => format!("lost {task_id}: {}", one_line(reason)),
        WorkerEvent::Draining { running } => format!("draining: {running} running"),
        WorkerEvent::Stopped => "stopped".to_owned(),
    }
}

fn json_of(event: &WorkerEvent) -> Json {
    let mut object = match event {
        WorkerEvent::Ready => json!({ "event": "ready" }),
        WorkerEvent::Trouble { error } => json!({ "event": "trouble", "error": error }),
        WorkerEvent::NotClaimed { task_id, reason } => {
            json!({ "event": "not_claimed", "task_id": task_id, "reason": reason })
        }
        WorkerEvent::Claimed { task_id, title, payee_msat, input_bytes } => json!({
            "event": "claimed", "task_id": task_id, "title": title, "payee_msat": payee_msat.to_string(),
            "input_bytes": input_bytes,
        }),
        WorkerEvent::Submitted { task_id, output_bytes, output_sha256, state } => json!({
            "event": "submitted", "task_id": task_id, "output_bytes": output_bytes, "output_sha256": output_sha256,
            "state": state,
        }),
        WorkerEvent::Released { task_id, reason } => {
            json!({ "event": "released", "task_id": task_id, "reason": reason })
        }
        WorkerEvent::Lost { task_id, reason } => {
            json!({ "event": "lost", "task_id": task_id, "reason": reason })
        }
        WorkerEvent::Draining { running } => json!({ "event": "draining", "running": running }),
        WorkerEvent::Stopped => json!({ "event": "stopped" }),
    };
    object["time"] = Json::String(rfc3339(system_env().now()));
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feed_being_connected_is_exactly_one_word() {
        assert_eq!(text_of(&WorkerEvent::Ready), "ready");
        assert_eq!(json_of(&WorkerEvent::Ready)["event"], "ready");
    }

    #[test]
    fn an_event_is_one_line_whatever_a_stranger_writes() {
        let event = WorkerEvent::Claimed {
            task_id: "task_1".to_owned(),
            title: "a\nready\u{1b}".to_owned(),
            payee_msat: 95_000,
            input_bytes: 1_234,
        };
        assert_eq!(text_of(&event), "claimed task_1 for 95 sat: a ready\u{fffd} (1,234 bytes)");
        assert_eq!(json_of(&event)["payee_msat"], "95000");
        assert!(!json_of(&event).to_string().contains('\n'));
    }
}

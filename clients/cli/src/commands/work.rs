//! `feed`, `claim`, `submit`, `release`: being an agent by hand.

use std::path::PathBuf;

use clap::Args;
use futures_util::StreamExt as _;
use poa_sdk::api::task::ClosedTask;
use poa_sdk::receipts::Digest;
use poa_sdk::receipts::tee::ReportData;
use poa_sdk::worker::{self, Output};
use poa_sdk::{FeedFilter, FeedUpdate};
use serde_json::json;

use super::agent::{find, load_key};
use super::agent_version::build_of;
use super::deposit::WATCH_PATIENCE;
use crate::app::{App, MAX_INLINE_BYTES, read_file, write_file};
use crate::failure::{Exit, Failure};
use crate::units::{Amount, sats};
use crate::{describe, trust};

#[derive(Debug, Args)]
pub(crate) struct FeedArgs {
    /// Only tasks that need this; may be given several times.
    #[arg(long = "capability", value_name = "WORD")]
    capabilities: Vec<String>,
    /// Only tasks that pay the agent at least this.
    #[arg(long, value_name = "AMOUNT")]
    min_price: Option<Amount>,
    /// Also tasks that hire this agent directly.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    agent: String,
    /// Print what is open now and end.
    #[arg(long)]
    once: bool,
}

/// Which agent, and its key.
#[derive(Debug, Args)]
pub(crate) struct AgentOptions {
    /// The agent [default: yours with this key].
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Its key [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// `task_…`.
    task_id: String,
    #[command(flatten)]
    agent: AgentOptions,
    /// Where the input goes; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Whose statements to believe [default: the pinned one].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// `task_…`.
    task_id: String,
    /// The result; `-` is standard input. Up to 128 KiB.
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
    /// The result's media type.
    #[arg(long, default_value = "application/octet-stream", value_name = "TYPE")]
    media_type: String,
    /// The agent that must hold the claim [default: whichever does].
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// The key that signed the claim [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The published version that made the result: the receipt names its build, and so shows more than the key alone.
    #[arg(long, value_name = "NAME")]
    build_version: Option<String>,
    /// The evidence of the trusted execution environment that made the result, for the report data of `poa report-data`.
    #[arg(long, value_name = "FILE", requires = "build_version")]
    evidence: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportDataArgs {
    /// `task_…`, claimed.
    task_id: String,
    /// The result; `-` is standard input. Up to 128 KiB.
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// `task_…`.
    task_id: String,
    /// Why, for people.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn feed(app: &App, args: FeedArgs) -> Result<(), Failure> {
    let min_payee_msat = args.min_price.map_or(Ok(0), |price| app.msat(price))?;
    let filter = FeedFilter { capabilities: args.capabilities, min_payee_msat, agent_id: args.agent };
    let mut feed = Box::pin(app.session()?.feed(filter, WATCH_PATIENCE));
    let mut shown = 0_usize;
    while let Some(update) = feed.next().await {
        match update? {
            FeedUpdate::Snapshot { tasks, last, .. } => {
                for task in &tasks {
                    app.out.show(task, || describe::open_task_line(task))?;
                }
                shown = shown.saturating_add(tasks.len());
                if last && shown == 0 {
                    app.out.progress("Nothing is open.");
                }
                if last && args.once {
                    return Ok(());
                }
                if last {
                    app.out.progress("Watching; Ctrl-C ends it.");
                }
            }
            FeedUpdate::Opened(task) => app.out.show(&*task, || describe::open_task_line(&task))?,
            FeedUpdate::Closed(task_id) => {
                let closed = ClosedTask { task_id };
                app.out.show(&closed, || format!("{}  open no more", closed.task_id))?;
            }
        }
    }
    Ok(())
}

pub(crate) async fn claim(app: &App, args: ClaimArgs) -> Result<(), Failure> {
    let key = load_key(app, args.agent.key)?;
    let session = app.session()?;
    let agent = find(&session, args.agent.agent.as_deref(), &key).await?;
    let root = trust::believed(app, session.client(), args.trust_root.as_deref()).await?;
    let claimed = worker::claim(&session, &key, &agent, &root, &args.task_id).await?;
    let task = claimed.ok_or_else(|| {
        Failure::new(Exit::Refused, format!("{} is not open to {}", args.task_id, agent.agent_id))
            .hint("see what is: `poa feed --once`")
    })?;
    if let Some(path) = args.output {
        write_file(app.out, &path, &inline_input(&task))?;
    } else {
        app.out.show(&task, || describe::task(&task))?;
    }
    app.out.progress(&format!(
        "Claimed for {}. Submit it: `poa submit {} --result FILE`",
        sats(task.payee_msat),
        task.task_id
    ));
    Ok(())
}

fn inline_input(task: &poa_sdk::api::task::Task) -> Vec<u8> {
    use poa_sdk::api::task::content::Body;

    match task.input.as_ref().and_then(|input| input.body.as_ref()) {
        Some(Body::Inline(bytes)) => bytes.clone(),
        Some(Body::Remote(remote)) => format!("{}\n", remote.uri).into_bytes(),
        None => Vec::new(),
    }
}

pub(crate) async fn submit(app: &App, args: SubmitArgs) -> Result<(), Failure> {
    let key = load_key(app, args.key)?;
    let mut output = Output::new(read_file(&args.result, MAX_INLINE_BYTES)?, args.media_type);
    if let Some(evidence) = &args.evidence {
        output.evidence = Some(read_file(evidence, MAX_INLINE_BYTES)?);
    }
    let session = app.session()?;
    if let Some(agent) = args.agent {
        let holder = session.task(&args.task_id).await?.claim.map(|claim| claim.agent_id);
        if holder.as_ref() != Some(&agent) {
            let holder = holder.unwrap_or_else(|| "nobody".to_owned());
            let message = format!("the claim on {} is held by {holder}, not by {agent}", args.task_id);
            return Err(Failure::new(Exit::Refused, message));
        }
    }
    let build = match &args.build_version {
        Some(version) => {
            let acceptance = worker::acceptance(&session, &args.task_id).await?;
            let accepted = acceptance.body().as_terms_accepted();
            let accepted = accepted.ok_or_else(|| Failure::new(Exit::Other, "the claim is no acceptance"))?;
            Some(build_of(&session, accepted.agent, version).await?)
        }
        None => None,
    };
    let task = worker::submit(&session, &key, &args.task_id, output, None, build).await?;
    app.out.show(&task, || super::hire::step(&task))
}

/// What the hardware is to sign: it binds the evidence to the claim, the result and the agent's key.
pub(crate) async fn report_data(app: &App, args: ReportDataArgs) -> Result<(), Failure> {
    let output = Digest::of(&read_file(&args.result, MAX_INLINE_BYTES)?);
    let acceptance = worker::acceptance(&app.session()?, &args.task_id).await?;
    let data = ReportData::of(&acceptance.digest(), &output, &acceptance.context().signer);
    let bytes = hex::encode(data.as_bytes());
    app.out.either(|| json!({ "report_data": bytes }), || bytes.clone())
}

pub(crate) async fn release(app: &App, args: ReleaseArgs) -> Result<(), Failure> {
    let task = app.session()?.release_claim(&args.task_id, &args.reason).await?;
    app.out.show(&task, || {
        format!("Gave back {}: it is {}.", task.task_id, describe::state(task.state().as_str_name()))
    })
}

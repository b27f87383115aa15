//! `agent keygen|register|list|show|retire`.

use std::path::PathBuf;

use clap::Args;
use poa_sdk::api::auth::{Agent, ListAgentsRequest, RegisterAgentRequest};
use poa_sdk::{AgentKey, Session, system_env};
use serde_json::json;

use crate::app::App;
use crate::failure::{Exit, Failure};
use crate::output::one_line;
use crate::{describe, paging};

/// The agents of an account that are looked through for a key.
const MAX_AGENTS: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// The new file [default: agent.pem in the profile's folder].
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// Its name.
    name: String,
    /// What it can do, such as text.summarize; may be given several times.
    #[arg(long = "capability", required = true, value_name = "WORD")]
    capabilities: Vec<String>,
    /// What it does, for people.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    description: String,
    /// Its key [default: agent.pem in the profile's folder].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// `agent_…`.
    pub(super) agent_id: String,
}

pub(crate) fn keygen(app: &App, args: KeygenArgs) -> Result<(), Failure> {
    let path = match args.file {
        Some(path) => path,
        None => {
            app.profile.make_folder()?;
            app.profile.agent_key_path()
        }
    };
    let key = AgentKey::generate(&system_env());
    key.save(&path)?;
    let shown = path.display().to_string();
    app.out.either(
        || json!({ "file": shown, "public_key": hex::encode(key.public_key()), "did": key.did().to_string() }),
        || format!("{}\n  kept in {shown}: make a copy, nobody else has it", key.did()),
    )
}

pub(crate) async fn register(app: &App, args: RegisterArgs) -> Result<(), Failure> {
    let key = load_key(app, args.key)?;
    let request = RegisterAgentRequest {
        name: args.name,
        description: args.description,
        capabilities: args.capabilities,
        ..RegisterAgentRequest::default()
    };
    let agent = app.session()?.register_agent(request, &key).await?;
    app.out.show(&agent, || describe::agent(&agent))?;
    app.out
        .progress("Put it to work: `poa agent run -- COMMAND`, with the input on COMMAND's standard input.");
    Ok(())
}

pub(crate) async fn list(app: &App, args: ListArgs) -> Result<(), Failure> {
    let agents = own(&app.session()?, args.limit).await?;
    for agent in &agents {
        app.out.show(agent, || {
            let state = describe::state(agent.state().as_str_name());
            format!(
                "{}  {state:<8} {}  [{}]",
                agent.agent_id,
                one_line(&agent.name),
                agent.capabilities.join(" ")
            )
        })?;
    }
    if agents.is_empty() {
        app.out.progress(
            "No agents. Make one: `poa agent keygen`, then `poa agent register NAME --capability WORD`.",
        );
    }
    Ok(())
}

pub(crate) async fn show(app: &App, args: IdArgs) -> Result<(), Failure> {
    let agent = app.session()?.agent(&args.agent_id).await?;
    app.out.show(&agent, || describe::agent(&agent))
}

pub(crate) async fn retire(app: &App, args: IdArgs) -> Result<(), Failure> {
    let agent = app.session()?.retire_agent(&args.agent_id).await?;
    app.out.show(&agent, || format!("Retired {}: it finishes what it claimed.", agent.agent_id))
}

/// The key of a flag, or the profile's.
pub(crate) fn load_key(app: &App, file: Option<PathBuf>) -> Result<AgentKey, Failure> {
    let path = file.unwrap_or_else(|| app.profile.agent_key_path());
    if !path.exists() {
        let message = format!("there is no key in {}", path.display());
        return Err(Failure::new(Exit::Usage, message)
            .hint("make one: `poa agent keygen`, or name it with --key FILE"));
    }
    Ok(AgentKey::load(&path)?)
}

/// The agent of a flag, or the caller's own with this key.
pub(crate) async fn find(
    session: &Session,
    agent_id: Option<&str>,
    key: &AgentKey,
) -> Result<Agent, Failure> {
    if let Some(agent_id) = agent_id {
        return Ok(session.agent(agent_id).await?);
    }
    let agents = own(session, MAX_AGENTS).await?;
    agents.into_iter().find(|agent| agent.public_key == key.public_key()).ok_or_else(|| {
        Failure::new(Exit::NotFound, "none of your agents has this key")
            .hint("register it: `poa agent register NAME --capability WORD --key FILE`")
    })
}

async fn own(session: &Session, limit: usize) -> Result<Vec<Agent>, Failure> {
    let agents = paging::collect(limit, |page_size, page_token| async move {
        let page = session.list_agents(ListAgentsRequest { page_size, page_token }).await?;
        Ok((page.agents, page.next_page_token))
    });
    Ok(agents.await?)
}

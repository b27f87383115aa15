//! `search agents|tasks|suggest`.

use clap::{Args, Subcommand};
use poa_sdk::api::search::search_tasks_request::View;
use poa_sdk::api::search::suggestion::Kind;
use poa_sdk::api::search::{AgentHit, SearchAgentsRequest, SearchTasksRequest, Suggestion};
use poa_sdk::api::task::task::State;

use super::task::StateFilter;
use crate::app::App;
use crate::failure::Failure;
use crate::output::{one_line, plain};
use crate::units::{Amount, sats};
use crate::{describe, paging};

/// The largest page of a search.
const MAX_PAGE: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum SearchCommand {
    /// Find agents by words, capabilities, price and experience.
    Agents(AgentsArgs),
    /// Find open tasks, or your own, by words, capabilities and price.
    Tasks(TasksArgs),
    /// Complete what you began to type, to capabilities and names of agents.
    Suggest(SuggestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    /// Words of its name, description or capabilities, in any language; without any, the most experienced come first.
    words: Vec<String>,
    /// What it must be able to do; may be given several times, for all of them.
    #[arg(long = "capability", value_name = "WORD")]
    capabilities: Vec<String>,
    /// The most that its work may typically cost; leaves out those that have completed nothing yet.
    #[arg(long, value_name = "AMOUNT")]
    max_price: Option<Amount>,
    /// The fewest tasks that it must have completed.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    min_completed: i32,
    /// Retired agents too.
    #[arg(long)]
    retired: bool,
    /// How many at most.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct TasksArgs {
    /// Words of its title or capability, in any language; without any, the newest come first.
    words: Vec<String>,
    /// Your own, offered or worked on, in any state, instead of the open ones.
    #[arg(long)]
    mine: bool,
    /// Your own in this state; may be given several times.
    #[arg(long = "state", value_enum, value_name = "STATE", requires = "mine")]
    states: Vec<StateFilter>,
    /// A capability that it may need; may be given several times, for any of them.
    #[arg(long = "capability", value_name = "WORD")]
    capabilities: Vec<String>,
    /// The least that the agent gets.
    #[arg(long, value_name = "AMOUNT")]
    min_pay: Option<Amount>,
    /// The most that the requester pays.
    #[arg(long, value_name = "AMOUNT")]
    max_price: Option<Amount>,
    /// How many at most.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct SuggestArgs {
    /// The beginning of a word, or a word with a typing error.
    prefix: String,
    /// How many at most, up to 20.
    #[arg(long, default_value_t = 8, value_name = "N")]
    limit: i32,
}

pub(crate) async fn run(app: &App, command: SearchCommand) -> Result<(), Failure> {
    match command {
        SearchCommand::Agents(args) => agents(app, args).await,
        SearchCommand::Tasks(args) => tasks(app, args).await,
        SearchCommand::Suggest(args) => suggest(app, args).await,
    }
}

async fn agents(app: &App, args: AgentsArgs) -> Result<(), Failure> {
    let session = app.session()?;
    let request = SearchAgentsRequest {
        query: args.words.join(" "),
        capabilities: args.capabilities,
        max_typical_price_msat: args.max_price.map_or(Ok(0), |amount| app.msat(amount))?,
        min_completed_tasks: args.min_completed,
        include_retired: args.retired,
        ..SearchAgentsRequest::default()
    };
    let hits = paging::collect_by(MAX_PAGE, args.limit, |page_size, page_token| {
        let request = SearchAgentsRequest { page_size, page_token, ..request.clone() };
        let session = &session;
        async move {
            let page = session.search_agents(request).await?;
            Ok((page.hits, page.next_page_token))
        }
    })
    .await?;
    for hit in &hits {
        app.out.show(hit, || agent_line(hit))?;
    }
    if hits.is_empty() {
        app.out.progress("No agents. A new one is found a second or so after it was registered.");
    }
    Ok(())
}

async fn tasks(app: &App, args: TasksArgs) -> Result<(), Failure> {
    let session = app.session()?;
    let view = if args.mine { View::Mine } else { View::Market };
    let request = SearchTasksRequest {
        query: args.words.join(" "),
        view: view.into(),
        capabilities: args.capabilities,
        min_payee_msat: args.min_pay.map_or(Ok(0), |amount| app.msat(amount))?,
        max_price_msat: args.max_price.map_or(Ok(0), |amount| app.msat(amount))?,
        states: args.states.into_iter().map(|state| State::from(state).into()).collect(),
        ..SearchTasksRequest::default()
    };
    let found = paging::collect_by(MAX_PAGE, args.limit, |page_size, page_token| {
        let request = SearchTasksRequest { page_size, page_token, ..request.clone() };
        let session = &session;
        async move {
            let page = session.search_tasks(request).await?;
            Ok((page.tasks, page.next_page_token))
        }
    })
    .await?;
    for task in &found {
        app.out.show(task, || describe::task_line(task))?;
    }
    if found.is_empty() {
        app.out.progress("No tasks. A new one is found a second or so after it was offered.");
    }
    Ok(())
}

async fn suggest(app: &App, args: SuggestArgs) -> Result<(), Failure> {
    for found in app.session()?.suggest(&args.prefix, args.limit).await? {
        app.out.show(&found, || suggestion_line(&found))?;
    }
    Ok(())
}

fn agent_line(hit: &AgentHit) -> String {
    let Some(agent) = &hit.agent else { return String::new() };
    let experience = match hit.completed_tasks {
        0 => "new".to_owned(),
        count => format!("{count} done, typically {}", sats(hit.typical_price_msat)),
    };
    format!(
        "{}  {}  [{}]  {experience}",
        agent.agent_id,
        one_line(&agent.name),
        plain(&agent.capabilities.join(" "))
    )
}

fn suggestion_line(found: &Suggestion) -> String {
    let text = one_line(&found.text);
    match &found.kind {
        Some(Kind::CapabilityAgents(1)) => format!("{text}  1 agent"),
        Some(Kind::CapabilityAgents(count)) => format!("{text}  {count} agents"),
        Some(Kind::AgentId(agent)) => format!("{text}  {agent}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poa_sdk::api::auth::Agent;

    #[test]
    fn a_strangers_agent_cannot_move_the_cursor() {
        let agent = Agent { name: "a\u{1b}[2J\nb".to_owned(), ..Agent::default() };
        let line = agent_line(&AgentHit { agent: Some(agent), completed_tasks: 2, ..AgentHit::default() });
        assert!(!line.contains('\u{1b}') && !line.contains('\n'), "{line:?}");
        assert!(line.contains("2 done"), "{line}");
    }
}

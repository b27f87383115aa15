//! `watch`, `task`, `accept`, `reject`, `cancel`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use poa_sdk::api::task::list_tasks_request::Role as ApiRole;
use poa_sdk::api::task::task::State;
use poa_sdk::api::task::{ListTasksRequest, RejectResultRequest};

use super::hire::{follow, result_bytes, step};
use crate::app::{App, write_file};
use crate::failure::Failure;
use crate::{describe, paging};

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// `task_…`.
    task_id: String,
}

#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// `task_…`.
    task_id: String,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// `task_…`.
    task_id: String,
    /// The number of the criterion that the result fails, from 0; only where the task has criteria.
    #[arg(long, value_name = "N")]
    criterion: Option<i32>,
    /// What is wrong, for the agent's owner.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Show a task.
    Show(IdArgs),
    /// List your tasks.
    List(ListArgs),
    /// Print the result of a task.
    Result {
        /// `task_…`.
        task_id: String,
        /// Where it goes [default: standard output].
        #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
        output: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Whose part you play.
    #[arg(long, value_enum, default_value_t = Role::Requester)]
    role: Role,
    /// Only tasks in this state; may be given several times.
    #[arg(long = "state", value_enum, value_name = "STATE")]
    states: Vec<StateFilter>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    Requester,
    Worker,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StateFilter {
    Funding,
    AwaitingFunds,
    Open,
    Claimed,
    Submitted,
    Rejected,
    Releasing,
    Completed,
    Refunding,
    Canceled,
    Expired,
}

pub(crate) async fn watch(app: &App, args: WatchArgs) -> Result<(), Failure> {
    let ended = follow(app, &app.session()?, &args.task_id, None).await?;
    app.out.progress(&format!("ended: {}", describe::state(ended.state().as_str_name())));
    Ok(())
}

pub(crate) async fn run(app: &App, command: TaskCommand) -> Result<(), Failure> {
    let session = app.session()?;
    match command {
        TaskCommand::Show(args) => {
            let task = session.task(&args.task_id).await?;
            app.out.show(&task, || describe::task(&task))
        }
        TaskCommand::List(args) => list(app, args).await,
        TaskCommand::Result { task_id, output } => {
            let task = session.task(&task_id).await?;
            write_file(app.out, &output, &result_bytes(&task)?)
        }
    }
}

async fn list(app: &App, args: ListArgs) -> Result<(), Failure> {
    let session = app.session()?;
    let role = match args.role {
        Role::Requester => ApiRole::Requester,
        Role::Worker => ApiRole::Worker,
    };
    let states: Vec<i32> = args.states.iter().map(|state| State::from(*state).into()).collect();
    let tasks = paging::collect(args.limit, |page_size, page_token| {
        let (session, states) = (session.clone(), states.clone());
        async move {
            let request = ListTasksRequest { page_size, page_token, role: role.into(), states };
            let page = session.list_tasks(request).await?;
            Ok((page.tasks, page.next_page_token))
        }
    })
    .await?;
    for task in &tasks {
        app.out.show(task, || describe::task_line(task))?;
    }
    if tasks.is_empty() {
        app.out.progress("No tasks.");
    }
    Ok(())
}

pub(crate) async fn accept(app: &App, args: IdArgs) -> Result<(), Failure> {
    let task = app.session()?.accept_result(&args.task_id).await?;
    app.out.show(&task, || step(&task))
}

pub(crate) async fn reject(app: &App, args: RejectArgs) -> Result<(), Failure> {
    let request = RejectResultRequest {
        request_id: String::new(),
        task_id: args.task_id,
        criterion: args.criterion,
        reason: args.reason,
    };
    let task = app.session()?.reject_result(request).await?;
    app.out.show(&task, || step(&task))
}

pub(crate) async fn cancel(app: &App, args: IdArgs) -> Result<(), Failure> {
    let task = app.session()?.cancel_task(&args.task_id).await?;
    app.out.show(&task, || step(&task))
}

impl From<StateFilter> for State {
    fn from(filter: StateFilter) -> Self {
        match filter {
            StateFilter::Funding => Self::Funding,
            StateFilter::AwaitingFunds => Self::AwaitingFunds,
            StateFilter::Open => Self::Open,
            StateFilter::Claimed => Self::Claimed,
            StateFilter::Submitted => Self::Submitted,
            StateFilter::Rejected => Self::Rejected,
            StateFilter::Releasing => Self::Releasing,
            StateFilter::Completed => Self::Completed,
            StateFilter::Refunding => Self::Refunding,
            StateFilter::Canceled => Self::Canceled,
            StateFilter::Expired => Self::Expired,
        }
    }
}

//! The subcommands, one file per family.

pub(crate) mod account;
pub(crate) mod admin;
mod admin_lnd;
mod admin_money;
pub(crate) mod agent;
pub(crate) mod agent_archive;
pub(crate) mod agent_keys;
pub(crate) mod agent_run;
pub(crate) mod agent_version;
pub(crate) mod demo;
mod demo_steps;
pub(crate) mod deposit;
pub(crate) mod doctor;
mod doctor_machine;
mod doctor_mesh;
mod doctor_money;
pub(crate) mod faucet;
pub(crate) mod funding;
pub(crate) mod hire;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod log_audit;
pub(crate) mod money;
pub(crate) mod payout;
pub(crate) mod prove;
pub(crate) mod receipt;
pub(crate) mod reputation;
pub(crate) mod search;
pub(crate) mod task;
pub(crate) mod trust_root;
mod trust_root_edit;
pub(crate) mod verify;
pub(crate) mod withdraw;
pub(crate) mod witness;
pub(crate) mod work;

use crate::app::App;
use crate::cli::{AgentCommand, Command};
use crate::failure::Failure;

/// Runs one command. Its future is boxed, because the largest of them would else size all.
pub(crate) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Register(args) => account::register(app, args).await,
        Command::Login(args) => account::login(app, args).await,
        Command::Logout => account::logout(app).await,
        Command::Whoami => account::whoami(app).await,
        Command::Info => account::info(app).await,
        Command::Keys(command) => keys::run(app, command).await,
        Command::Deposit(args) => Box::pin(deposit::run(app, args)).await,
        Command::Faucet(command) => faucet::run(app, command).await,
        Command::Balance(args) => money::balance(app, args).await,
        Command::Statement(args) => money::statement(app, args).await,
        Command::Withdraw(args) => Box::pin(withdraw::run(app, args)).await,
        Command::Payout(command) => payout::run(app, command).await,
        Command::Agent(command) => match command {
            AgentCommand::Keygen(args) => agent::keygen(app, args),
            AgentCommand::Register(args) => agent::register(app, args).await,
            AgentCommand::List(args) => agent::list(app, args).await,
            AgentCommand::Show(args) => agent::show(app, args).await,
            AgentCommand::Retire(args) => agent::retire(app, args).await,
            AgentCommand::Archive(args) => agent_archive::run(app, &args),
            AgentCommand::RotateKey(args) => Box::pin(agent_keys::rotate(app, args)).await,
            AgentCommand::RevokeKey(args) => Box::pin(agent_keys::revoke(app, args)).await,
            AgentCommand::Keys(args) => agent_keys::list(app, &args.agent_id).await,
            AgentCommand::Publish(args) => Box::pin(agent_version::publish(app, args)).await,
            AgentCommand::Versions(args) => Box::pin(agent_version::versions(app, args)).await,
            AgentCommand::Reproduce(args) => Box::pin(agent_version::reproduce(app, args)).await,
            AgentCommand::Run(args) => Box::pin(agent_run::run(app, args)).await,
        },
        Command::Hire(args) => Box::pin(hire::run(app, args)).await,
        Command::Feed(args) => work::feed(app, args).await,
        Command::Claim(args) => Box::pin(work::claim(app, args)).await,
        Command::Submit(args) => Box::pin(work::submit(app, args)).await,
        Command::ReportData(args) => Box::pin(work::report_data(app, args)).await,
        Command::Release(args) => work::release(app, args).await,
        Command::Watch(args) => task::watch(app, args).await,
        Command::Task(command) => task::run(app, command).await,
        Command::Search(command) => Box::pin(search::run(app, command)).await,
        Command::Accept(args) => task::accept(app, args).await,
        Command::Reject(args) => task::reject(app, args).await,
        Command::Cancel(args) => task::cancel(app, args).await,
        Command::Receipt(args) => receipt::run(app, args).await,
        Command::Verify(args) => verify::run(app, &args),
        Command::TrustRoot(command) => trust_root::run(app, command),
        Command::Log(command) => Box::pin(log::run(app, command)).await,
        Command::Reputation(command) => Box::pin(reputation::run(app, command)).await,
        Command::Witness(args) => Box::pin(witness::run(app, args)).await,
        Command::Escrow(command) => money::escrow(app, command).await,
        Command::Admin(command) => admin::run(app, command).await,
        Command::Demo(args) => Box::pin(demo::run(app, args)).await,
        Command::Doctor(args) => Box::pin(doctor::run(app, args)).await,
    }
}

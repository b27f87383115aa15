//! The command line.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::commands::{
    account, admin, agent, agent_archive, agent_keys, agent_run, agent_version, deposit, faucet, hire, keys,
    log, money, payout, prove, receipt, reputation, search, task, trust_root, verify, withdraw, witness,
    work,
};

const AFTER_HELP: &str = "\
Amounts are in sats: 250, 1,000 or 0.5; with a suffix 1500msat; with --msat all bare numbers are msat.
Spans: 90s, 5m, 2h, 7d. Sizes: 512, 64KiB, 1MiB.

Exit codes:
  0  done
  1  something else went wrong
  2  the command line or a field of the request is malformed
  3  not signed in, or not allowed: run `poa login`
  4  there is no such thing, or it is not yours
  5  refused: the state of the task, the funds, a limit
  6  the server cannot be reached, is overloaded, did not answer in time, or has paused payouts
  7  a receipt, a proof, the ledger or the server's keys do not verify";

/// Hire AI agents for sats held in escrow, be one, and check the receipts.
#[derive(Debug, Parser)]
#[command(name = "poa", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Globals {
    /// The mesh to talk to [default: the one of the profile, else http://localhost:3000].
    #[arg(long, global = true, env = "POA_ENDPOINT", value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Which account to be: each profile has a session, a trust root and keys of its own.
    #[arg(long, global = true, env = "POA_PROFILE", default_value = "default", value_name = "NAME")]
    pub(crate) profile: String,
    /// Where profiles are kept [default: $XDG_CONFIG_HOME/proof-of-agent, else ~/.config/proof-of-agent].
    #[arg(long, global = true, env = "POA_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Act with the API key in this file, without signing in.
    #[arg(long, global = true, env = "POA_API_KEY_FILE", value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// The certificate authority (PEM) of an https endpoint, instead of the public ones.
    #[arg(long, global = true, env = "POA_CA_CERT", value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Send passwords, keys and tokens to another machine over http, too: on a network that is your own.
    #[arg(long, global = true, env = "POA_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,
    /// Print JSON for scripts, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Bare amounts on the command line are msat.
    #[arg(long, global = true)]
    pub(crate) msat: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an account and sign in.
    Register(account::RegisterArgs),
    /// Sign in.
    Login(account::LoginArgs),
    /// End the session.
    Logout,
    /// Show who is signed in.
    Whoami,
    /// Show the server's network, fee, limits and keys.
    Info,
    /// API keys for programs.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Put sats in: makes an invoice to pay.
    #[command(args_conflicts_with_subcommands = true)]
    Deposit(deposit::DepositArgs),
    /// The outside wallet of the simulated network.
    #[command(subcommand)]
    Faucet(faucet::FaucetCommand),
    /// Show what can be spent and what is held, or prove that it is in what the platform owes.
    Balance(prove::BalanceArgs),
    /// List every movement of the balance.
    Statement(money::StatementArgs),
    /// Take sats out: pays a Lightning invoice or address.
    #[command(args_conflicts_with_subcommands = true)]
    Withdraw(withdraw::WithdrawArgs),
    /// Where you are paid out to, and from which balance on by itself.
    #[command(subcommand)]
    Payout(payout::PayoutCommand),
    /// Agents and their keys.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Offer a task; its price is held in escrow.
    Hire(hire::HireArgs),
    /// Watch open tasks.
    Feed(work::FeedArgs),
    /// Claim a task for an agent.
    Claim(work::ClaimArgs),
    /// Submit the result of a claimed task, with a signed receipt.
    Submit(work::SubmitArgs),
    /// Print what a trusted execution environment is to sign for a result.
    ReportData(work::ReportDataArgs),
    /// Give a claimed task back.
    Release(work::ReleaseArgs),
    /// Follow a task until it ends.
    Watch(task::WatchArgs),
    /// Look at tasks.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Find agents and tasks.
    #[command(subcommand)]
    Search(search::SearchCommand),
    /// Accept a submitted result: the agent is paid.
    Accept(task::IdArgs),
    /// Reject a submitted result for a criterion of the terms.
    Reject(task::RejectArgs),
    /// Cancel a task that nobody has claimed.
    Cancel(task::IdArgs),
    /// Fetch the receipt of a task.
    Receipt(receipt::ReceiptArgs),
    /// Check a receipt or the proof of a balance, offline.
    Verify(verify::VerifyArgs),
    /// The file that says whose receipts are believed.
    #[command(subcommand)]
    TrustRoot(trust_root::TrustRootCommand),
    /// The transparency log.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// What the log says of agents.
    #[command(subcommand)]
    Reputation(reputation::ReputationCommand),
    /// Watch logs as a witness: cosign their checkpoints, for other people's trust roots.
    #[command(args_conflicts_with_subcommands = true)]
    Witness(witness::WitnessArgs),
    /// What is held for tasks.
    #[command(subcommand)]
    Escrow(money::EscrowCommand),
    /// What operators do, on the admin port.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Walk the whole story with two fresh accounts, on the simulated network.
    Demo(crate::commands::demo::DemoArgs),
    /// Check what commonly goes wrong, and say what to do. Exit code 1 where there is a problem.
    Doctor(crate::commands::doctor::DoctorArgs),
}

/// Agents: `agent run` is the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Make an agent's key.
    Keygen(agent::KeygenArgs),
    /// Register an agent with its key.
    Register(agent::RegisterArgs),
    /// List your agents.
    List(agent::ListArgs),
    /// Show any agent.
    Show(agent::IdArgs),
    /// Retire an agent: it claims nothing new.
    Retire(agent::IdArgs),
    /// Make the archive of an agent's directory; its SHA-256 is the build digest, the same on every machine.
    ///
    /// Hidden files are in it. Left out are .git, empty directories, and what the .gitignore and .poaignore files in
    /// DIR name; your own ignore files and those above DIR do not count. Look at what is in it with --list before
    /// others do.
    Archive(agent_archive::ArchiveArgs),
    /// Put a new key in the place of an agent's key.
    ///
    /// The new key is made where it is not there, and is on disk before anything is asked. Where this command is interrupted,
    /// or its answer gets lost, run it again: it goes on where it was.
    RotateKey(agent_keys::RotateArgs),
    /// Revoke an agent's key: the agent claims nothing until its owner gives it a new one.
    RevokeKey(agent_keys::RevokeArgs),
    /// List what became of an agent's keys, each event checked.
    Keys(agent::IdArgs),
    /// Publish a version of an agent: the digest of its build, signed with its key. It cannot be taken back.
    Publish(agent_version::PublishArgs),
    /// List an agent's versions, each statement checked.
    Versions(agent_version::VersionsArgs),
    /// Make the archive of a version's source anew, and compare it with what the agent has published.
    Reproduce(agent_version::ReproduceArgs),
    /// Work: claim tasks and run COMMAND on each, input on stdin, result on stdout.
    Run(agent_run::RunArgs),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// What the comments of the contract name as a method's command, in all files below a folder.
    fn named(folder: &Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                named(&path, names);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                let text = std::fs::read_to_string(&path).unwrap();
                let after = text.split("CLI: ").skip(1).filter_map(|rest| rest.split('\n').next());
                let quoted = after.filter_map(|rest| rest.split('`').nth(1)).map(str::to_owned);
                names.extend(quoted);
            }
        }
    }

    #[test]
    fn every_command_that_the_contract_names_is_there_with_its_flags() {
        let mut names = Vec::new();
        named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/poa"), &mut names);
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            let mut command = Cli::command();
            for word in name.split(' ').skip(1) {
                if let Some(flag) = word.strip_prefix("--") {
                    let known = command.get_arguments().any(|argument| argument.get_long() == Some(flag));
                    assert!(known, "{name}: there is no --{flag}");
                } else {
                    let next = command.find_subcommand(word).cloned();
                    command = next.unwrap_or_else(|| panic!("{name}: there is no {word}"));
                }
            }
        }
    }

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_commands_of_the_tour_are_understood() {
        for words in [
            "poa register alice --password-file p",
            "poa login alice --trust-root t.json",
            "poa keys create ci --scope tasks.read --scope tasks.write",
            "poa keys list",
            "poa deposit 1000 --wait --faucet",
            "poa deposit show dep_1",
            "poa balance",
            "poa balance --prove -o proof.json",
            "poa faucet pay lnsb1",
            "poa faucet invoice 50",
            "poa withdraw lnsb1 --wait",
            "poa withdraw show wdr_1",
            "poa withdraw list",
            "poa withdraw alice@wallet.example --amount 500 --fee-limit 5 --wait",
            "poa withdraw replace wdr_1 lnsb1 --wait",
            "poa withdraw replace wdr_1",
            "poa payout set alice@wallet.example --from 10,000",
            "poa payout clear",
            "poa payout show",
            "poa agent keygen agent.pem",
            "poa agent register counter --capability text.count",
            "poa agent archive .",
            "poa agent archive . --list -o ../agent.tar",
            "poa agent rotate-key agent_01h455vb4pex5vsknk084sn02q",
            "poa agent rotate-key agent_01h455vb4pex5vsknk084sn02q --as-owner --compromised-since 2026-12-01",
            "poa agent rotate-key agent_01h455vb4pex5vsknk084sn02q --new-key n.pem --old-key o.pem",
            "poa agent revoke-key agent_01h455vb4pex5vsknk084sn02q --as-owner --yes",
            "poa agent keys agent_01h455vb4pex5vsknk084sn02q",
            "poa agent publish . --version 1.0.0 --source git+https://example.org/a@1 --dry-run",
            "poa agent publish . --version 1.0.0 --measurement awsNitro=00 --agent agent_01h455vb4pex5vsknk084sn02q -o a.tar",
            "poa agent versions agent_01h455vb4pex5vsknk084sn02q",
            "poa agent reproduce agent_01h455vb4pex5vsknk084sn02q .",
            "poa agent reproduce agent_01h455vb4pex5vsknk084sn02q@1.0.0 . --archive a.tar",
            "poa trust-root show",
            "poa trust-root accept t.json",
            "poa trust-root new-key root.key",
            "poa trust-root key witness.key --witness w.example",
            "poa trust-root edit t.json --root-key root.key --quorum 1 --expires 2027-01-01",
            "poa trust-root new-origin t.json --root-key root.key --log-key log.key --origin a.example/2",
            "poa agent run --capability text.count --timeout 5m --max-output 128KiB --concurrency 2 -- wc -w",
            "poa hire Count --capability text.count --input - --price 100 --schema s.json --wait",
            "poa hire Count --capability text.count --price 100 --dry-run",
            "poa hire Count --capability text.count --input - --price 100 --funding hold-invoice --faucet --wait",
            "poa task list --state awaiting-funds",
            "poa feed --capability a --capability b",
            "poa claim task_1 --agent agent_1",
            "poa submit task_1 --result out.json",
            "poa submit task_1 --result out.json --build-version 1.0.0 --evidence e.json",
            "poa report-data task_1 --result out.json",
            "poa release task_1 --reason later",
            "poa watch task_1 --json",
            "poa task show task_1",
            "poa task list --role worker --state open",
            "poa task result task_1 -o out",
            "poa reject task_1 --criterion 0 --reason wrong",
            "poa receipt task_1 -o receipt.json",
            "poa verify receipt.json --trust-root t.json --result out",
            "poa log checkpoint",
            "poa log prove 3",
            "poa log consistency 3 9",
            "poa log audit --state s --receipts dir --receipts r.json --checkpoint c --follow --every 5s",
            "poa reputation show agent_00000000000000000000000005",
            "poa reputation recompute",
            "poa reputation recompute agent_00000000000000000000000005 --compare --trust-root t.json",
            "poa reputation recompute agent_00000000000000000000000005 --day 2026-01-02",
            "poa witness keygen w.pem --name witness.example/w",
            "poa witness --key w.pem --name w --log simulated.poa/00ff+590d87a0+AcqTrBcFGHBx1nuDx/8O/oEI6OxFMFdddyaHkzPb2r58 --state dir",
            "poa receipt task_1 --tlog-proof proofs",
            "poa escrow show escr_1",
            "poa search agents summarize --capability text.summarize --max-price 100 --min-completed 2 --limit 5",
            "poa search agents",
            "poa search tasks sheep --min-pay 10 --max-price 20",
            "poa search tasks --mine --state completed",
            "poa search suggest summ",
            "poa admin audit --token-file t",
            "poa admin reindex --token-file t",
            "poa admin reconcile --full --token-file t",
            "poa admin payouts pause drift --token-file t",
            "poa admin payouts resume solved --token-file t",
            "poa admin payouts show --token-file t",
            "poa admin payouts return wdr_1 asked --token-file t",
            "poa admin fees --token-file t",
            "poa admin fees set 5% --token-file t",
            "poa admin fees set 250bp --account acct_1 --from 2026-12-01 --token-file t",
            "poa admin lnd-macaroons --lncli lncli --save-to /srv/lnd",
            "poa demo",
        ] {
            assert!(parse(words).is_ok(), "{words}: {}", parse(words).unwrap_err());
        }
    }

    #[test]
    fn a_password_cannot_be_given_on_the_command_line() {
        assert!(parse("poa login alice --password secret").is_err());
        assert!(parse("poa login alice secret").is_err());
    }

    #[test]
    fn an_operator_names_his_token() {
        for words in ["poa admin audit", "poa admin fees", "poa admin fees set 5%", "poa admin payouts show"]
        {
            assert!(parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn an_agent_without_a_command_is_a_usage_error() {
        assert!(parse("poa agent run --capability text.count").is_err());
    }
}

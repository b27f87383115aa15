//! `demo`: the whole story with two fresh accounts, told step by step.

use std::path::{Path, PathBuf};

use clap::Args;
use poa_sdk::api::task::Task;
use poa_sdk::receipts::{Bundle, Policy, TrustRoot, verify};
use poa_sdk::worker::Worker;
use poa_sdk::{Client, Network, pinned_trust_root};
use serde_json::{Value as Json, json};

use super::demo_steps::{Party, WordStatistics, hire, move_out, put_to_work, settle, until_ready};
use super::receipt::logged;
use crate::app::{App, MAX_INLINE_BYTES, read_file};
use crate::commands::{hire::result_bytes, verify::outcome};
use crate::failure::{Exit, Failure};
use crate::output::Out;
use crate::units::{Amount, sats};

/// A public text to count the words of: the Gettysburg Address, 1863.
const TEXT: &[u8] = include_bytes!("../../assets/gettysburg.txt");

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The text to count the words of [default: the Gettysburg Address].
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// What the requester deposits.
    #[arg(long, default_value = "1000", value_name = "AMOUNT")]
    deposit: Amount,
    /// What the requester pays for the work.
    #[arg(long, default_value = "100", value_name = "AMOUNT")]
    price: Amount,
    /// Where key, result, receipt and trust root are kept [default: a new folder below the temporary one].
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Tells the story: numbered sentences for people, one object a step for scripts.
struct Story {
    out: Out,
    step: u32,
}

pub(crate) async fn run(app: &App, args: DemoArgs) -> Result<(), Failure> {
    let text = match &args.text {
        Some(path) => read_file(path, MAX_INLINE_BYTES)?,
        None => TEXT.to_vec(),
    };
    let (deposit_msat, price_msat) = (app.msat(args.deposit)?, app.msat(args.price)?);
    let folder = folder(args.keep)?;
    let mut story = Story { out: app.out, step: 0 };

    let client = app.client()?;
    let root = meet(&mut story, app, &client, &folder).await?;
    let requester = Party::register(&client, "demo-ada").await?;
    let owner = Party::register(&client, "demo-bob").await?;
    story.tell(
        "Two strangers sign up",
        &format!(
            "{} wants work done, {} owns an agent that counts words",
            requester.username, owner.username
        ),
        json!({ "event": "registered", "requester_id": requester.account_id, "owner_id": owner.account_id }),
    )?;

    let credited = requester.deposit(deposit_msat).await?;
    story.tell(
        "Sats come in over Lightning",
        &format!(
            "an invoice of {}, paid from outside by the faucet: {} has it to spend",
            sats(deposit_msat),
            requester.username
        ),
        json!({ "event": "deposited", "credited_msat": credited.to_string() }),
    )?;

    let (key, agent) = owner.register_agent(&folder.join("agent.pem")).await?;
    story.tell(
        "The agent gets a key of its own",
        &format!("{} signs as {}; the platform never sees its private key", agent.agent_id, key.did()),
        json!({ "event": "agent_registered", "agent_id": agent.agent_id, "did": key.did().to_string() }),
    )?;

    let (worker, events) = put_to_work(&owner, key, &agent, root.clone()).await?;
    let shutdown = worker.shutdown();
    let running = tokio::spawn(Worker::<WordStatistics>::run(worker));
    let worked = work(&mut story, &requester, &text, price_msat, events).await;
    shutdown.drain.cancel();
    // Whatever it says, the story is told by the task and the balances.
    let _ = running.await;
    let task = worked?;

    keep(&folder, "result.json", &result_bytes(&task)?)?;
    receipt(&mut story, &requester, &task, &root, &folder).await?;
    balances(&mut story, &requester, &owner, &task, credited).await?;
    out_again(&mut story, &owner, &task).await?;
    story.end(&folder)
}

/// Pins the keys of a mesh whose sats are worth nothing.
async fn meet(story: &mut Story, app: &App, client: &Client, folder: &Path) -> Result<TrustRoot, Failure> {
    let info = client.server_info().await?;
    if info.network != Network::Simulated.as_str() || !info.faucet {
        let message = format!("the demo pays with a faucet, and {} is {}", app.endpoint()?, info.network);
        return Err(Failure::new(Exit::Refused, message).hint("start a simulated mesh: `make run`"));
    }
    let root = pinned_trust_root(&info)?;
    keep(folder, "trust-root.json", &root.to_json()?)?;
    story.tell(
        "Meet the mesh",
        &format!(
            "{} on the {} network. Its keys are pinned: {}",
            app.endpoint()?,
            info.network,
            root.digest()
        ),
        json!({ "event": "pinned", "trust_root": root.digest().to_string() }),
    )?;
    Ok(root)
}

/// Hires, and follows the task to its end.
async fn work(
    story: &mut Story,
    requester: &Party,
    text: &[u8],
    price_msat: i64,
    mut events: super::demo_steps::Events,
) -> Result<Task, Failure> {
    until_ready(&mut events).await?;
    let task = hire(requester, text, price_msat).await?;
    story.tell(
        "The work is offered, and the price held",
        &format!(
            "{}: {} in escrow, {} for the agent and {} fee; released as soon as a receipt is logged and the result fits the JSON schema",
            task.task_id, sats(task.price_msat), sats(task.payee_msat), sats(task.fee_msat)
        ),
        json!({ "event": "hired", "task_id": task.task_id, "price_msat": task.price_msat.to_string() }),
    )?;
    let ended = settle(story.out, requester, &task.task_id).await?;
    let result = String::from_utf8_lossy(&result_bytes(&ended)?).into_owned();
    story.tell(
        "The agent worked, signed, and was paid",
        &format!("the result:\n  {result}"),
        json!({ "event": "completed", "task_id": ended.task_id, "result": result }),
    )?;
    Ok(ended)
}

async fn receipt(
    story: &mut Story,
    requester: &Party,
    task: &Task,
    root: &TrustRoot,
    folder: &Path,
) -> Result<(), Failure> {
    let bytes = logged(&requester.session, &task.task_id).await?;
    keep(folder, "receipt.json", &bytes)?;
    let policy = Policy { require_paid: true, network: Some(Network::Simulated), ..Policy::default() };
    let mut verified = verify(&Bundle::from_json(&bytes)?, root, &policy, requester.now())?;
    verified.check_result(&result_bytes(task)?)?;
    let checks: Vec<String> =
        verified.checks.iter().map(|check| format!("  \u{2713} {}: {}", check.name, check.finding)).collect();
    story.tell(
        "The receipt verifies, offline",
        &format!("{}\n{}", outcome(&verified), checks.join("\n")),
        json!({ "event": "verified", "paid": verified.is_paid(), "as_of_size": verified.as_of_size.to_string() }),
    )
}

/// Every sat is where it belongs, to the msat.
async fn balances(
    story: &mut Story,
    requester: &Party,
    owner: &Party,
    task: &Task,
    credited: i64,
) -> Result<(), Failure> {
    let (spent, earned) = (requester.session.balance().await?, owner.session.balance().await?);
    let expected = (credited - task.price_msat, task.payee_msat);
    let found = (spent.available_msat, earned.available_msat);
    if found != expected || spent.held_msat != 0 || task.payee_msat + task.fee_msat != task.price_msat {
        let message = format!("the balances are {found:?} msat, expected {expected:?}");
        return Err(Failure::new(Exit::Other, message));
    }
    story.tell(
        "The sats have moved",
        &format!(
            "{} has {} (paid {}), {} has {} (earned), the platform took {}",
            requester.username,
            sats(found.0),
            sats(task.price_msat),
            owner.username,
            sats(found.1),
            sats(task.fee_msat)
        ),
        json!({
            "event": "balances", "requester_msat": found.0.to_string(), "owner_msat": found.1.to_string(),
            "fee_msat": task.fee_msat.to_string(),
        }),
    )
}

async fn out_again(story: &mut Story, owner: &Party, task: &Task) -> Result<(), Failure> {
    let Some(paid) = move_out(owner, task.payee_msat).await? else {
        return story.tell(
            "The earnings stay",
            "they are too small to withdraw",
            json!({ "event": "not_withdrawn" }),
        );
    };
    let left = owner.session.balance().await?;
    story.tell(
        "The earnings leave over Lightning",
        &format!(
            "{} paid to an outside invoice, {} routing fee, proved by the preimage {}; {} left",
            sats(paid.amount_msat),
            sats(paid.fee_msat),
            hex::encode(&paid.preimage),
            sats(left.available_msat)
        ),
        json!({ "event": "withdrawn", "amount_msat": paid.amount_msat.to_string(), "fee_msat": paid.fee_msat.to_string() }),
    )
}

/// The folder for what the story leaves behind.
fn folder(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    match given {
        Some(path) => {
            std::fs::create_dir_all(&path).map_err(|error| Failure::file(&path, &error))?;
            Ok(path)
        }
        None => {
            let made = tempfile::Builder::new().prefix("poa-demo-").tempdir();
            Ok(made.map_err(|error| Failure::file(&std::env::temp_dir(), &error))?.keep())
        }
    }
}

fn keep(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| Failure::file(&path, &error))
}

// === impl Story ===

impl Story {
    fn tell(&mut self, title: &str, text: &str, json: Json) -> Result<(), Failure> {
        self.step = self.step.saturating_add(1);
        let step = self.step;
        self.out.either(|| json, || format!("{step}. {title}\n   {}\n", text.replace('\n', "\n   ")))
    }

    fn end(&self, folder: &Path) -> Result<(), Failure> {
        let folder = folder.display();
        self.out.either(
            || json!({ "event": "done", "folder": folder.to_string() }),
            || {
                format!(
                    "Done. Check the receipt yourself, without the server:\n   poa verify {folder}/receipt.json --trust-root {folder}/trust-root.json --result {folder}/result.json"
                )
            },
        )
    }
}

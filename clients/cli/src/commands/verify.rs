//! `verify`: checks a receipt or the proof of a balance, offline.

use std::path::PathBuf;

use clap::Args;
use poa_sdk::receipts::bundle::MAX_BUNDLE_BYTES;
use poa_sdk::receipts::{Bundle, Outcome, Policy, Requester, TrustLevel, TrustRoot, Verified, verify};
use poa_sdk::{Network, rfc3339, system_env, verify_balance_proof};
use serde_json::{Value as Json, json};

use super::{agent_archive, prove};
use crate::app::{App, read_file};
use crate::failure::{Exit, Failure};
use crate::output::{fields, one_line};
use crate::units::sats;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The receipt, or a proof that `poa balance --prove` kept; `-` is standard input.
    file: PathBuf,
    /// Whom to believe [default: the trust root that was pinned at sign-in].
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,
    /// The result at hand: must be the one that the agent signed.
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// The input at hand: must be the one that the terms name.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Refuse a receipt that does not prove a payment.
    #[arg(long)]
    require_paid: bool,
    /// A directory with the agent's source, from which the build is made anew: shows the level L2.
    #[arg(long, value_name = "DIR")]
    build: Option<PathBuf>,
    /// Refuse a receipt whose run is shown to be less: L0 (signed), L1 (source published), L2 (reproduced), L3 (TEE).
    #[arg(long, value_name = "LEVEL")]
    min_level: Option<TrustLevel>,
    /// Refuse a file of another network: mainnet, regtest or simulated.
    #[arg(long, value_name = "NETWORK")]
    network: Option<Network>,
}

pub(crate) fn run(app: &App, args: &VerifyArgs) -> Result<(), Failure> {
    let root = app.trust_root(args.trust_root.as_deref())?;
    let bytes = read_file(&args.file, MAX_BUNDLE_BYTES)?;
    if is_balance_proof(&bytes) {
        return balance(app, args, &root, &bytes);
    }
    let bundle = Bundle::from_json(&bytes)?;
    let reproduced_build = match &args.build {
        Some(directory) => Some(agent_archive::summary(directory)?.digest),
        None => None,
    };
    let policy = Policy {
        require_paid: args.require_paid,
        network: args.network,
        reproduced_build,
        min_level: args.min_level,
        ..Policy::default()
    };
    let mut verified = verify(&bundle, &root, &policy, system_env().now())?;
    if let Some(path) = &args.result {
        verified.check_result(&read_file(path, usize::MAX)?)?;
    }
    if let Some(path) = &args.input {
        verified.check_input(&read_file(path, usize::MAX)?)?;
    }
    app.out.either(|| json_of(&verified), || text_of(&verified))
}

/// Which of the two documents it is: the fields of each are its own.
fn is_balance_proof(bytes: &[u8]) -> bool {
    let document: Option<Json> = serde_json::from_slice(bytes).ok();
    document.is_some_and(|document| document.get("balanceMsat").is_some())
}

fn balance(app: &App, args: &VerifyArgs, root: &TrustRoot, bytes: &[u8]) -> Result<(), Failure> {
    if args.result.is_some() || args.input.is_some() || args.require_paid {
        return Err(Failure::new(Exit::Usage, "this is the proof of a balance, not the receipt of a task")
            .hint("leave --result, --input and --require-paid out"));
    }
    let verified = verify_balance_proof(bytes, root, system_env().now())?;
    if let Some(expected) = args.network.filter(|expected| *expected != verified.network) {
        let message = format!("the proof is of the network {}, expected {expected}", verified.network);
        return Err(Failure::new(Exit::Unverified, message));
    }
    app.out.either(|| prove::json_of(&verified), || prove::text_of(&verified))
}

/// The whole answer for a person.
pub(crate) fn text_of(verified: &Verified) -> String {
    let mut rows = vec![("task", verified.task.to_string()), ("title", one_line(&verified.title))];
    let mut optional = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    optional("agent", verified.agent.map(|agent| agent.to_string()));
    optional("level", Some(format!("{}: {}", verified.level, meaning(verified.level))));
    optional("paid to", verified.account.map(|account| account.to_string()));
    optional(
        "result",
        verified.output.as_ref().map(|output| format!("{} bytes, SHA-256 {}", output.size, output.sha256)),
    );
    optional("received", verified.received_time.map(rfc3339));
    let checks: Vec<String> =
        verified.checks.iter().map(|check| format!("  \u{2713} {}: {}", check.name, check.finding)).collect();
    format!("VERIFIED  {}\n\n{}\n\n{}", outcome(verified), fields(&rows), checks.join("\n"))
}

/// What a level says of the run.
const fn meaning(level: TrustLevel) -> &'static str {
    match level {
        TrustLevel::Key => "the agent's key signed, and no more is shown of the run",
        TrustLevel::Published => "the agent has published the build that it names, and where its source is",
        TrustLevel::Reproduced => "the build that it names was made again from its source",
        TrustLevel::Tee => "a trusted execution environment measured the build that it names",
    }
}

/// What came of it, in one sentence.
pub(crate) fn outcome(verified: &Verified) -> String {
    let network = match verified.network {
        Network::Mainnet => String::new(),
        Network::Regtest | Network::Simulated => format!(" ({} sats)", verified.network),
    };
    match &verified.outcome {
        Outcome::Paid { amount, fee, payee_net, time } => format!(
            "the work was paid{network}: {} in all, {} to the agent, {} fee, on {}",
            sats(amount.get()),
            sats(payee_net.get()),
            sats(fee.get()),
            rfc3339(*time)
        ),
        Outcome::Split { amount, fee, payee_net, refund, time } => format!(
            "a part was paid{network}: {} in all, {} to the agent, {} fee; {} went back to the requester, on {}",
            sats(amount.get()),
            sats(payee_net.get()),
            sats(fee.get()),
            sats(refund.get()),
            rfc3339(*time)
        ),
        Outcome::Refunded { amount, time } => {
            format!("{} went back to the requester{network} on {}", sats(amount.get()), rfc3339(*time))
        }
        Outcome::FundingLost { amount, time } => format!(
            "NOT PAID{network}: {} went back to the requester's channel by themselves, known on {}",
            sats(amount.get()),
            rfc3339(*time)
        ),
        Outcome::Open(position) => format!("NOT PAID so far{network}: the task is {position}"),
    }
}

fn json_of(verified: &Verified) -> Json {
    let outcome = match &verified.outcome {
        Outcome::Paid { amount, fee, payee_net, time } => json!({
            "state": "paid", "amount_msat": amount.to_string(), "fee_msat": fee.to_string(),
            "payee_msat": payee_net.to_string(), "time": rfc3339(*time),
        }),
        Outcome::Split { amount, fee, payee_net, refund, time } => json!({
            "state": "split", "amount_msat": amount.to_string(), "fee_msat": fee.to_string(),
            "payee_msat": payee_net.to_string(), "refund_msat": refund.to_string(), "time": rfc3339(*time),
        }),
        Outcome::Refunded { amount, time } => {
            json!({ "state": "refunded", "amount_msat": amount.to_string(), "time": rfc3339(*time) })
        }
        Outcome::FundingLost { amount, time } => {
            json!({ "state": "funding_lost", "amount_msat": amount.to_string(), "time": rfc3339(*time) })
        }
        Outcome::Open(position) => json!({ "state": "open", "position": position.to_string() }),
    };
    let requester = match &verified.requester {
        Requester::SelfSigned(_) => "self",
        Requester::Platform => "platform",
    };
    let checks: Vec<Json> =
        verified.checks.iter().map(|check| json!({ "name": check.name, "finding": check.finding })).collect();
    json!({
        "verified": true,
        "paid": verified.is_paid(),
        "task_id": verified.task.to_string(),
        "title": verified.title,
        "network": verified.network.to_string(),
        "log_origin": verified.origin,
        "as_of_size": verified.as_of_size.to_string(),
        "trust_root": verified.trust_root.to_string(),
        "requester": requester,
        "requester_id": verified.requester_account.to_string(),
        "agent_id": verified.agent.map(|agent| agent.to_string()),
        "agent_key": verified.agent_key.map(|key| key.to_string()),
        "agent_key_state": verified.agent_key_state,
        "agent_version": verified.agent_version,
        "level": verified.level,
        "witnesses": verified.witnesses,
        "captured_msat": verified.captured.to_string(),
        "account_id": verified.account.map(|account| account.to_string()),
        "result_sha256": verified.output.as_ref().map(|output| output.sha256.to_string()),
        "outcome": outcome,
        "checks": checks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_not_taken_for_the_proof_of_a_balance() {
        assert!(is_balance_proof(br#"{"version": 1, "balanceMsat": 5}"#));
        for other in [r#"{"version": 1, "entries": []}"#, "[]", "balanceMsat", ""] {
            assert!(!is_balance_proof(other.as_bytes()), "{other}");
        }
    }
}

//! `balance --prove`: the balance is in what the platform says that it owes, checked offline.

use std::path::PathBuf;

use clap::Args;
use poa_sdk::receipts::VerifiedBalance;
use poa_sdk::{Code, Error, Network, rfc3339, system_env, verify_balance_proof};
use serde_json::{Value as Json, json};

use crate::app::{App, write_file};
use crate::failure::{Exit, Failure};
use crate::output::fields;
use crate::trust::believed;
use crate::units::{grouped, sats};

#[derive(Debug, Args)]
pub(crate) struct BalanceArgs {
    /// Fetch the proof that your balance is in the liabilities that the platform published last, and check it.
    #[arg(long)]
    pub(super) prove: bool,
    /// Keep the proof in a file, for `poa verify`.
    #[arg(short, long, value_name = "FILE", requires = "prove")]
    output: Option<PathBuf>,
    /// Whom to believe [default: the trust root that was pinned at sign-in].
    #[arg(long, value_name = "FILE", requires = "prove")]
    trust_root: Option<PathBuf>,
}

pub(super) async fn prove(app: &App, args: BalanceArgs) -> Result<(), Failure> {
    let session = app.session()?;
    let root = believed(app, session.client(), args.trust_root.as_deref()).await?;
    let proof = session.balance_proof().await.map_err(not_published)?;
    let verified = verify_balance_proof(&proof.document, &root, system_env().now())?;
    // A proof of somebody else's balance would verify, too.
    if let Some(own) = app.account_id()?.filter(|own| *own != verified.account.to_string()) {
        let message = format!("the proof is of {}, and you are {own}", verified.account);
        return Err(Failure::new(Exit::Unverified, message));
    }
    if let Some(path) = &args.output {
        write_file(app.out, path, &proof.document)?;
        // Standard output holds one of the two.
        if path.as_os_str() == "-" {
            return Ok(());
        }
    }
    app.out.either(|| json_of(&verified), || text_of(&verified))?;
    if let Some(path) = &args.output {
        let file = path.display();
        app.out.progress(&format!("Kept in {file}. Check it, offline: `poa verify {file}`"));
    }
    Ok(())
}

fn not_published(error: Error) -> Failure {
    let not_there = error.code() == Some(Code::NotFound);
    let failure = Failure::from(error);
    if !not_there {
        return failure;
    }
    failure.hint("the platform has published none since you have a balance: it does so once a day")
}

/// The whole answer for a person, and what it does not prove.
pub(super) fn text_of(verified: &VerifiedBalance) -> String {
    let network = match verified.network {
        Network::Mainnet => String::new(),
        Network::Regtest | Network::Simulated => format!(" ({} sats)", verified.network),
    };
    let rows = [
        ("account", verified.account.to_string()),
        ("balance", format!("{}, available and held", sats(verified.balance.get()))),
        ("as of", rfc3339(verified.snapshot_time)),
        (
            "in all",
            format!(
                "{} to {} accounts, by the platform's signature",
                sats(verified.liabilities.get()),
                grouped(verified.leaf_count)
            ),
        ),
        ("snapshot", verified.snapshot.to_string()),
        ("log", format!("entry {} of {}", grouped(verified.log_index), grouped(verified.log_size))),
        ("trust root", verified.trust_root.to_string()),
    ];
    format!(
        "VERIFIED  your balance counts in what the platform says that it owes{network}\n\n{}\n\n\
         It does not show that the platform has the sats, nor that the others' balances are counted: each\n\
         account checks its own. Another root for the same moment would show in the log, which nobody can\n\
         rewrite unnoticed: keep the proof.",
        fields(&rows)
    )
}

pub(super) fn json_of(verified: &VerifiedBalance) -> Json {
    json!({
        "verified": true,
        "kind": "balance",
        "account_id": verified.account.to_string(),
        "balance_msat": verified.balance.get().to_string(),
        "liabilities_msat": verified.liabilities.get().to_string(),
        "account_count": verified.leaf_count.to_string(),
        "snapshot_id": verified.snapshot.to_string(),
        "snapshot_time": rfc3339(verified.snapshot_time),
        "network": verified.network.to_string(),
        "log_index": verified.log_index.to_string(),
        "as_of_size": verified.log_size.to_string(),
        "trust_root": verified.trust_root.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use poa_sdk::receipts::Digest;
    use poa_sdk::{AccountId, Msat};

    use super::*;

    #[test]
    fn a_proof_says_what_it_shows_of_which_sats_and_what_it_does_not() {
        let env = system_env();
        let account: AccountId = env.new_id();
        let verified = VerifiedBalance {
            network: Network::Simulated,
            account,
            balance: Msat::new(95_000),
            snapshot: env.new_id(),
            snapshot_time: env.now(),
            liabilities: Msat::new(1_000_000),
            leaf_count: 12,
            log_index: 3,
            log_size: 40,
            trust_root: Digest::of(b"root"),
        };
        let text = text_of(&verified);
        for part in ["VERIFIED", "simulated sats", "95 sat, available and held", "1,000 sat to 12 accounts"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("does not show that the platform has the sats"), "{text}");
        let json = json_of(&verified);
        assert_eq!(json["account_id"], account.to_string());
        assert_eq!(json["balance_msat"], "95000");
    }
}

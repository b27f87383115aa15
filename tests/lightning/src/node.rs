//! One of the nodes: where it is, and what its owner can do at its command line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use poa_common::Msat;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

/// How long a payment may take to arrive or to be refused.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A node of the network.
#[derive(Clone, Debug)]
pub struct Node {
    /// Host and port of its gRPC.
    pub rpc: String,
    /// The certificate that it made for itself.
    pub certificate: PathBuf,
    /// The macaroon that allows everything. Tests alone use it.
    pub admin: PathBuf,
    /// Its identity: a compressed public key in hex.
    pub key: String,
    lncli: PathBuf,
}

// === impl Node ===

impl Node {
    pub(crate) fn new(settings: &HashMap<&str, &str>, letter: char) -> Self {
        let get = |name: &str| {
            let name = format!("{letter}_{name}");
            let value = settings.get(name.as_str()).unwrap_or_else(|| panic!("{name} in network.env"));
            (*value).to_owned()
        };
        Self {
            rpc: get("RPC"),
            certificate: get("CERT").into(),
            admin: get("MACAROON").into(),
            key: get("PUBKEY"),
            lncli: get("LNCLI").into(),
        }
    }

    /// What `lncli` answers, or what it complains of.
    pub async fn lncli(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.command(arguments).output().await.expect("lncli runs");
        answer(&output)
    }

    /// The same with the rights of a macaroon.
    pub async fn lncli_with(&self, macaroon: &Path, arguments: &[&str]) -> Result<Value, String> {
        let macaroon = macaroon.to_string_lossy();
        let mut all = vec!["--macaroonpath", &macaroon];
        all.extend(arguments);
        self.lncli(&all).await
    }

    /// A new ordinary invoice, as bolt11.
    pub async fn invoice(&self, amount: Msat) -> String {
        self.bolt11(&["addinvoice", "--amt_msat", &amount.get().to_string()]).await
    }

    /// A new hold invoice for a hash in hex, as bolt11.
    pub async fn hold_invoice(&self, hash: &str, amount: Msat) -> String {
        self.bolt11(&["addholdinvoice", hash, "--amt_msat", &amount.get().to_string()]).await
    }

    /// Takes the sats of a hold invoice, by its preimage in hex.
    pub async fn settle(&self, preimage: &str) -> Result<(), String> {
        self.lncli(&["settleinvoice", preimage]).await.map(drop)
    }

    /// Cancels an invoice, by its hash in hex.
    pub async fn cancel(&self, hash: &str) -> Result<(), String> {
        self.lncli(&["cancelinvoice", hash]).await.map(drop)
    }

    /// The state of one of its invoices, as lnd calls it: `OPEN`, `ACCEPTED`, `SETTLED`, `CANCELED`.
    pub async fn invoice_state(&self, hash: &str) -> Result<String, String> {
        let found = self.lncli(&["lookupinvoice", hash]).await?;
        Ok(text(&found, "state"))
    }

    /// The status of one of its payments, as lnd calls it: `IN_FLIGHT`, `SUCCEEDED`, `FAILED`; `None` for a hash
    /// that it never paid.
    pub async fn payment_status(&self, hash: &str) -> Option<String> {
        let found = self.lncli(&["listpayments", "--include_incomplete"]).await.expect("its payments");
        let payments = found["payments"].as_array().expect("a list");
        payments.iter().find(|payment| payment["payment_hash"] == hash).map(|payment| text(payment, "status"))
    }

    /// Pays an invoice of another node. Returns when the payment has arrived there (settled or held), or why it was
    /// refused. A payment that is held goes on.
    pub async fn pay(&self, bolt11: &str, payee: &Node) -> Result<(), String> {
        let hash = text(&self.decode(bolt11).await?, "payment_hash");
        self.arrives(&["payinvoice", "--force", "--json", bolt11], &hash, payee).await
    }

    /// The same with more or less than the invoice asks for, in sat, and in parts of at most `part`.
    pub async fn pay_other(&self, bolt11: &str, sat: u64, part: u64, payee: &Node) -> Result<(), String> {
        let decoded = self.decode(bolt11).await?;
        let hash = text(&decoded, "payment_hash");
        let arguments = [
            "sendpayment".to_owned(),
            "--force".to_owned(),
            "--json".to_owned(),
            format!("--dest={}", payee.key),
            format!("--amt={sat}"),
            format!("--max_shard_size_sat={part}"),
            format!("--payment_hash={hash}"),
            format!("--pay_addr={}", text(&decoded, "payment_addr")),
            format!("--final_cltv_delta={}", text(&decoded, "cltv_expiry")),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.arrives(&arguments, &hash, payee).await
    }

    async fn decode(&self, bolt11: &str) -> Result<Value, String> {
        self.lncli(&["decodepayreq", bolt11]).await
    }

    async fn arrives(&self, payment: &[&str], hash: &str, payee: &Node) -> Result<(), String> {
        let mut payment = self.command(payment).spawn().expect("lncli runs");
        let end = Instant::now() + ARRIVES_WITHIN;
        loop {
            if payment.try_wait().expect("the state of a child").is_some() {
                return ended(&payment.wait_with_output().await.expect("its output"));
            }
            // An invoice that was settled before is not paid by this call: only the call itself says so.
            if payee.invoice_state(hash).await.is_ok_and(|state| state == "ACCEPTED") {
                return Ok(());
            }
            assert!(Instant::now() < end, "a payment neither arrived nor failed within {ARRIVES_WITHIN:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A new invoice by a command of `lncli` that makes one, as bolt11.
    pub async fn bolt11(&self, arguments: &[&str]) -> String {
        text(&self.lncli(arguments).await.expect("an invoice"), "payment_request")
    }

    /// Ended with the test: what it has asked of the node goes on.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.lncli);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

fn answer(output: &Output) -> Result<Value, String> {
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    if answer.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))
}

/// What became of a payment that has ended: `lncli` shows it, and fails with it.
fn ended(output: &Output) -> Result<(), String> {
    let Ok(payment) = serde_json::from_slice::<Value>(&output.stdout) else {
        return answer(output).map(drop);
    };
    match text(&payment, "status").as_str() {
        "SUCCEEDED" => Ok(()),
        _ => Err(text(&payment, "failure_reason")),
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("{field} in {answer}")).to_owned()
}

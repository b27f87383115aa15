//! The main job, told once, run over separate processes and over one: two accounts, a deposit, an agent daemon that
//! runs a real command on real input, the receipt verified offline, the sats moved to the msat, a clean audit.

use std::time::Duration;

use poa_e2e::{Deployment, Poa};
use poa_testkit::eventually;
use serde_json::Value;

/// A real text, with line ends and words of other alphabets.
const TEXT: &str =
    "The sats are held in escrow.\nDie Quittung ist geprüft.\n作業は完了した。\n\n  Paid, in full.\n";
/// The price in sats.
const PRICE_SAT: i64 = 1_000;
/// 5 % of the price, in msat.
const FEE_MSAT: i64 = 50_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_runs_over_separate_processes() {
    let mesh = Deployment::separate().await;
    main_job(&mesh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_runs_in_one_process_which_stops_cleanly_and_keeps_its_data() {
    let mut mesh = Deployment::single().await;
    let (alice, balance) = main_job(&mesh).await;
    assert_eq!(mesh.terminate("mesh").await, Some(0), "SIGTERM is a clean stop");
    mesh.start("mesh").await;
    mesh.wait_ready().await;
    assert_eq!(alice.json(&["balance"]), balance, "the data stays");
    audit_is_clean(&mesh);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_the_whole_story() {
    let mesh = Deployment::single().await;
    let told = Poa::new(&mesh.endpoint()).ok(&["demo"]);
    for word in ["escrow", "receipt", "verif"] {
        assert!(told.to_lowercase().contains(word), "the demo does not speak of {word}:\n{told}");
    }
    audit_is_clean(&mesh);
}

async fn main_job(mesh: &Deployment) -> (Poa, Value) {
    let alice = Poa::new(&mesh.endpoint()).register("alice");
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    alice.ok(&["deposit", "5,000", "--wait", "--faucet"]);
    assert_eq!(available(&alice), 5_000_000);

    let key = bob.path("agent.pem");
    let key = key.to_str().expect("a path");
    bob.ok(&["agent", "keygen", key]);
    let agent = bob.json(&["agent", "register", "counter", "--capability", "text.count", "--key", key]);
    let agent = agent["agent_id"].as_str().expect("an agent id").to_owned();
    let mut daemon = bob
        .agent(&[
            "agent",
            "run",
            "--agent",
            &agent,
            "--key",
            key,
            "--capability",
            "text.count",
            "--",
            "wc",
            "-lwc",
        ])
        .await;

    let input = alice.path("input.txt");
    std::fs::write(&input, TEXT).expect("an input");
    let hired = alice.json(&[
        "hire",
        "Count lines, words and bytes",
        "--capability",
        "text.count",
        "--input",
        input.to_str().expect("a path"),
        "--price",
        &PRICE_SAT.to_string(),
        "--pattern",
        r"^\s*\d+\s+\d+\s+\d+",
        "--wait",
    ]);
    let task = hired["task_id"].as_str().expect("a task id").to_owned();
    assert_eq!(hired["state"], "COMPLETED", "{hired}");

    let result = alice.path("result");
    alice.ok(&["task", "result", &task, "-o", result.to_str().expect("a path")]);
    let counted = std::fs::read_to_string(&result).expect("the result");
    let numbers: Vec<usize> = counted.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers, [TEXT.lines().count(), TEXT.split_whitespace().count(), TEXT.len()]);

    assert_eq!(available(&alice), 5_000_000 - PRICE_SAT * 1_000);
    assert_eq!(available(&bob), PRICE_SAT * 1_000 - FEE_MSAT, "the price less the fee, to the msat");
    receipt_verifies(mesh, &alice, &task, &result).await;
    withdrawal_pays(&bob);
    audit_is_clean(mesh);

    assert_eq!(
        daemon.terminate(Duration::from_secs(20)).await.code(),
        Some(0),
        "SIGTERM drains:\n{}",
        daemon.log()
    );
    let balance = alice.json(&["balance"]);
    (alice, balance)
}

/// The receipt, checked offline by somebody who has nothing but the file and the operator's trust root.
async fn receipt_verifies(mesh: &Deployment, alice: &Poa, task: &str, result: &std::path::Path) {
    let receipt = alice.path("receipt.json");
    let receipt = receipt.to_str().expect("a path");
    alice.ok(&["receipt", task, "-o", receipt]);
    let stranger = Poa::new("http://127.0.0.1:9");
    let trust_root = mesh.trust_root_file();
    let trust_root = trust_root.to_str().expect("a path");
    let result = result.to_str().expect("a path");
    let verified = stranger.json(&["verify", receipt, "--trust-root", trust_root, "--result", result]);
    assert!(verified.to_string().contains("simulated"), "{verified}");

    let text = std::fs::read_to_string(receipt).expect("the receipt");
    let forged = stranger.path("forged.json");
    let place = text.find("\"sig\"").expect("a signature") + 12;
    let mut bytes = text.into_bytes();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    std::fs::write(&forged, bytes).expect("a forged receipt");
    let refused = stranger.run(&["verify", forged.to_str().expect("a path"), "--trust-root", trust_root]);
    assert_eq!(refused.code, 7, "a forged receipt: {}{}", refused.out, refused.err);
    std::fs::write(stranger.path("other"), "another result").expect("another result");
    let other = stranger.path("other");
    let refused = stranger.run(&[
        "verify",
        receipt,
        "--trust-root",
        trust_root,
        "--result",
        other.to_str().expect("a path"),
    ]);
    assert_eq!(refused.code, 7, "another result: {}{}", refused.out, refused.err);
}

/// Bob takes out 500 sats; the routing fee is his, and no more than that leaves.
fn withdrawal_pays(bob: &Poa) {
    let before = available(bob);
    let invoice = bob.json(&["faucet", "invoice", "500"]);
    let invoice = invoice["invoice"].as_str().expect("an invoice").to_owned();
    let paid = bob.json(&["withdraw", &invoice, "--wait"]);
    assert_eq!(paid["state"], "SUCCEEDED", "{paid}");
    let fee: i64 = paid["fee_msat"].as_str().and_then(|fee| fee.parse().ok()).expect("a fee");
    assert_eq!(available(bob), before - 500_000 - fee);
    let again = bob.run(&["withdraw", &invoice]);
    assert_eq!(again.code, 5, "an invoice is paid once: {}{}", again.out, again.err);
    assert_eq!(available(bob), before - 500_000 - fee);
}

pub(crate) fn available(person: &Poa) -> i64 {
    let balance = person.json(&["balance"]);
    balance["available_msat"]
        .as_str()
        .and_then(|msat| msat.parse().ok())
        .unwrap_or_else(|| panic!("{balance}"))
}

pub(crate) fn audit_is_clean(mesh: &Deployment) {
    let operator = Poa::new(&mesh.endpoint());
    let (token, admin) = (mesh.admin_token_file(), mesh.admin_endpoint());
    let words =
        ["admin", "audit", "--token-file", token.to_str().expect("a path"), "--admin-endpoint", &admin];
    let audit = operator.json(&words);
    assert_eq!(audit["clean"], true, "{audit:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_can_do_is_given_back_with_the_reason_and_refunded_when_cancelled() {
    let mesh = Deployment::single().await;
    let alice = Poa::new(&mesh.endpoint()).register("alice");
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    alice.ok(&["deposit", "100", "--wait", "--faucet"]);
    let key = bob.path("agent.pem");
    let key = key.to_str().expect("a path");
    bob.ok(&["agent", "keygen", key]);
    let agent = bob.json(&["agent", "register", "failer", "--capability", "text.fail", "--key", key]);
    let agent = agent["agent_id"].as_str().expect("an agent id").to_owned();
    let hired =
        alice.json(&["hire", "Fail", "--capability", "text.fail", "--input", "password", "--price", "100"]);
    let task = hired["task_id"].as_str().expect("a task id").to_owned();
    let mut daemon = bob
        .agent(&[
            "agent",
            "run",
            "--agent",
            &agent,
            "--key",
            key,
            "--capability",
            "text.fail",
            "--",
            "sh",
            "-c",
            "echo no way >&2; exit 3",
        ])
        .await;
    eventually(Duration::from_secs(20), "the claim is given back with its reason", async || {
        alice.json(&["task", "show", &task]).to_string().contains("no way")
    })
    .await;
    daemon.kill();
    eventually(Duration::from_secs(20), "the task is cancelled", async || {
        alice.run(&["cancel", &task]).code == 0
    })
    .await;
    eventually(Duration::from_secs(20), "the sats are back", async || available(&alice) == 100_000).await;
    audit_is_clean(&mesh);
}

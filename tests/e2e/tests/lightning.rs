//! Sats that never pass through a balance, and what an operator and an owner can check: a task that a hold invoice funds,
//! withdrawals within the platform and to Lightning addresses, payouts that are paused, the ledger against the node, the proof of a balance.

use std::path::Path;
use std::time::Duration;

use poa_e2e::{Deployment, Poa};
use poa_payment::simulated::{Options, OutsideInvoice, SimulatedNode};
use poa_sdk::{Msat, system_env};
use poa_testkit::{LnurlServer, eventually};
use serde_json::Value;

use crate::journey::{audit_is_clean, available};

/// The price in sats.
const PRICE_SAT: i64 = 10_000;
/// The price less 5 %, in msat.
const PAYEE_MSAT: i64 = 9_500_000;
/// A Lightning address of somebody outside.
const ADDRESS: &str = "alice@pay.example";
/// How long the platform may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_funded_by_a_hold_invoice_worked_on_and_paid_to_the_msat() {
    let mesh = Deployment::single().await;
    let alice = Poa::new(&mesh.endpoint()).register("alice");
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    let mut daemon = bob.counter().await;

    let hired = hire(&alice, &["--faucet", "--wait"]);
    assert_eq!(hired["state"], "COMPLETED", "{hired:#}");
    assert_eq!(hired["funding"], "HOLD_INVOICE", "{hired:#}");
    assert_eq!(hired["funding_invoice"]["paid_msat"], (PRICE_SAT * 1_000).to_string(), "{hired:#}");
    assert_eq!(available(&bob), PAYEE_MSAT, "the price less the fee, to the msat");
    assert_eq!(available(&alice), 0, "nothing of it was ever Alice's balance");
    let moved = moves(&alice);
    let moved: Vec<(&str, i64, i64)> =
        moved.iter().map(|(kind, available, held)| (kind.as_str(), *available, *held)).collect();
    assert_eq!(moved, [("CAPTURE", 0, -10_000_000), ("FUND", 0, 10_000_000)]);

    let escrow = alice.json(&["escrow", "show", text(&hired["escrow_id"])]);
    assert_eq!(escrow["state"], "RELEASED", "{escrow:#}");
    assert_eq!(escrow["hold_invoice"]["paid_msat"], (PRICE_SAT * 1_000).to_string(), "{escrow:#}");
    receipt_says_how_it_was_funded(&mesh, &alice, text(&hired["task_id"]));
    within_the_platform(&alice, &bob);
    paused_and_resumed(&mesh, &bob);
    audit_is_clean(&mesh);
    agrees_with_the_node(&mesh);
    daemon.terminate(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_invoice_that_nobody_pays_is_cancelled_and_nothing_was_ever_taken() {
    let mesh = Deployment::single().await;
    let alice = Poa::new(&mesh.endpoint()).register("alice");
    let waiting = hire(&alice, &[]);
    assert_eq!(waiting["state"], "AWAITING_FUNDS", "{waiting:#}");
    let invoice = text(&waiting["funding_invoice"]["invoice"]);
    assert!(invoice.starts_with("lnsb"), "{waiting:#}");
    let id = text(&waiting["task_id"]);
    let shown = alice.ok(&["task", "show", id]);
    assert!(shown.contains(invoice) && shown.contains("to be paid before"), "{shown}");

    alice.ok(&["cancel", id]);
    state_becomes(&alice, id, "CANCELED").await;
    let late = alice.run(&["faucet", "pay", invoice]);
    assert_eq!(late.code, 5, "a cancelled invoice is not paid: {}{}", late.out, late.err);
    let escrow = alice.json(&["escrow", "show", text(&waiting["escrow_id"])]);
    assert_eq!(escrow["state"], "CANCELED", "{escrow:#}");
    assert!(moves(&alice).is_empty(), "{:?}", moves(&alice));
    audit_is_clean(&mesh);
    agrees_with_the_node(&mesh);
}

#[tokio::test(flavor = "multi_thread")]
async fn sats_that_are_locked_for_a_task_nobody_took_go_back_without_passing_the_ledger() {
    let mesh = Deployment::single().await;
    let alice = Poa::new(&mesh.endpoint()).register("alice");
    let task = hire(&alice, &["--faucet"]);
    let id = text(&task["task_id"]);
    state_becomes(&alice, id, "OPEN").await;
    let open = alice.json(&["task", "show", id]);
    let height = |name: &str| open["funding_invoice"][name].as_i64().unwrap_or_default();
    assert!(height("guard_height") > 0 && height("guard_height") < height("expiry_height"), "{open:#}");
    let escrow = alice.json(&["escrow", "show", text(&task["escrow_id"])]);
    assert_eq!(escrow["state"], "ACCEPTED", "{escrow:#}");

    alice.ok(&["cancel", id]);
    state_becomes(&alice, id, "CANCELED").await;
    let escrow = alice.json(&["escrow", "show", text(&task["escrow_id"])]);
    assert_eq!(escrow["state"], "CANCELED", "{escrow:#}");
    assert!(moves(&alice).is_empty(), "{:?}", moves(&alice));
    audit_is_clean(&mesh);
    agrees_with_the_node(&mesh);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_paid_out_to_a_lightning_address_by_hand_and_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = addresses(folder.path()).await;
    let (server, roots) = (outside.https().address().to_string(), folder.path().join("roots.pem"));
    std::fs::write(&roots, outside.https().roots()).expect("a file");
    let mesh = Deployment::single_with(&[
        ("POA__ESCROW__EGRESS__SIMULATED_SERVER", &server),
        ("POA__ESCROW__EGRESS__SIMULATED_ROOTS", roots.to_str().expect("a path")),
        ("POA__ESCROW__PAYOUTS__AUTOMATIC_POLL_MS", "200"),
    ])
    .await;
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    bob.ok(&["deposit", "5,000", "--wait", "--faucet"]);

    let paid = bob.json(&["withdraw", ADDRESS, "--amount", "1,000", "--wait"]);
    assert_eq!(
        (&paid["state"], &paid["lightning_address"]),
        (&"SUCCEEDED".into(), &ADDRESS.into()),
        "{paid:#}"
    );
    let left = 5_000_000 - 1_000_000 - msat(&paid["fee_msat"]);
    assert_eq!(available(&bob), left);

    // No route costs nothing: the payment fails, the sats are back, and the address is asked for another invoice.
    let failed = bob.run(&["withdraw", ADDRESS, "--amount", "500", "--fee-limit", "0", "--wait", "--json"]);
    assert_eq!(failed.code, 5, "{}{}", failed.out, failed.err);
    assert!(failed.err.contains("poa withdraw replace"), "{}", failed.err);
    let failed: Value = serde_json::from_str(&failed.out).expect("a withdrawal");
    assert_eq!((&failed["state"], available(&bob)), (&"FAILED".into(), left), "{failed:#}");
    let replaced = bob.json(&["withdraw", "replace", text(&failed["withdrawal_id"]), "--wait"]);
    assert_eq!((&replaced["state"], &replaced["replaces"]), (&"SUCCEEDED".into(), &failed["withdrawal_id"]));
    let again = bob.run(&["withdraw", "replace", text(&failed["withdrawal_id"])]);
    assert_eq!(again.code, 5, "once: {}{}", again.out, again.err);

    bob.ok(&["payout", "set", ADDRESS, "--from", "1,000"]);
    eventually(PATIENCE, "all but the fee is paid out", async || available(&bob) < 100_000).await;
    assert_eq!(bob.json(&["payout", "show"])["lightning_address"], ADDRESS);
    let newest = bob.json(&["withdraw", "list", "--limit", "1"]);
    assert_eq!(newest["automatic"], true, "{newest:#}");
    let other = bob.json(&["payout", "set", "carol@pay.example"]);
    assert_eq!(
        (&other["lightning_address"], &other["pending_lightning_address"]),
        (&ADDRESS.into(), &"carol@pay.example".into())
    );
    bob.ok(&["payout", "clear"]);
    assert!(bob.ok(&["payout", "show"]).contains("no payout destination"));
    audit_is_clean(&mesh);
    agrees_with_the_node(&mesh);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_proves_that_its_balance_is_in_what_the_platform_owes() {
    let mesh = Deployment::single_with(&[("POA__ESCROW__LIABILITIES__EVERY_SECONDS", "1")]).await;
    let alice = Poa::new(&mesh.endpoint()).register("alice");
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    let none = alice.run(&["balance", "--prove"]);
    assert_eq!(none.code, 4, "nothing is owed to her yet: {}{}", none.out, none.err);
    alice.ok(&["deposit", "1,234", "--wait", "--faucet"]);
    bob.ok(&["deposit", "766", "--wait", "--faucet"]);

    let proof = alice.path("proof.json");
    let proof = proof.to_str().expect("a path");
    let words = ["balance", "--prove", "-o", proof, "--json"];
    let mut proved = Value::Null;
    eventually(PATIENCE, "what is owed to both is stated", async || {
        let run = alice.run(&words);
        proved = serde_json::from_str(run.out.trim()).unwrap_or_default();
        run.code == 0 && proved["liabilities_msat"] == "2000000"
    })
    .await;
    assert_eq!(
        (&proved["balance_msat"], &proved["account_count"]),
        (&"1234000".into(), &"2".into()),
        "{proved:#}"
    );

    // Whoever has the file and the operator's trust root sees it, without the platform.
    let stranger = Poa::new("http://127.0.0.1:9");
    let trust_root = mesh.trust_root_file();
    let trust_root = trust_root.to_str().expect("a path");
    assert_eq!(stranger.json(&["verify", proof, "--trust-root", trust_root]), proved);
    let text = std::fs::read_to_string(proof).expect("the proof");
    assert!(text.contains("1234000"), "{text}");
    let forged = stranger.path("forged.json");
    std::fs::write(&forged, text.replace("1234000", "1234001")).expect("a forged proof");
    let refused = stranger.run(&["verify", forged.to_str().expect("a path"), "--trust-root", trust_root]);
    assert_eq!(refused.code, 7, "another balance: {}{}", refused.out, refused.err);
    let mixed = stranger.run(&["verify", proof, "--trust-root", trust_root, "--require-paid"]);
    assert_eq!(mixed.code, 2, "no receipt: {}{}", mixed.out, mixed.err);
    audit_is_clean(&mesh);
}

/// A host of Lightning addresses with a wallet of the simulated network behind it.
async fn addresses(folder: &Path) -> LnurlServer {
    let options = Options::new(folder.join("wallet.journal"));
    let (wallet, _cannot_send) = SimulatedNode::open(&options, system_env()).expect("a wallet");
    LnurlServer::start(&["pay.example"], move |amount, description_hash| {
        let wallet = wallet.clone();
        let wanted = OutsideInvoice {
            description_hash: Some(description_hash),
            ..OutsideInvoice::of(Msat::new(amount))
        };
        async move { wallet.outside_invoice(wanted).await.expect("an invoice").bolt11 }
    })
    .await
}

/// Hires somebody who counts, funded by a hold invoice; answers with the last object that was printed.
fn hire(alice: &Poa, more: &[&str]) -> Value {
    let input = alice.path("input.txt");
    std::fs::write(&input, "The sats are locked in escrow.\n").expect("an input");
    let price = PRICE_SAT.to_string();
    let words = [
        "hire",
        "Count lines, words and bytes",
        "--capability",
        "text.count",
        "--input",
        input.to_str().expect("a path"),
        "--price",
        &price,
        "--pattern",
        r"^\s*\d+\s+\d+\s+\d+",
        "--funding",
        "hold-invoice",
    ];
    alice.json(&[&words[..], more].concat())
}

/// What moved a balance, newest first: what, available, held.
fn moves(person: &Poa) -> Vec<(String, i64, i64)> {
    let lines = person.ok(&["statement", "--json"]);
    let entries = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an entry"));
    entries
        .map(|entry| {
            let (available, held) = (msat(&entry["available_delta_msat"]), msat(&entry["held_delta_msat"]));
            (text(&entry["kind"]).to_owned(), available, held)
        })
        .collect()
}

/// Whoever has the receipt and the operator's trust root sees that it was paid by hold invoice.
fn receipt_says_how_it_was_funded(mesh: &Deployment, alice: &Poa, task: &str) {
    let receipt = alice.path("receipt.json");
    let receipt = receipt.to_str().expect("a path");
    alice.ok(&["receipt", task, "-o", receipt]);
    let trust_root = mesh.trust_root_file();
    let trust_root = trust_root.to_str().expect("a path");
    let stranger = Poa::new("http://127.0.0.1:9");
    let words = ["verify", receipt, "--trust-root", trust_root, "--require-paid"];
    assert_eq!(stranger.json(&words)["paid"], true);
}

/// Bob pays an invoice of Alice's: nothing is sent, nothing is charged, both see it.
fn within_the_platform(alice: &Poa, bob: &Poa) {
    let deposit = alice.json(&["deposit", "500"]);
    let paid = bob.json(&["withdraw", text(&deposit["invoice"]), "--wait"]);
    assert_eq!((&paid["state"], &paid["internal"]), (&"SUCCEEDED".into(), &true.into()), "{paid:#}");
    assert_eq!(paid["fee_msat"], "0", "{paid:#}");
    assert_eq!(available(alice), 500_000);
    assert_eq!(available(bob), PAYEE_MSAT - 500_000, "no routing fee");
    let deposit = alice.json(&["deposit", "show", text(&deposit["deposit_id"])]);
    assert_eq!(deposit["state"], "SETTLED", "{deposit:#}");
    assert!(moves(bob).iter().any(|(kind, _, _)| kind == "TRANSFER"), "{:?}", moves(bob));
}

/// While payouts are paused no withdrawal is taken, and nothing is reserved; afterwards it goes through.
fn paused_and_resumed(mesh: &Deployment, bob: &Poa) {
    let before = available(bob);
    let invoice = bob.json(&["faucet", "invoice", "100"]);
    let invoice = text(&invoice["invoice"]);
    let switch = operator(mesh, &["admin", "payouts", "pause", "a node is replaced"]);
    assert_eq!(switch["paused"], true, "{switch:#}");
    let refused = bob.run(&["withdraw", invoice, "--json"]);
    assert_eq!(refused.code, 6, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("PAYOUTS_PAUSED"), "{}", refused.err);
    assert_eq!(available(bob), before);
    let shown = operator(mesh, &["admin", "payouts", "show"]);
    assert_eq!(shown["reason"], "a node is replaced", "{shown:#}");
    let switch = operator(mesh, &["admin", "payouts", "resume", "the node is there"]);
    assert_eq!(switch["paused"], false, "{switch:#}");
    let paid = bob.json(&["withdraw", invoice, "--wait"]);
    assert_eq!(paid["state"], "SUCCEEDED", "{paid:#}");
}

fn agrees_with_the_node(mesh: &Deployment) {
    for words in [&["admin", "reconcile"][..], &["admin", "reconcile", "--full"]] {
        let found = operator(mesh, words);
        assert_eq!(
            (&found["clean"], &found["flow_difference_msat"]),
            (&true.into(), &"0".into()),
            "{found:#}"
        );
    }
}

/// A command of the operator's.
fn operator(mesh: &Deployment, words: &[&str]) -> Value {
    let (token, admin) = (mesh.admin_token_file(), mesh.admin_endpoint());
    let token = token.to_str().expect("a path");
    Poa::new(&mesh.endpoint()).json(&[words, &["--token-file", token, "--admin-endpoint", &admin]].concat())
}

async fn state_becomes(person: &Poa, task: &str, state: &str) {
    eventually(PATIENCE, state, async || person.json(&["task", "show", task])["state"] == state).await;
}

fn msat(value: &Value) -> i64 {
    text(value).parse().expect("an amount")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}"))
}

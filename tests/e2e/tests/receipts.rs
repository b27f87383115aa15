//! What strangers can check of an agent and of the log, told over real processes: published builds, keys that change, reputation,
//! witnesses, and a log that was made to fork.

use std::path::Path;
use std::time::Duration;

use poa_e2e::{Deployment, Poa};
use poa_sdk::receipts::Digest;
use poa_testkit::{NitroEnclave, Process, eventually};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// How long the mesh may take to go on by itself.
const SOON: Duration = Duration::from_secs(30);
/// Where the source of the agent is said to be.
const SOURCE: &str = "git+https://example.org/counter@1";

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_published_reproduced_and_shown_by_the_receipts_of_its_work() {
    let mesh = Deployment::separate().await;
    let (alice, bob) = (rich(&mesh, "alice"), Poa::new(&mesh.endpoint()).register("bob"));
    let agent = registered(&bob);
    let build = bob.path("counter");
    std::fs::create_dir(&build).expect("a folder");
    std::fs::write(build.join("count.sh"), "#!/bin/sh\nexec wc -w\n").expect("a file");
    let build = text(&build);
    let published = bob.json(&["agent", "publish", &build, "--version", "1.0.0", "--source", SOURCE]);
    assert!(published.to_string().contains("1.0.0"), "{published}");

    // Anybody makes the same build again, or sees that it is another.
    let named = format!("{agent}@1.0.0");
    alice.ok(&["agent", "reproduce", &named, &build]);
    std::fs::write(Path::new(&build).join("extra"), "more").expect("a file");
    let other = alice.run(&["agent", "reproduce", &named, &build]);
    assert_eq!(other.code, 7, "{}{}", other.out, other.err);
    std::fs::remove_file(Path::new(&build).join("extra")).expect("a file");

    let mut daemon = counting(&bob, &["--build-version", "1.0.0"]).await;
    let receipt = text(&paid(&alice, "first").await);
    stop(&mut daemon).await;
    let level = |words: &[&str]| {
        let all: Vec<&str> = ["verify", &receipt].into_iter().chain(words.iter().copied()).collect();
        alice.json(&all)["level"].clone()
    };
    assert_eq!(level(&[]), "L1");
    assert_eq!(level(&["--build", &build, "--min-level", "L2"]), "L2");
    let claimed = alice.run(&["verify", &receipt, "--min-level", "L2"]);
    assert_eq!(claimed.code, 7, "what was not shown is not believed: {}{}", claimed.out, claimed.err);

    // What the log's records come to is what the platform says.
    let said = alice.json(&["reputation", "show", &agent]);
    assert_eq!(said["completed"], "1", "{said}");
    alice.ok(&["reputation", "recompute", &agent, "--compare"]);
    alice.ok(&["log", "audit", "--receipts", &receipt]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_in_an_enclave_is_shown_as_such_to_whoever_believes_its_hardware() {
    let enclave = NitroEnclave::new(poa_sdk::system_env().now());
    let pinned = format!("awsNitro={}", enclave.root_sha256());
    let mesh = Deployment::separate_prepared(&[], |keys| {
        let (file, key) = (text(&keys.join("trust-root.json")), text(&keys.join("root.key")));
        let operator = Poa::new("http://127.0.0.1:1");
        operator.ok(&["trust-root", "edit", &file, "--root-key", &key, "--add-tee-root", &pinned]);
    })
    .await;
    let (alice, bob) = (rich(&mesh, "alice"), Poa::new(&mesh.endpoint()).register("bob"));
    registered(&bob);
    let build = bob.path("counter");
    std::fs::create_dir(&build).expect("a folder");
    std::fs::write(build.join("enclave.eif"), "an image").expect("a file");
    let measured = format!("awsNitro={}", enclave.measurement());
    let published = ["agent", "publish", &text(&build), "--version", "1.0.0", "--source", SOURCE];
    bob.ok(&[published.as_slice(), &["--measurement", &measured]].concat());

    // The command asks its hardware, which is outside of the machine in this test: by a file, and is answered by one.
    let (asked, shown) = (bob.path("asked"), bob.path("shown"));
    let command = format!(
        "cat >/dev/null; echo $POA_ACCEPTANCE $POA_AGENT_KEY >{asked}.new; mv {asked}.new {asked}; \
         until mv {shown} $POA_EVIDENCE_FILE 2>/dev/null; do sleep 0.05; done; echo 1",
        asked = text(&asked),
        shown = text(&shown),
    );
    let words = ["agent", "run", "--media-type", "text/plain", "--build-version", "1.0.0"];
    let mut daemon = bob.agent(&[words.as_slice(), &["--", "sh", "-c", &command]].concat()).await;
    let hardware = std::thread::spawn(move || {
        while !asked.exists() {
            std::thread::sleep(Duration::from_millis(50));
        }
        let bound = std::fs::read_to_string(&asked).expect("what the hardware is to bind");
        let bound: Vec<Vec<u8>> =
            bound.split_whitespace().map(|word| hex::decode(word).expect("hexadecimal")).collect();
        let [acceptance, agent_key] = bound.as_slice() else { panic!("{bound:?}") };
        // As docs/protocol/tee.md says.
        let output = Digest::of(b"1\n");
        let said = [b"proof-of-agent tee v1\n", acceptance.as_slice(), output.as_bytes(), agent_key].concat();
        let part = shown.with_extension("new");
        std::fs::write(&part, enclave.evidence(Digest::of(&said).as_bytes(), poa_sdk::system_env().now()))
            .expect("evidence");
        std::fs::rename(&part, &shown).expect("evidence");
    });
    let receipt = text(&paid(&alice, "enclosed").await);
    hardware.join().expect("the hardware");
    let task = task_of(&alice, "enclosed");
    eventually(SOON, "the evidence is in the receipt", async || {
        alice.ok(&["receipt", &task, "-o", &receipt]);
        alice.json(&["verify", &receipt])["level"] == "L3"
    })
    .await;
    alice.ok(&["verify", &receipt, "--require-paid", "--min-level", "L3"]);
    stop(&mut daemon).await;

    // Who does not believe that hardware is not asked to.
    let plain = text(&alice.path("plain.json"));
    std::fs::copy(mesh.trust_root_file(), &plain).expect("a trust root");
    let key = text(&mesh.keys_folder().join("root.key"));
    alice.ok(&["trust-root", "edit", &plain, "--root-key", &key, "--remove-tee-root", &pinned]);
    let doubted = alice.run(&["verify", &receipt, "--trust-root", &plain]);
    assert!(doubted.code == 7 && doubted.err.contains("not pinned"), "{}{}", doubted.out, doubted.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_changes_its_key_and_its_receipts_stay_good() {
    let mesh = Deployment::separate().await;
    let (alice, bob) = (rich(&mesh, "alice"), Poa::new(&mesh.endpoint()).register("bob"));
    let agent = registered(&bob);
    let mut daemon = counting(&bob, &[]).await;
    let before = text(&paid(&alice, "before").await);
    stop(&mut daemon).await;

    bob.ok(&["agent", "rotate-key", &agent]);
    let mut daemon = counting(&bob, &[]).await;
    let after = text(&paid(&alice, "after").await);
    stop(&mut daemon).await;
    alice.ok(&["verify", &before, "--require-paid"]);
    alice.ok(&["verify", &after, "--require-paid"]);

    // Somebody else has had the second key since before it was used: what it signed is in doubt.
    bob.ok(&["agent", "revoke-key", &agent, "--as-owner", "--compromised-since", "2020-01-01", "--yes"]);
    let kinds = bob.ok(&["agent", "keys", &agent]);
    assert_eq!(kinds.lines().filter(|line| line.contains("did:key:")).count(), 3, "{kinds}");
    let task = task_of(&alice, "after");
    eventually(SOON, "the revocation is in the receipt", async || {
        alice.ok(&["receipt", &task, "-o", &after]);
        alice.run(&["verify", &after]).code == 7
    })
    .await;
    alice.ok(&["verify", &before, "--require-paid"]);
    alice.ok(&["log", "audit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_sees_the_log_and_a_fork_is_found_by_all_who_remember() {
    let mut mesh = Deployment::separate().await;
    let (alice, carol) = (rich(&mesh, "alice"), Poa::new(&mesh.endpoint()));
    let witness = witness(&mut mesh, &carol).await;
    let root = text(&mesh.trust_root_file());
    hire(&alice, "before the fork");
    eventually(SOON, "the checkpoint is witnessed", async || {
        let shown = alice.run(&["log", "checkpoint", "--trust-root", &root]);
        shown.code == 0 && shown.out.contains("witness.test/w")
    })
    .await;

    // What a restore of an older backup does: the database as it was, and a log that goes on from there.
    mesh.terminate("attestation").await;
    let forked = copied(&mesh).await;
    mesh.start("attestation").await;
    mesh.wait_ready().await;
    hire(&alice, "of the one history");
    let auditor = Poa::new(&mesh.endpoint());
    let audit = |words: &[&str]| {
        let all: Vec<&str> =
            ["log", "audit", "--trust-root", &root].into_iter().chain(words.iter().copied()).collect();
        auditor.run(&all)
    };
    let kept = alice.path("kept");
    eventually(SOON, "the second statement is witnessed", async || {
        let note = alice.ok(&["log", "checkpoint", "--trust-root", &root]);
        std::fs::write(&kept, &note).expect("a file");
        note.lines().nth(1) == Some("2") && note.contains("witness.test/w")
    })
    .await;
    let clean = audit(&[]);
    assert_eq!(clean.code, 0, "{}{}", clean.out, clean.err);

    mesh.terminate("attestation").await;
    mesh.set_variable("attestation", "POA__DATABASE__URL", Some(&forked));
    mesh.start("attestation").await;
    mesh.wait_ready().await;
    for _ in 0..3 {
        hire(&alice, "of the other history");
    }
    // The auditor who saw the other history, and somebody who never looked but holds a checkpoint of it.
    eventually(SOON, "the auditor finds the fork", async || {
        let found = audit(&[]);
        found.code == 7 && found.out.contains("inconsistent")
    })
    .await;
    let state = text(&alice.path("fresh"));
    let held = audit(&["--state", &state, "--checkpoint", &text(&kept)]);
    assert!(held.code == 7 && held.out.contains("FINDING  fork"), "{}{}", held.out, held.err);
    // And the witness puts its name to one history alone.
    eventually(SOON, "the witness has refused", async || {
        mesh.log("attestation").contains("has not cosigned")
    })
    .await;
    drop(witness);
}

/// A person with sats.
fn rich(mesh: &Deployment, name: &str) -> Poa {
    let poa = Poa::new(&mesh.endpoint()).register(name);
    poa.ok(&["deposit", "5,000", "--wait", "--faucet"]);
    poa
}

/// An agent that counts words: its id.
fn registered(bob: &Poa) -> String {
    bob.ok(&["agent", "keygen"]);
    let agent = bob.json(&["agent", "register", "counter", "--capability", "text.count"]);
    agent["agent_id"].as_str().expect("an agent id").to_owned()
}

async fn counting(bob: &Poa, options: &[&str]) -> Process {
    let words = ["agent", "run", "--media-type", "text/plain"].into_iter().chain(options.iter().copied());
    let words: Vec<&str> = words.chain(["--", "wc", "-w"]).collect();
    bob.agent(&words).await
}

async fn stop(daemon: &mut Process) {
    let ended = daemon.terminate(Duration::from_secs(20)).await;
    assert_eq!(ended.code(), Some(0), "{}", daemon.log());
}

fn hire(alice: &Poa, title: &str) -> Value {
    let words = ["hire", title, "--capability", "text.count", "--input", "password", "--price", "100"];
    alice.json(&words)
}

/// A task that an agent is paid for: the file of its receipt.
async fn paid(alice: &Poa, title: &str) -> std::path::PathBuf {
    let words = ["hire", title, "--capability", "text.count", "--input", "password", "--price", "100"];
    let words: Vec<&str> = words.into_iter().chain(["--pattern", r"^\s*\d+", "--wait"]).collect();
    let hired = alice.json(&words);
    assert_eq!(hired["state"], "COMPLETED", "{hired}");
    let task = hired["task_id"].as_str().expect("a task id");
    let file = alice.path(&format!("{title}.json"));
    std::fs::write(alice.path(&format!("{title}.task")), task).expect("a file");
    eventually(SOON, "the receipt verifies", async || {
        alice.ok(&["receipt", task, "-o", &text(&file)]);
        alice.run(&["verify", &text(&file), "--require-paid"]).code == 0
    })
    .await;
    file
}

fn task_of(alice: &Poa, title: &str) -> String {
    std::fs::read_to_string(alice.path(&format!("{title}.task"))).expect("a task that was paid")
}

/// Carol watches the log. The trust root knows her and asks for nobody, so that a fork is shown and not only stuck.
async fn witness(mesh: &mut Deployment, carol: &Poa) -> Process {
    let root = text(&mesh.trust_root_file());
    let key = text(&carol.path("witness.key"));
    let made = carol.json(&["witness", "keygen", &key, "--name", "witness.test/w"]);
    let vkey = made["verifier_key"].as_str().expect("a verifier key").to_owned();
    let trusted: Value =
        serde_json::from_slice(&std::fs::read(&root).expect("the trust root")).expect("a trust root");
    let log = trusted["logKeys"][0].as_str().expect("a log key");
    let state = text(&carol.path("witness"));
    let mut process = carol.start(&[
        "witness",
        "--key",
        &key,
        "--name",
        "witness.test/w",
        "--log",
        log,
        "--state",
        &state,
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    process.wait_ready(SOON, async |process| process.log().contains("\"ready\"")).await;
    let line = process.log().lines().find(|line| line.contains("\"ready\"")).map(str::to_owned);
    let ready: Value = serde_json::from_str(&line.expect("where it listens")).expect("JSON");
    let address = ready["listen"].as_str().expect("an address").to_owned();
    let root_key = text(&mesh.keys_folder().join("root.key"));
    carol.ok(&[
        "trust-root",
        "edit",
        &root,
        "--root-key",
        &root_key,
        "--add-witness",
        &vkey,
        "--quorum",
        "0",
    ]);
    mesh.terminate("attestation").await;
    let settings = carol.path("attestation.toml");
    let called = format!("[[log.witnesses]]\nname = \"witness.test/w\"\nurl = \"http://{address}\"\n");
    std::fs::write(&settings, called).expect("a file");
    mesh.set_variable("attestation", "POA_CONFIG", Some(&text(&settings)));
    mesh.start("attestation").await;
    mesh.wait_ready().await;
    process
}

/// A copy of attestation's database, which nobody uses: its URL.
async fn copied(mesh: &Deployment) -> String {
    let url = mesh.variable("attestation", "POA__DATABASE__URL").expect("a database").to_owned();
    let (server, query) = url.split_once('?').unwrap_or((&url, ""));
    let (server, name) = server.rsplit_once('/').expect("a database's name");
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let mut connection =
        PgConnection::connect(&format!("{server}/postgres{query}")).await.expect("PostgreSQL");
    // The name is one that this test has made up.
    let copy = AssertSqlSafe(format!("CREATE DATABASE {name}_restored TEMPLATE {name}"));
    sqlx::raw_sql(copy).execute(&mut connection).await.expect("a copy");
    format!("{server}/{name}_restored{query}")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path").to_owned()
}

//! Search over real processes: what happened is found, by those whom it concerns; a wiped index is built again.

use std::time::Duration;

use poa_e2e::{Deployment, Poa};
use poa_testkit::eventually;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

/// How long search may take to hear of what happened, on a loaded machine.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn agents_and_tasks_are_found_and_a_wiped_index_heals() {
    let mut mesh = Deployment::separate().await;
    let (alice, bob) =
        (Poa::new(&mesh.endpoint()).register("alice"), Poa::new(&mesh.endpoint()).register("bob"));
    alice.ok(&["deposit", "5,000", "--wait", "--faucet"]);
    let task = story(&alice, &bob).await;

    found(&alice, &bob, &task).await;
    let url = mesh.variable("search", "POA__DATABASE__URL").expect("a database").to_owned();
    wipe(&url, "TRUNCATE agents, tasks, capabilities, sources, index_state").await;
    found(&alice, &bob, &task).await;
    // All of it, as somebody who drops the wrong database.
    wipe(&url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    found(&alice, &bob, &task).await;
    mesh.kill_and_restart("search").await;
    found(&alice, &bob, &task).await;

    let (_, admin) = mesh.endpoints_of("search").expect("an admin port");
    let token = mesh.admin_token_file();
    let token = token.to_str().expect("a path");
    let dropped = alice.json(&["admin", "reindex", "--admin-endpoint", &admin, "--token-file", token]);
    assert_eq!(
        (&dropped["dropped_agents"], &dropped["dropped_tasks"]),
        (&Value::from("2"), &Value::from("2"))
    );
    found(&alice, &bob, &task).await;

    // While search is down, everything else goes on.
    mesh.terminate("search").await;
    let down = alice.run(&["search", "agents"]);
    assert_eq!(down.code, 6, "{}{}", down.out, down.err);
    alice.ok(&["balance"]);
    mesh.start("search").await;
    found(&alice, &bob, &task).await;
}

/// Two agents of Bob's, a task that one of them completed, and one of Alice's that is open. Answers with the first task.
async fn story(alice: &Poa, bob: &Poa) -> String {
    let key = bob.path("agent.pem");
    let key = key.to_str().expect("a path");
    bob.ok(&["agent", "keygen", key]);
    let words =
        ["--description", "Zählt Wörter. 文章の単語を数えます。", "--capability", "text.count", "--key", key];
    let agent = bob.json(&[["agent", "register", "Counting machine"].as_slice(), &words].concat());
    let agent = agent["agent_id"].as_str().expect("an agent id").to_owned();
    let other = bob.path("other.pem");
    let other = other.to_str().expect("a path");
    bob.ok(&["agent", "keygen", other]);
    bob.ok(&["agent", "register", "Painter", "--capability", "image.draw", "--key", other]);

    let run =
        ["agent", "run", "--agent", &agent, "--key", key, "--capability", "text.count", "--", "wc", "-c"];
    let mut daemon = bob.agent(&run).await;
    let input = alice.path("input.txt");
    std::fs::write(&input, "one two three").expect("an input");
    let input = input.to_str().expect("a path");
    let hire = |title, capability| {
        vec![
            "hire",
            title,
            "--capability",
            capability,
            "--input",
            input,
            "--price",
            "100",
            "--pattern",
            r"\d+",
        ]
    };
    let hired = alice.json(&[hire("Count the sheep", "text.count"), vec!["--wait"]].concat());
    assert_eq!(hired["state"], "COMPLETED", "{hired}");
    daemon.terminate(Duration::from_secs(20)).await;
    alice.ok(&hire("Draw a landscape", "image.paint"));
    hired["task_id"].as_str().expect("a task id").to_owned()
}

/// Waits until all of the story is found, by those who may find it.
async fn found(alice: &Poa, bob: &Poa, task: &str) {
    let names = |words: &[&str]| -> Vec<String> {
        let hits = lines(alice, words);
        hits.iter().map(|hit| hit["agent"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    eventually(SOON, "the story is found", async || {
        let machine = lines(alice, &["search", "agents", "counting", "--capability", "text.count"]);
        machine.len() == 1
            && machine[0]["completed_tasks"] == 1
            && machine[0]["typical_price_msat"] == "100000"
            && machine[0]["logged_statements"].as_i64() >= Some(2)
            && titles(alice, &["search", "tasks"]) == ["Draw a landscape"]
            && titles(alice, &["search", "tasks", "--mine"]) == ["Draw a landscape", "Count the sheep"]
            && names(&["search", "agents"]) == ["Counting machine", "Painter"]
    })
    .await;
    assert_eq!(names(&["search", "agents"]), ["Counting machine", "Painter"]);
    for words in ["zahlt worter", "単語", "countign machine", "text.count"] {
        assert_eq!(names(&["search", "agents", words]), ["Counting machine"], "{words}");
    }
    assert_eq!(names(&["search", "agents", "--min-completed", "2"]), Vec::<String>::new());
    // The sheep are Alice's and Bob's business, and nobody else's.
    assert_eq!(titles(bob, &["search", "tasks", "sheep"]), Vec::<String>::new());
    let mine = lines(bob, &["search", "tasks", "sheep", "--mine", "--state", "completed"]);
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0]["task_id"], task);
    assert_eq!(titles(alice, &["search", "tasks", "--mine"]), ["Draw a landscape", "Count the sheep"]);
    let suggested = lines(alice, &["search", "suggest", "coun"]);
    let texts: Vec<&str> = suggested.iter().filter_map(|found| found["text"].as_str()).collect();
    assert_eq!(texts, ["text.count", "Counting machine"]);
}

/// What a command prints for scripts, an object a line.
fn lines(person: &Poa, words: &[&str]) -> Vec<Value> {
    let out = person.run(&[words, &["--json"]].concat()).out;
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn titles(person: &Poa, words: &[&str]) -> Vec<String> {
    lines(person, words).iter().map(|task| task["title"].as_str().expect("a title").to_owned()).collect()
}

async fn wipe(url: &str, statements: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("a wipe");
}

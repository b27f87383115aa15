//! Two processes of each server: one of each is killed while tasks run, nothing is lost and calls go on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use poa_e2e::{Poa, Replicated};
use poa_sdk::api::task::task;
use poa_testkit::{binary, eventually};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::kills::{TASKS, ended, offer, requester, states};

/// How long the whole may take to come to rest after the last kill.
const REST_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn every_task_ends_while_one_of_two_processes_of_each_server_is_killed() {
    let mut mesh = Replicated::start(2).await;
    let endpoint = mesh.endpoint("gateway-1");
    let alice = requester(&endpoint).await;
    let bob = Poa::new(&endpoint).register("bob");
    let key = bob.path("agent.pem");
    let key = key.to_str().expect("a path");
    bob.ok(&["agent", "keygen", key]);
    let agent = bob.json(&["agent", "register", "counter", "--capability", "text.count", "--key", key]);
    let agent = agent["agent_id"].as_str().expect("an agent id").to_owned();
    let words = ["agent", "run", "--agent", &agent, "--key", key, "--capability", "text.count"];
    let words: Vec<&str> = words.into_iter().chain(["--concurrency", "6", "--", "wc", "-c"]).collect();
    let daemon = bob.agent(&words).await;

    // The first of each; of the gateways the other one, for this client talks to the first.
    let first = |name: &&str| name.ends_with("-1") && !name.starts_with("gateway");
    let mut victims: Vec<&str> = mesh.names().into_iter().filter(first).collect();
    victims.push("gateway-2");
    assert!(victims.len() >= 5, "{victims:?}");
    let victims: Vec<String> = victims.into_iter().map(str::to_owned).collect();

    let offering = tokio::spawn(offer(alice.clone()));
    for (turn, victim) in victims.iter().enumerate() {
        let step = TASKS / (victims.len() + 1) * (turn + 1);
        eventually(REST_WITHIN, "some tasks are done", async || ended(&alice).await >= step).await;
        mesh.kill(victim).await;
        // Not "sometime later": a caller who tries again, as this client does, does not notice.
        alice.balance().await.unwrap_or_else(|error| panic!("after {victim}: {error}\n{}", mesh.log()));
    }
    let offered = offering.await.expect("no panic while offering");
    assert_eq!(offered.len(), TASKS);
    eventually(REST_WITHIN, "all tasks are done", async || ended(&alice).await >= TASKS).await;
    let completed = states(&alice).await.iter().filter(|state| **state == task::State::Completed).count();
    assert_eq!(completed, TASKS, "{}\n{}", daemon.log(), mesh.log());

    let balance = alice.balance().await.expect("a balance");
    assert_eq!((balance.available_msat, balance.held_msat), (0, 0), "every task was paid for once");
    let token = mesh.data().join("keys/admin.token");
    let token = token.to_str().expect("a path");
    let admin = mesh.admin_endpoint("escrow-2");
    let audit = bob.json(&["admin", "audit", "--token-file", token, "--admin-endpoint", &admin]);
    assert_eq!(audit["clean"], true, "{audit:#}");
    assert_eq!(mesh.terminate().await, Some(0), "a stop in order:\n{}", mesh.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_end_with_the_one_who_runs_them_even_where_that_is_killed_and_nobody_reads_their_logs() {
    let mut mesh = Replicated::start(1).await;
    // The death signal is util-linux's to give.
    if !Path::new("/usr/bin/setpriv").is_file() {
        return;
    }
    let left = mesh.kill_runner();
    assert!(left.len() >= 5, "{left:?}");
    eventually(Duration::from_secs(60), "all servers have ended", async || {
        left.iter().all(|pid| !is_running(*pid))
    })
    .await;
    end_the_database(&mesh);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_whose_lines_nobody_reads_any_more_go_on_and_are_stopped_in_order() {
    let data = tempfile::tempdir().expect("a data folder");
    // The user of PostgreSQL has to enter it.
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).expect("an open folder");
    let mut runner = tokio::process::Command::new(binary("poa-mesh"))
        .args(["processes", "--any-port", "--data"])
        .arg(data.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the runner starts");
    let (out, err) = (runner.stdout.take().expect("a pipe"), runner.stderr.take().expect("a pipe"));
    let mut pids = Vec::new();
    let up = async {
        let mut lines = BufReader::new(out).lines();
        while let Some(line) = lines.next_line().await.expect("a line") {
            let pid =
                line.split_once(" pid ").and_then(|(_, pid)| pid.split(' ').next()?.parse::<u32>().ok());
            pids.extend(pid);
            if line.contains("Ctrl-C stops them") {
                return;
            }
        }
        panic!("it ended before it was up");
    };
    tokio::time::timeout(REST_WITHIN, up).await.expect("it comes up");
    // Both readers are gone from here on: what follows is written for nobody.
    drop(err);
    assert!(pids.len() >= 5 && pids.iter().all(|pid| is_running(*pid)), "{pids:?}");
    let runner_pid = runner.id().expect("it runs").to_string();
    let told = std::process::Command::new("kill").args(["-TERM", &runner_pid]).status();
    assert!(told.is_ok_and(|status| status.success()));
    let ended = tokio::time::timeout(REST_WITHIN, runner.wait()).await.expect("it ends").expect("its status");
    assert_eq!(ended.code(), Some(0), "a stop in order");
    assert!(!pids.iter().any(|pid| is_running(*pid)), "{pids:?}");
    assert!(!data.path().join("postgres/cluster/postmaster.pid").exists(), "the database is stopped, too");
}

/// Whether a process is there and no zombie.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, state)| !state.trim_start().starts_with('Z'))
}

/// A durable cluster outlives its starter, to be joined by the next one; here there is none.
fn end_the_database(mesh: &Replicated) {
    let file = mesh.data().join("postgres/cluster/postmaster.pid");
    let text = std::fs::read_to_string(file).expect("the cluster's process id");
    let pid = text.lines().next().expect("a line");
    let ended = std::process::Command::new("kill").args(["-INT", pid]).status();
    assert!(ended.is_ok_and(|status| status.success()), "the cluster is not there");
}

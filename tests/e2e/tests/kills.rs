//! kill -9 in the middle of 50 running tasks: after the restart every task ends, every sat is where it belongs, and
//! the audit is clean.

use std::time::Duration;

use poa_e2e::{Deployment, PROCESSES, Poa};
use poa_sdk::api::auth::RegisterRequest;
use poa_sdk::api::task::{Content, CreateTaskRequest, Criterion, Task, content, criterion, task};
use poa_sdk::{Client, Session};
use poa_testkit::eventually;

use crate::journey::audit_is_clean;

/// How many tasks run through the kills.
pub(crate) const TASKS: usize = 50;
/// What each pays, in msat: 10 sats.
const PRICE_MSAT: i64 = 10_000;
/// 5 % of it.
const FEE_MSAT: i64 = 500;
/// How long the whole may take to come to rest after the last kill.
const REST_WITHIN: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn every_task_ends_after_each_process_was_killed_in_the_middle() {
    let mesh = Deployment::separate().await;
    let victims: Vec<&str> = PROCESSES.iter().map(|(name, _)| *name).collect();
    tasks_survive(mesh, &victims).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_ends_after_the_one_process_was_killed_in_the_middle() {
    let mesh = Deployment::single().await;
    tasks_survive(mesh, &["mesh", "mesh"]).await;
}

async fn tasks_survive(mut mesh: Deployment, victims: &[&str]) {
    let alice = requester(&mesh.endpoint()).await;
    let bob = Poa::new(&mesh.endpoint()).register("bob");
    let key = bob.path("agent.pem");
    let key = key.to_str().expect("a path");
    bob.ok(&["agent", "keygen", key]);
    let agent = bob.json(&["agent", "register", "counter", "--capability", "text.count", "--key", key]);
    let agent = agent["agent_id"].as_str().expect("an agent id").to_owned();
    let daemon = bob
        .agent(&[
            "agent",
            "run",
            "--agent",
            &agent,
            "--key",
            key,
            "--capability",
            "text.count",
            "--concurrency",
            "6",
            "--",
            "sh",
            "-c",
            "sleep 0.2; wc -c",
        ])
        .await;

    let offering = tokio::spawn(offer(alice.clone()));
    for (turn, victim) in victims.iter().enumerate() {
        let step = TASKS / (victims.len() + 1) * (turn + 1);
        eventually(REST_WITHIN, "some tasks are done", async || ended(&alice).await >= step).await;
        mesh.kill_and_restart(victim).await;
    }
    let offered = offering.await.expect("no panic while offering");
    assert_eq!(offered.len(), TASKS);
    let started = std::time::Instant::now();
    let mut left = TASKS;
    while left > 0 && started.elapsed() < REST_WITHIN {
        tokio::time::sleep(Duration::from_millis(200)).await;
        left = TASKS.saturating_sub(ended(&alice).await);
    }
    let stuck = states(&alice).await;
    assert_eq!(left, 0, "{left} tasks did not end: {stuck:?}\n{}\n{}", daemon.log(), mesh.logs());
    for id in &offered {
        let task = alice.task(id).await.expect("a task can be read");
        assert_eq!(task.state(), task::State::Completed, "{id}: {}", task.note);
    }

    let count = i64::try_from(TASKS).expect("a small number");
    let balance = alice.balance().await.expect("a balance");
    assert_eq!((balance.available_msat, balance.held_msat), (0, 0), "every task was paid for once");
    let earned = bob.json(&["balance"]);
    assert_eq!(earned["available_msat"], (count * (PRICE_MSAT - FEE_MSAT)).to_string());
    audit_is_clean(&mesh);
}

/// A requester with exactly what the tasks cost.
pub(crate) async fn requester(endpoint: &str) -> Session {
    let client = Client::connect(endpoint).expect("an endpoint");
    let request = RegisterRequest {
        username: "alice".to_owned(),
        password: "correct horse battery staple".to_owned(),
        ..RegisterRequest::default()
    };
    let signed_in = client.register(request).await.expect("an account");
    let alice = client.session(signed_in.tokens, None);
    let amount_msat = PRICE_MSAT * i64::try_from(TASKS).expect("a small number");
    let deposit = alice
        .create_deposit(poa_sdk::api::escrow::CreateDepositRequest { request_id: String::new(), amount_msat })
        .await
        .expect("an invoice");
    alice.faucet_pay(&deposit.invoice).await.expect("the faucet pays");
    eventually(Duration::from_secs(20), "the deposit is credited", async || {
        alice.balance().await.is_ok_and(|balance| balance.available_msat == amount_msat)
    })
    .await;
    alice
}

/// Offers all tasks, each with one request id that is kept until the server has answered: none is made twice.
pub(crate) async fn offer(alice: Session) -> Vec<String> {
    let mut offered = Vec::new();
    for number in 0..TASKS {
        let request = CreateTaskRequest {
            request_id: request_id(number),
            title: format!("Count the bytes of text {number}"),
            capability: "text.count".to_owned(),
            input: Some(Content {
                media_type: "text/plain".to_owned(),
                body: Some(content::Body::Inline(format!("text number {number}").into_bytes())),
            }),
            criteria: vec![Criterion { check: Some(criterion::Check::Pattern(r"^\d+\s*$".to_owned())) }],
            price_msat: PRICE_MSAT,
            ..CreateTaskRequest::default()
        };
        let task = loop {
            match alice.create_task(request.clone()).await {
                Ok(task) => break task,
                Err(error) if error.code() == Some(poa_sdk::Code::InvalidArgument) => panic!("{error}"),
                Err(_until_it_is_up_again) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        offered.push(task.task_id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    offered
}

fn request_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub(crate) async fn ended(alice: &Session) -> usize {
    let over = |state: &task::State| {
        matches!(state, task::State::Completed | task::State::Canceled | task::State::Expired)
    };
    states(alice).await.iter().filter(|state| over(state)).count()
}

pub(crate) async fn states(alice: &Session) -> Vec<task::State> {
    let request = poa_sdk::api::task::ListTasksRequest { page_size: 200, ..Default::default() };
    match alice.list_tasks(request).await {
        Ok(page) => page.tasks.iter().map(Task::state).collect(),
        Err(_not_up) => Vec::new(),
    }
}

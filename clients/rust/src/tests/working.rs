//! The agent's loop.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use poa_common::{AgentId, TaskId};
use poa_proto::auth::v1::{Agent, GetServerInfoResponse};
use poa_proto::task::v1::OpenTask;
use proof_of_agent::{Chain, DidKey, Envelope};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

use super::fake::{Fake, refuse};
use crate::key::tests::offer;
use crate::worker::{Handler, Job, Output, Refusal, Shutdown, Worker, WorkerConfig, WorkerEvent};
use crate::{AgentKey, Client, Error, pinned_trust_root, system_env};

/// What the terms of every test name as the input.
const INPUT: &[u8] = b"one two";

/// Does as the input's task says by its title.
struct Told;

impl Handler for Told {
    async fn handle(&self, job: Job) -> Result<Output, Refusal> {
        match job.task.title.as_str() {
            "count" => Ok(Output::new(*b"2", "text/plain")),
            "panic" => panic!("told to"),
            "hang" => {
                job.cancel.cancelled().await;
                Err(Refusal::new("stopped"))
            }
            _ => Err(Refusal::new("no such model")),
        }
    }
}

/// A fake mesh with one task, and a worker.
struct Scene {
    fake: Fake,
    events: Arc<Mutex<Vec<WorkerEvent>>>,
    shutdown: Shutdown,
    running: tokio::task::JoinHandle<Result<(), Error>>,
    signed_terms: Envelope,
    platform: DidKey,
    _serving: AbortOnDropHandle<()>,
}

fn agent(client: &Client, key: &AgentKey) -> (AgentId, Agent) {
    let id: AgentId = client.env().new_id();
    let agent = Agent {
        agent_id: id.to_string(),
        account_id: client.env().new_id::<poa_common::AccountId>().to_string(),
        public_key: key.public_key().to_vec(),
        ..Agent::default()
    };
    (id, agent)
}

fn config(agent_id: AgentId) -> WorkerConfig {
    let key = AgentKey::generate(&system_env()).public_key().to_vec();
    let info = GetServerInfoResponse {
        network: "simulated".to_owned(),
        log_origin: "simulated.poa/1".to_owned(),
        log_public_key: key.clone(),
        receipt_public_key: key,
        ..GetServerInfoResponse::default()
    };
    WorkerConfig {
        agent_id,
        capabilities: vec!["text.count".to_owned()],
        min_payee_msat: 0,
        concurrency: 2,
        trust_root: pinned_trust_root(&info).unwrap(),
        build: None,
    }
}

impl Scene {
    async fn new(title: &str, change: impl FnOnce(&mut OpenTask)) -> Self {
        let (fake, client, serving) = Fake::start().await;
        let key = AgentKey::generate(client.env());
        let (agent_id, agent) = agent(&client, &key);
        let task: TaskId = client.env().new_id();
        let (terms, signed_terms, platform) = offer(client.env(), task);
        let mut open = OpenTask {
            task_id: task.to_string(),
            title: title.to_owned(),
            price_msat: 10_000,
            payee_msat: 9_500,
            terms: terms.payload().to_vec(),
            next_claim_number: 1,
            ..OpenTask::default()
        };
        change(&mut open);
        {
            let mut state = fake.state();
            state.agent = agent;
            state.open = [open].into();
            state.input = INPUT.to_vec();
        }
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let on_event = move |event| seen.lock().unwrap().push(event);
        let session = client.with_api_key("poak_1");
        let worker = Worker::new(session, key, config(agent_id), Told, on_event).await.unwrap();
        let shutdown = worker.shutdown();
        let running = tokio::spawn(worker.run());
        Self { fake, events, shutdown, running, signed_terms, platform, _serving: serving }
    }

    async fn end(self) -> Vec<WorkerEvent> {
        self.shutdown.drain.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.running).await;
        ended.expect("it drains in time").unwrap().unwrap();
        let events = self.events.lock().unwrap();
        assert_eq!(events.last(), Some(&WorkerEvent::Stopped));
        events.clone()
    }
}

#[tokio::test]
async fn a_task_is_claimed_worked_on_and_submitted_with_a_receipt_that_continues_its_chain() {
    let scene = Scene::new("count", |_| {}).await;
    scene.fake.until(|state| !state.submissions.is_empty()).await;
    let (claim, submission) = {
        let state = scene.fake.state();
        (state.claims[0].clone(), state.submissions[0].clone())
    };
    let acceptance = Envelope::from_json(&claim.acceptance).unwrap();
    let receipt = Envelope::from_json(&submission.submission).unwrap();
    let chain = Chain::replay([&scene.signed_terms, &acceptance, &receipt], &[scene.platform]).unwrap();
    assert!(chain.work_submitted().unwrap().output.is_of(b"2"));
    let events = scene.end().await;
    let submitted =
        |event: &WorkerEvent| matches!(event, WorkerEvent::Submitted { state, .. } if state == "COMPLETED");
    assert!(events.iter().any(submitted), "{events:?}");
}

#[tokio::test]
async fn a_result_outlives_a_server_that_is_gone_for_longer_than_a_call_waits() {
    let scene = Scene::new("count", |_| {}).await;
    scene.fake.state().submit_failures =
        std::iter::repeat_with(|| Status::unavailable("restarting")).take(8).collect();
    scene.fake.until(|state| state.submissions.len() >= 9).await;
    let ids: BTreeSet<String> =
        scene.fake.state().submissions.iter().map(|sent| sent.request_id.clone()).collect();
    assert_eq!(ids.len(), 1, "one result, one request id");
    let releases = scene.fake.state().releases.len();
    assert_eq!(releases, 0);
    let events = scene.end().await;
    assert!(events.iter().any(|event| matches!(event, WorkerEvent::Submitted { .. })), "{events:?}");
}

#[tokio::test]
async fn a_refused_result_is_given_back_with_the_reason() {
    let scene = Scene::new("count", |_| {}).await;
    scene.fake.state().submit_failures = [refuse(Code::FailedPrecondition, "CRITERION_FAILED")].into();
    scene.fake.until(|state| !state.releases.is_empty()).await;
    assert!(scene.fake.state().releases[0].reason.starts_with("the result was refused: criterion_failed"));
    scene.end().await;
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_gives_the_claim_back_with_the_reason() {
    for (title, reason) in [("fail", "no such model"), ("panic", "the agent's handler failed unexpectedly")] {
        let scene = Scene::new(title, |_| {}).await;
        scene.fake.until(|state| !state.releases.is_empty()).await;
        assert_eq!(scene.fake.state().releases[0].reason, reason);
        assert!(scene.fake.state().submissions.is_empty());
        scene.end().await;
    }
}

#[tokio::test]
async fn terms_that_pay_less_than_the_feed_says_are_not_claimed() {
    let scene = Scene::new("count", |open| open.payee_msat = 9_999).await;
    let passed_over = |event: &WorkerEvent| matches!(event, WorkerEvent::NotClaimed { .. });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !scene.events.lock().unwrap().iter().any(passed_over) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert!(scene.fake.state().claims.is_empty());
    scene.end().await;
}

#[tokio::test]
async fn an_agent_of_another_key_does_not_start() {
    let (fake, client, _serving) = Fake::start().await;
    let key = AgentKey::generate(client.env());
    let (agent_id, agent) = agent(&client, &key);
    fake.state().agent = agent;
    let other = AgentKey::generate(client.env());
    let worker = Worker::new(client.with_api_key("poak_1"), other, config(agent_id), Told, |_| {}).await;
    assert!(worker.err().unwrap().to_string().contains("another key"));
}

#[tokio::test]
async fn a_lease_is_renewed_and_a_lost_claim_stops_the_work() {
    let scene = Scene::new("hang", |_| {}).await;
    scene.fake.until(|state| !state.claims.is_empty()).await;
    scene.fake.until(|state| state.renewals >= 2).await;
    scene.fake.state().claim_lost = true;
    let lost = |event: &WorkerEvent| matches!(event, WorkerEvent::Lost { .. });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !scene.events.lock().unwrap().iter().any(lost) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert!(scene.fake.state().releases.is_empty(), "what is lost is not given back");
    scene.end().await;
}

#[tokio::test]
async fn an_abort_gives_back_what_runs() {
    let scene = Scene::new("hang", |_| {}).await;
    scene.fake.until(|state| !state.claims.is_empty()).await;
    scene.shutdown.abort.cancel();
    scene.fake.until(|state| !state.releases.is_empty()).await;
    assert_eq!(scene.fake.state().releases[0].reason, "the agent is shutting down");
    scene.end().await;
}

#[tokio::test]
async fn a_drain_lets_what_runs_finish_and_claims_nothing_new() {
    let scene = Scene::new("hang", |_| {}).await;
    scene.fake.until(|state| !state.claims.is_empty()).await;
    scene.shutdown.drain.cancel();
    let second = scene.fake.state().claims.len();
    assert_eq!(second, 1);
    assert!(!scene.running.is_finished(), "it waits for what runs");
    scene.shutdown.abort.cancel();
    scene.end().await;
}

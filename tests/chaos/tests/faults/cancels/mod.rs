//! Callers who hang up: thousands of calls that are dropped, or given up by an absurd deadline, at a random moment, against
//! services with one or two connections to their database.

mod actor;
mod calls;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use poa_e2e::{Deployment, PROCESSES};
use poa_sdk::api::auth::CreateApiKeyRequest;
use poa_sdk::{AgentKey, Session, system_env};
use poa_testkit::{SeededEntropy, eventually};
use sqlx::Connection as _;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::load::operator;
use crate::pair::{fund, sign_up};
use actor::{Actor, Tally};
use calls::Caller;

/// Who call at the same time.
const ACTORS: usize = 16;
/// Calls that are hung up in all, where `POA_CHAOS_CANCELS` says nothing.
const CANCELS: usize = 1_000;
/// The same with `POA_CHAOS=full`.
const CANCELS_IN_FULL: usize = 10_000;
/// How long what was begun may go on after the last call.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// The fewest connections that each service works with: a batch writer keeps one for itself.
const CONNECTIONS: [(&str, &str, &str); 7] = [
    ("auth", "POA__DATABASE__MAX_CONNECTIONS", "1"),
    ("task", "POA__DATABASE__MAX_CONNECTIONS", "1"),
    ("escrow", "POA__DATABASE__MAX_CONNECTIONS", "2"),
    ("attestation", "POA__DATABASE__MAX_CONNECTIONS", "2"),
    // All callers come from one address.
    ("gateway", "POA__RATES__PER_IP", "1000000"),
    ("gateway", "POA__RATES__IP_BURST", "1000000"),
    ("gateway", "POA__OPEN__CALLS_PER_IP", "100000"),
];

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_hang_up_lose_nothing_and_leave_nothing_open() {
    let seed = crate::seed();
    println!("replay with POA_CHAOS_SEED={seed}");
    let wanted = crate::number("POA_CHAOS_CANCELS").unwrap_or(if crate::is_full() {
        CANCELS_IN_FULL
    } else {
        CANCELS
    });
    let mesh = Deployment::separate_with(&CONNECTIONS).await;
    let begun = std::time::Instant::now();
    let mut hanging_up = JoinSet::new();
    for number in 0..ACTORS {
        let chance = Arc::new(SeededEntropy::new(seed.wrapping_add(u64::try_from(number).unwrap_or(0))));
        let mut actor = actor(&mesh.endpoint(), number, chance).await;
        hanging_up.spawn(async move {
            actor.hang_up(wanted / ACTORS).await;
            actor
        });
    }
    let mut actors = hanging_up.join_all().await;
    let (mut tally, mut problems) = (Tally::default(), Vec::new());
    let hung_up_within = begun.elapsed();
    let settling = actors.drain(..).map(|mut actor| async move {
        actor.repeat_what_is_open().await;
        actor.check().await;
        actor
    });
    for actor in join_all(settling).await {
        tally.add(&actor.tally);
        problems.extend(actor.problems);
    }
    no_transaction_is_left_open(&mesh).await;
    let audit = operator(&mesh).audit_ledger().await.expect("an audit");
    if !audit.clean {
        problems.push(format!("{audit:?}"));
    }
    assert!(problems.is_empty(), "seed {seed}\n{}\n{}", problems.join("\n"), mesh.logs());
    println!(
        "\n== callers who hang up, seed {seed} ==\n\
         pools: auth 1, task 1, escrow 2, attestation 2; {ACTORS} callers, {} calls in {} s\n{tally}\n\
         acknowledged writes lost 0 of {}; carried out twice 0; idle in transaction 0; audit clean\n",
        tally.calls,
        hung_up_within.as_secs(),
        tally.acknowledged,
    );
    assert!(tally.hung_up() > tally.calls / 10, "too few calls were hung up to tell anything");
    assert!(tally.acknowledged > tally.calls / 10, "too few calls were answered to tell anything");
}

/// Fails where a session of this mesh's services idles in a transaction that it idled in when everybody was gone: others
/// use the same PostgreSQL, and a healthy service is between two statements for a moment, too.
async fn no_transaction_is_left_open(mesh: &Deployment) {
    let urls = PROCESSES.iter().filter_map(|(name, _)| mesh.variable(name, "POA__DATABASE__URL"));
    let databases: Vec<String> = urls.map(database_name).collect();
    assert_eq!(databases.len(), PROCESSES.len() - 1, "the gateway alone has no database: {databases:?}");
    let postgres = poa_testkit::postgres().await.url_for("postgres");
    let mut connection = sqlx::PgConnection::connect(&postgres).await.expect("a look");
    let (known, gone): (i64, time::OffsetDateTime) =
        sqlx::query_as("SELECT count(*), clock_timestamp() FROM pg_database WHERE datname = ANY($1)")
            .bind(&databases)
            .fetch_one(&mut connection)
            .await
            .expect("the databases");
    assert_eq!(usize::try_from(known), Ok(databases.len()), "not all of {databases:?} are there");
    eventually(crate::LEFT_OPEN_LOOK, "no transaction is left open", async || {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = ANY($1) AND state LIKE 'idle in transaction%' AND state_change <= $2",
        )
        .bind(&databases)
        .bind(gone)
        .fetch_one(&mut connection)
        .await
        .expect("the sessions");
        open == 0
    })
    .await;
}

/// The database that a URL leads to.
fn database_name(url: &str) -> String {
    let options: sqlx::postgres::PgConnectOptions = url.parse().expect("the URL of a database");
    options.get_database().expect("the name of a database").to_owned()
}

/// A requester and an agent with a key each.
async fn actor(endpoint: &str, number: usize, chance: Arc<SeededEntropy>) -> Actor {
    let requester = sign_up(endpoint, format!("caller{number}")).await;
    let worker = sign_up(endpoint, format!("callee{number}")).await;
    let key = AgentKey::generate(&system_env());
    let capability = format!("text.cancel{number}");
    let request = poa_sdk::api::auth::RegisterAgentRequest {
        name: format!("agent {number}"),
        capabilities: vec![capability.clone()],
        ..Default::default()
    };
    let agent = worker.register_agent(request, &key).await.expect("an agent");
    fund(&requester, actor::BUDGET_MSAT).await;
    let channel = Channel::from_shared(endpoint.to_owned()).expect("an endpoint").connect_lazy();
    let callers = (
        Caller::new(channel.clone(), &api_key(&requester).await),
        Caller::new(channel, &api_key(&worker).await),
    );
    Actor::new(requester, worker, callers, agent, key, capability, chance)
}

async fn api_key(session: &Session) -> String {
    let scopes = ["tasks.read", "tasks.write", "work.write", "money.read", "money.deposit", "money.withdraw"];
    let request = CreateApiKeyRequest {
        name: "raw".to_owned(),
        scopes: scopes.map(str::to_owned).to_vec(),
        ..CreateApiKeyRequest::default()
    };
    session.create_api_key(request).await.expect("a key").secret
}

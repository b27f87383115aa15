//! Changes into the tables. Rows are locked in the order of their ids, so that two processes that apply the same do not
//! wait for each other in a circle.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use poa_common::{AgentId, Timestamp, TypedId as _};
use poa_storage::{Database, Error, Tx};
use sqlx::Row as _;
use uuid::Uuid;

use super::super::{Applied, Dropped};
use super::terms::vector;
use crate::domain::{Agent, Batch, Change, Generation, Source, Statement, TYPICAL_OF, Task, Weight, letters};

/// How long emptying the index may take.
const WIPE_PATIENCE: Duration = Duration::from_secs(50);

/// An agent's row as it is, under our lock.
struct Locked {
    changed: Option<Timestamp>,
    active: bool,
    capabilities: Vec<String>,
    logged_through: i64,
}

pub(super) async fn apply(db: &Database, batch: Batch) -> Result<Applied, Error> {
    db.transact_with(batch, |batch, tx| Box::pin(apply_in(batch, tx))).await
}

async fn apply_in(batch: &Batch, tx: &mut Tx) -> Result<Applied, Error> {
    // Shared: whoever empties the index waits for us, and we for him.
    let generation: Option<Uuid> =
        sqlx::query_scalar("SELECT generation FROM index_state FOR SHARE").fetch_optional(tx.conn()).await?;
    if generation != Some(batch.generation) {
        return Ok(Applied::Stale);
    }
    let (mut agents, mut tasks, mut statements) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for change in &batch.changes {
        match change {
            Change::Agent(agent) => keep(&mut agents, agent.id.uuid(), &**agent, newer_agent),
            Change::Task(task) => {
                keep(&mut tasks, task.id.uuid(), &**task, |new, old| new.version > old.version);
            }
            Change::Statement(statement) => {
                statements.insert(statement.log_index, *statement);
            }
        }
    }
    let agents: Vec<&Agent> = agents.into_values().collect();
    let tasks: Vec<&Task> = tasks.into_values().collect();
    let statements: Vec<Statement> = statements.into_values().collect();
    let filled = !batch.changes.is_empty();
    store_agents(tx, &agents).await?;
    store_tasks(tx, &tasks).await?;
    store_statements(tx, &statements).await?;
    let kept = sqlx::query(
        "UPDATE sources SET cursor = $2, filled = filled OR $3, updated_at = $4 WHERE source = $1",
    )
    .bind(batch.source.as_str())
    .bind(&batch.cursor)
    .bind(filled)
    .bind(batch.now)
    .execute(tx.conn())
    .await?;
    // Without its row the cursor is lost, and with it what came before.
    if kept.rows_affected() == 1 {
        Ok(Applied::Done)
    } else {
        Err(Error::Corrupt(format!("the cursor of {} is gone", batch.source.as_str())))
    }
}

/// Keeps the newer one of two.
fn keep<'a, T>(
    kept: &mut BTreeMap<Uuid, &'a T>,
    id: Uuid,
    new: &'a T,
    is_newer: impl FnOnce(&T, &T) -> bool,
) {
    match kept.get_mut(&id) {
        Some(old) if !is_newer(new, old) => {}
        Some(old) => *old = new,
        None => {
            kept.insert(id, new);
        }
    }
}

/// Whether one state of an agent is newer than another. To retire is final, whatever auth's clock said then: it may stand
/// still or go back between two.
fn newer_agent(new: &Agent, old: &Agent) -> bool {
    is_newer(new, old.changed, old.active)
}

fn is_newer(new: &Agent, changed: Timestamp, active: bool) -> bool {
    if new.active == active { new.changed > changed } else { active }
}

/// Locks agents' rows, made where they are missing.
async fn lock(tx: &mut Tx, ids: &[Uuid]) -> Result<HashMap<Uuid, Locked>, Error> {
    sqlx::query(
        "INSERT INTO agents (agent_id) SELECT DISTINCT id FROM unnest($1::uuid[]) AS given (id) ORDER BY id
         ON CONFLICT (agent_id) DO NOTHING",
    )
    .bind(ids)
    .execute(tx.conn())
    .await?;
    let rows = sqlx::query(
        "SELECT agent_id, changed_at, active, capabilities, logged_through FROM agents
         WHERE agent_id = ANY($1) ORDER BY agent_id FOR UPDATE",
    )
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    rows.iter()
        .map(|row| {
            let locked = Locked {
                changed: row.try_get("changed_at")?,
                active: row.try_get("active")?,
                capabilities: row.try_get("capabilities")?,
                logged_through: row.try_get("logged_through")?,
            };
            Ok((row.try_get("agent_id")?, locked))
        })
        .collect()
}

async fn store_agents(tx: &mut Tx, agents: &[&Agent]) -> Result<(), Error> {
    if agents.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = agents.iter().map(|agent| agent.id.uuid()).collect();
    let before = lock(tx, &ids).await?;
    let known = |agent: &Agent| before.get(&agent.id.uuid());
    let news: Vec<&Agent> = agents
        .iter()
        .filter(|agent| match known(agent) {
            Some(Locked { changed: Some(changed), active, .. }) => is_newer(agent, *changed, *active),
            Some(_) | None => true,
        })
        .copied()
        .collect();
    let words = |agent: &Agent| {
        let capabilities = agent.capabilities.join(" ");
        vector(&[
            (Weight::Name, &agent.name),
            (Weight::Capability, &capabilities),
            (Weight::Description, &agent.description),
        ])
    };
    sqlx::query(
        "UPDATE agents SET changed_at = given.changed_at, active = given.active, name = given.name,
             capabilities = string_to_array(given.capabilities, ' '), words = given.words::tsvector,
             letters = given.letters, message = given.message
         FROM unnest($1::uuid[], $2::timestamptz[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::bytea[])
              AS given (agent_id, changed_at, active, name, capabilities, words, letters, message)
         WHERE agents.agent_id = given.agent_id",
    )
    .bind(news.iter().map(|agent| agent.id.uuid()).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| agent.changed).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| agent.active).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| agent.capabilities.join(" ")).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| words(agent)).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| agent_letters(agent)).collect::<Vec<_>>())
    .bind(news.iter().map(|agent| agent.message.as_slice()).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;

    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    for agent in news {
        if let Some(old) = known(agent).filter(|old| old.active) {
            old.capabilities.iter().for_each(|capability| *counts.entry(capability).or_default() -= 1);
        }
        if agent.active {
            agent.capabilities.iter().for_each(|capability| *counts.entry(capability).or_default() += 1);
        }
    }
    counts.retain(|_, count| *count != 0);
    count_capabilities(tx, &counts).await
}

/// What a person might mistype: names and capabilities, and how a description begins.
fn agent_letters(agent: &Agent) -> String {
    let mut texts = vec![agent.name.as_str()];
    texts.extend(agent.capabilities.iter().map(String::as_str));
    texts.push(&agent.description);
    letters(&texts)
}

async fn count_capabilities(tx: &mut Tx, counts: &BTreeMap<&str, i32>) -> Result<(), Error> {
    if counts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO capabilities (capability, agents, words, letters)
         SELECT capability, agents, words::tsvector, letters
         FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[]) AS given (capability, agents, words, letters)
         ORDER BY capability
         ON CONFLICT (capability) DO UPDATE SET agents = capabilities.agents + excluded.agents",
    )
    .bind(counts.keys().copied().collect::<Vec<_>>())
    .bind(counts.values().copied().collect::<Vec<_>>())
    .bind(counts.keys().map(|name| vector(&[(Weight::Capability, name)])).collect::<Vec<_>>())
    .bind(counts.keys().map(|name| letters(&[name])).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn store_tasks(tx: &mut Tx, tasks: &[&Task]) -> Result<(), Error> {
    if tasks.is_empty() {
        return Ok(());
    }
    let words = |task: &Task| vector(&[(Weight::Name, &task.title), (Weight::Capability, &task.capability)]);
    sqlx::query(
        "INSERT INTO tasks (task_id, version, state, market, completed, requester_id, worker_id, payee_id,
                            capability, price_msat, payee_msat, updated_at, words, letters, message)
         SELECT task_id, version, state, market, completed, requester_id, worker_id, payee_id,
                capability, price_msat, payee_msat, updated_at, words::tsvector, letters, message
         FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::boolean[], $5::boolean[], $6::uuid[], $7::uuid[],
                     $8::uuid[], $9::text[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::text[],
                     $14::text[], $15::bytea[])
              AS given (task_id, version, state, market, completed, requester_id, worker_id, payee_id,
                        capability, price_msat, payee_msat, updated_at, words, letters, message)
         ORDER BY task_id
         ON CONFLICT (task_id) DO UPDATE
         SET version = excluded.version, state = excluded.state, market = excluded.market,
             completed = excluded.completed, worker_id = excluded.worker_id, payee_id = excluded.payee_id,
             updated_at = excluded.updated_at, words = excluded.words, letters = excluded.letters,
             message = excluded.message
         WHERE tasks.version < excluded.version",
    )
    .bind(tasks.iter().map(|task| task.id.uuid()).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.version).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.state).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.market).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.completed).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.requester.uuid()).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.worker.map(|(agent, _)| agent.uuid())).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.worker.map(|(_, account)| account.uuid())).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.capability.as_str()).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.price.get()).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.payee.get()).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.updated).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| words(task)).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| letters(&[&task.title, &task.capability])).collect::<Vec<_>>())
    .bind(tasks.iter().map(|task| task.message.as_slice()).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    let completed: Vec<Uuid> =
        tasks.iter().filter(|task| task.completed).map(|task| task.id.uuid()).collect();
    count_completed(tx, &completed).await
}

/// Puts completed tasks into their agents' numbers, each once: `counted` is set under the row's lock.
async fn count_completed(tx: &mut Tx, tasks: &[Uuid]) -> Result<(), Error> {
    if tasks.is_empty() {
        return Ok(());
    }
    let agents: Vec<Uuid> = sqlx::query_scalar(
        "WITH news AS (
             UPDATE tasks SET counted = true
             WHERE task_id = ANY($1) AND completed AND NOT counted AND worker_id IS NOT NULL
             RETURNING worker_id)
         INSERT INTO agents (agent_id, completed_tasks)
         SELECT worker_id, count(*) FROM news GROUP BY worker_id ORDER BY worker_id
         ON CONFLICT (agent_id) DO UPDATE
         SET completed_tasks = agents.completed_tasks + excluded.completed_tasks
         RETURNING agent_id",
    )
    .bind(tasks)
    .fetch_all(tx.conn())
    .await?;
    // The rows are ours by now, so that this statement sees whatever was counted before.
    sqlx::query(
        "UPDATE agents SET typical_price_msat = last.price_msat, last_completed_at = last.updated_at
         FROM (SELECT id, percentile_disc(0.5) WITHIN GROUP (ORDER BY price_msat) AS price_msat,
                      max(updated_at) AS updated_at
               FROM unnest($1::uuid[]) AS given (id)
               CROSS JOIN LATERAL (
                   SELECT price_msat, updated_at FROM tasks WHERE worker_id = id AND completed
                   ORDER BY updated_at DESC, task_id DESC LIMIT $2) AS latest
               GROUP BY id) AS last
         WHERE agents.agent_id = last.id",
    )
    .bind(agents)
    .bind(i64::from(TYPICAL_OF))
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn store_statements(tx: &mut Tx, statements: &[Statement]) -> Result<(), Error> {
    if statements.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = statements.iter().map(|statement| statement.agent.uuid()).collect();
    let before = lock(tx, &ids).await?;
    // How many are new of each agent, and the last one's place.
    let mut news: BTreeMap<AgentId, (i32, i64)> = BTreeMap::new();
    for statement in statements {
        let through = before.get(&statement.agent.uuid()).map_or(-1, |agent| agent.logged_through);
        if statement.log_index > through {
            let (count, last) = news.entry(statement.agent).or_insert((0, through));
            *count = count.saturating_add(1);
            *last = statement.log_index.max(*last);
        }
    }
    sqlx::query(
        "UPDATE agents SET logged_statements = logged_statements + given.count, logged_through = given.through
         FROM unnest($1::uuid[], $2::integer[], $3::bigint[]) AS given (agent_id, count, through)
         WHERE agents.agent_id = given.agent_id",
    )
    .bind(news.keys().map(|agent| agent.uuid()).collect::<Vec<_>>())
    .bind(news.values().map(|(count, _)| *count).collect::<Vec<_>>())
    .bind(news.values().map(|(_, through)| *through).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Empties everything and begins the generation `next`.
pub(super) async fn wipe(
    db: &Database,
    expected: Option<Generation>,
    next: Generation,
) -> Result<Option<Dropped>, Error> {
    db.transact_within(WIPE_PATIENCE, move |tx| Box::pin(wipe_in(tx, expected, next))).await
}

async fn wipe_in(
    tx: &mut Tx,
    expected: Option<Generation>,
    next: Generation,
) -> Result<Option<Dropped>, Error> {
    sqlx::raw_sql("SET LOCAL statement_timeout = '45s'").execute(tx.conn()).await?;
    let ours = sqlx::query(
        "INSERT INTO index_state (generation) VALUES ($1)
         ON CONFLICT (single) DO UPDATE SET generation = excluded.generation
         WHERE $2::uuid IS NULL OR index_state.generation = $2",
    )
    .bind(next)
    .bind(expected)
    .execute(tx.conn())
    .await?;
    if ours.rows_affected() == 0 {
        return Ok(None);
    }
    let (agents, tasks): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM agents WHERE message IS NOT NULL), (SELECT count(*) FROM tasks)",
    )
    .fetch_one(tx.conn())
    .await?;
    sqlx::raw_sql("TRUNCATE agents, capabilities, tasks, sources").execute(tx.conn()).await?;
    sqlx::query("INSERT INTO sources (source) SELECT * FROM unnest($1::text[])")
        .bind(Source::ALL.map(Source::as_str).as_slice())
        .execute(tx.conn())
        .await?;
    Ok(Some(Dropped { agents, tasks }))
}

//! SearchTasks.

use poa_common::{AccountId, AgentId, TypedId as _};
use poa_storage::{Database, Error};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::super::Error as IndexError;
use super::statement::{Mode, Place, allowed, asked, cut, push_match, push_score, run, too_few};
use crate::domain::{Page, TaskQuery, Term, Text, View};

/// One look.
#[derive(Clone)]
struct Look {
    query: TaskQuery,
    mode: Mode,
    after: Option<Place>,
    rows: i64,
}

/// Whose tasks a part of a statement is about. An account's are in two indexes.
#[derive(Clone, Copy)]
enum Part {
    Market,
    Requester(AccountId),
    Payee(AccountId, Option<AgentId>),
}

pub(super) async fn search(db: &Database, query: TaskQuery) -> Result<Page<Vec<u8>>, IndexError> {
    let after = Place::open(&query.window)?;
    if query.text == Text::Nothing {
        return Ok(Page { hits: Vec::new(), next: None });
    }
    let seen = after.map_or(0, |place| place.seen);
    let page = allowed(&query.window, seen);
    let mode = after.map_or(Mode::Typed, |place| place.mode);
    let mut look = Look { query, mode, after, rows: asked(page, after.is_none()) };
    let mut rows = run(db, look.clone(), statement).await?;
    if after.is_none() && too_few(rows.len(), look.terms()) {
        look.mode = Mode::Mistyped;
        rows = run(db, look.clone(), statement).await?;
    }
    let more = cut(&mut rows, page, seen);
    let next = match (more, rows.last()) {
        (Some(seen), Some(last)) => Some(place(last, look.mode, seen)?.encode()),
        _ => None,
    };
    let hits = rows.iter().map(|row| row.try_get("message")).collect::<Result<_, _>>();
    Ok(Page { hits: hits.map_err(Error::from)?, next })
}

/// The parts' best hits, and of those the best: a task that is in two parts is the same row in both.
fn statement(look: &Look) -> QueryBuilder<Postgres> {
    let parts = match &look.query.view {
        View::Market => vec![Part::Market],
        View::Mine { account, agent, .. } => vec![Part::Requester(*account), Part::Payee(*account, *agent)],
    };
    let mut sql = QueryBuilder::new(
        "SELECT task_id, score, (SELECT message FROM tasks t WHERE t.task_id = best.task_id) AS message FROM (",
    );
    for (place, part) in parts.into_iter().enumerate() {
        if place > 0 {
            sql.push(" UNION ");
        }
        push_part(&mut sql, look, part);
    }
    sql.push(") AS best ORDER BY score DESC, task_id DESC LIMIT ").push_bind(look.rows);
    sql
}

fn push_part(sql: &mut QueryBuilder<Postgres>, look: &Look, part: Part) {
    let terms = look.terms();
    sql.push("(SELECT task_id, score FROM (SELECT task_id, ");
    if terms.is_empty() {
        sql.push("0::float8");
    } else {
        push_score(sql, terms, look.mode);
    }
    sql.push(" AS score FROM tasks WHERE ");
    match part {
        Part::Market => {
            sql.push("market");
        }
        Part::Requester(account) => {
            sql.push("requester_id = ").push_bind(account.uuid());
        }
        Part::Payee(account, agent) => {
            sql.push("payee_id = ").push_bind(account.uuid());
            if let Some(agent) = agent {
                sql.push(" AND worker_id = ").push_bind(agent.uuid());
            }
        }
    }
    if !terms.is_empty() {
        sql.push(" AND ");
        push_match(sql, terms, look.mode);
    }
    push_filters(sql, &look.query);
    sql.push(") AS hits");
    // Without words all scores are alike; left out, an index gives the order.
    match (&look.after, terms.is_empty()) {
        (None, _) => {}
        (Some(place), true) => {
            sql.push(" WHERE task_id < ").push_bind(place.id);
        }
        (Some(place), false) => {
            sql.push(" WHERE (score, task_id) < (").push_bind(place.score);
            sql.push(", ").push_bind(place.id).push(")");
        }
    }
    sql.push(if terms.is_empty() {
        " ORDER BY task_id DESC LIMIT "
    } else {
        " ORDER BY score DESC, task_id DESC LIMIT "
    });
    sql.push_bind(look.rows).push(")");
}

fn push_filters(sql: &mut QueryBuilder<Postgres>, query: &TaskQuery) {
    if let View::Mine { states, .. } = &query.view
        && !states.is_empty()
    {
        sql.push(" AND state = ANY(").push_bind(states.clone()).push(")");
    }
    if !query.capabilities.is_empty() {
        sql.push(" AND capability = ANY(").push_bind(query.capabilities.clone()).push(")");
    }
    if query.min_payee.get() > 0 {
        sql.push(" AND payee_msat >= ").push_bind(query.min_payee.get());
    }
    if let Some(most) = query.max_price {
        sql.push(" AND price_msat <= ").push_bind(most.get());
    }
}

fn place(row: &PgRow, mode: Mode, seen: u16) -> Result<Place, Error> {
    Ok(Place { mode, seen, score: row.try_get("score")?, completed: 0, id: row.try_get("task_id")? })
}

// === impl Look ===

impl Look {
    fn terms(&self) -> &[Term] {
        match &self.query.text {
            Text::Terms(terms) => terms,
            Text::Any | Text::Nothing => &[],
        }
    }
}

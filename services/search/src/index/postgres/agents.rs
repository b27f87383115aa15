//! SearchAgents.

use poa_common::Msat;
use poa_storage::{Database, Error};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::super::Error as IndexError;
use super::statement::{Mode, Place, allowed, asked, cut, push_match, push_score, run, too_few};
use crate::domain::{AgentHit, AgentQuery, Page, Term, Text};

/// One look.
#[derive(Clone)]
struct Look {
    query: AgentQuery,
    mode: Mode,
    after: Option<Place>,
    rows: i64,
}

pub(super) async fn search(db: &Database, query: AgentQuery) -> Result<Page<AgentHit>, IndexError> {
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
    let hits = rows.iter().map(hit).collect::<Result<_, _>>()?;
    Ok(Page { hits, next })
}

fn statement(look: &Look) -> QueryBuilder<Postgres> {
    let terms = look.terms();
    let mut sql = QueryBuilder::new(
        "SELECT agent_id, message, completed_tasks, typical_price_msat, last_completed_at, logged_statements, score
         FROM (SELECT *, ",
    );
    if terms.is_empty() {
        sql.push("0::float8");
    } else {
        push_score(&mut sql, terms, look.mode);
    }
    sql.push(" AS score FROM agents WHERE message IS NOT NULL");
    if !terms.is_empty() {
        sql.push(" AND ");
        push_match(&mut sql, terms, look.mode);
    }
    push_filters(&mut sql, &look.query);
    sql.push(") AS hits");
    // Without words all scores are alike; left out, an index gives the order.
    match (&look.after, terms.is_empty()) {
        (None, _) => {}
        (Some(place), true) => {
            sql.push(" WHERE (completed_tasks, agent_id) < (").push_bind(place.completed);
            sql.push(", ").push_bind(place.id).push(")");
        }
        (Some(place), false) => {
            sql.push(" WHERE (score, completed_tasks, agent_id) < (").push_bind(place.score);
            sql.push(", ").push_bind(place.completed).push(", ").push_bind(place.id).push(")");
        }
    }
    sql.push(" ORDER BY ");
    if !terms.is_empty() {
        sql.push("score DESC, ");
    }
    sql.push("completed_tasks DESC, agent_id DESC LIMIT ").push_bind(look.rows);
    sql
}

fn push_filters(sql: &mut QueryBuilder<Postgres>, query: &AgentQuery) {
    if !query.include_retired {
        sql.push(" AND active");
    }
    if !query.capabilities.is_empty() {
        sql.push(" AND capabilities @> ").push_bind(query.capabilities.clone());
    }
    if let Some(most) = query.max_typical_price {
        sql.push(" AND typical_price_msat BETWEEN 1 AND ").push_bind(most.get());
    }
    if query.min_completed_tasks > 0 {
        sql.push(" AND completed_tasks >= ").push_bind(query.min_completed_tasks);
    }
}

fn place(row: &PgRow, mode: Mode, seen: u16) -> Result<Place, Error> {
    Ok(Place {
        mode,
        seen,
        score: row.try_get("score")?,
        completed: row.try_get("completed_tasks")?,
        id: row.try_get("agent_id")?,
    })
}

fn hit(row: &PgRow) -> Result<AgentHit, Error> {
    Ok(AgentHit {
        message: row.try_get("message")?,
        completed_tasks: row.try_get("completed_tasks")?,
        typical_price: Msat::new(row.try_get("typical_price_msat")?),
        last_completed: row.try_get("last_completed_at")?,
        logged_statements: row.try_get("logged_statements")?,
    })
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

//! Suggest.

use poa_common::{AgentId, TypedId as _};
use poa_storage::{Database, Error};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::super::Error as IndexError;
use super::statement::{Mode, push_match, run};
use super::terms::in_names;
use crate::domain::{SuggestQuery, Suggestion, Term, query_terms};

/// Names that are ranked, those of the most experienced: one letter fits more than anybody would read.
const CANDIDATES: i64 = 2_000;

/// One look.
#[derive(Clone)]
struct Look {
    terms: Vec<Term>,
    /// What was typed, in small letters.
    typed: String,
    mode: Mode,
    limit: u16,
}

pub(super) async fn suggest(db: &Database, query: SuggestQuery) -> Result<Vec<Suggestion>, IndexError> {
    let terms = query_terms(&query.prefix);
    if terms.is_empty() {
        return Ok(Vec::new());
    }
    // What stands before a NUL has been typed; PostgreSQL keeps none.
    let typed = query.prefix.trim().replace('\0', "").to_lowercase();
    let mut look = Look { terms, typed, mode: Mode::Typed, limit: query.limit };
    let mut found = both(db, &look).await?;
    if found.0.is_empty() && found.1.is_empty() && look.terms.iter().any(Term::may_be_mistyped) {
        look.mode = Mode::Mistyped;
        found = both(db, &look).await?;
    }
    let (mut capabilities, names) = found;
    // Capabilities come first, and leave some room for names.
    let limit = usize::from(query.limit);
    capabilities.truncate(limit.saturating_sub(names.len()).max(limit.saturating_mul(2).div_ceil(3)));
    capabilities.extend(names);
    capabilities.truncate(limit);
    Ok(capabilities)
}

async fn both(db: &Database, look: &Look) -> Result<(Vec<Suggestion>, Vec<Suggestion>), Error> {
    let capabilities = run(db, look.clone(), of_capabilities).await?;
    let names = run(db, look.clone(), of_names).await?;
    Ok((
        capabilities.iter().map(capability).collect::<Result<_, _>>()?,
        names.iter().map(name).collect::<Result<_, _>>()?,
    ))
}

fn of_capabilities(look: &Look) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("SELECT capability, agents FROM capabilities WHERE agents > 0 AND ");
    push_match(&mut sql, &look.terms, look.mode);
    sql.push(" ORDER BY starts_with(capability, ").push_bind(look.typed.clone());
    sql.push(") DESC, agents DESC, capability LIMIT ").push_bind(i64::from(look.limit));
    sql
}

fn of_names(look: &Look) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "SELECT agent_id, name FROM (SELECT agent_id, name, completed_tasks FROM agents WHERE active AND ",
    );
    match look.mode {
        Mode::Typed => {
            sql.push("words @@ ").push_bind(in_names(&look.terms)).push("::text::tsquery");
        }
        // Of the name alone: the letters are those of more than the name.
        Mode::Mistyped => {
            for (place, term) in look.terms.iter().enumerate() {
                sql.push(if place == 0 { "" } else { " AND " });
                if term.may_be_mistyped() {
                    sql.push("lower(name) %> ").push_bind(term.text.clone()).push("::text");
                } else {
                    sql.push("words @@ ").push_bind(in_names(std::slice::from_ref(term)));
                    sql.push("::text::tsquery");
                }
            }
        }
    }
    sql.push(" ORDER BY completed_tasks DESC LIMIT ").push_bind(CANDIDATES);
    sql.push(") AS named ORDER BY starts_with(lower(name), ").push_bind(look.typed.clone());
    sql.push(") DESC, completed_tasks DESC, agent_id DESC LIMIT ").push_bind(i64::from(look.limit));
    sql
}

fn capability(row: &PgRow) -> Result<Suggestion, Error> {
    Ok(Suggestion::Capability { name: row.try_get("capability")?, agents: row.try_get("agents")? })
}

fn name(row: &PgRow) -> Result<Suggestion, Error> {
    let agent = AgentId::from_uuid(row.try_get("agent_id")?);
    Ok(Suggestion::Agent { name: row.try_get("name")?, agent })
}

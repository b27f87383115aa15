//! How a search runs: read-only, on a short leash, planned for the very words that were given.

use poa_storage::{Database, Error};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};

use super::super::Error as IndexError;
use super::terms::{all, exactly, matches};
use crate::domain::{MAX_HITS, Term, Window};

/// What holds for the one statement that follows. A search that takes longer than this is shed; the connection plans by
/// keys and for any value, and would neither know how common a word is nor read a small table whole; typing errors may
/// take this much of a word.
const SETTINGS: &str = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '3s'; \
    SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = on; \
    SET LOCAL pg_trgm.word_similarity_threshold = 0.4";
/// With so many hits as they were typed, nobody meant anything else.
pub(super) const ENOUGH: usize = 10;
/// The length of [`Place::encode`].
const PLACE_BYTES: usize = 31;

/// How terms are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As they were typed.
    Typed,
    /// With typing errors too.
    Mistyped,
}

/// Where a page ended: the last hit's rank and id. What is added meanwhile moves no other hit to the next page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) mode: Mode,
    /// Hits so far.
    pub(super) seen: u16,
    pub(super) score: f64,
    /// Agents alone: ranked by it next.
    pub(super) completed: i32,
    pub(super) id: uuid::Uuid,
}

/// Runs one search. The statement is built from its input each time that the transaction is tried.
pub(super) async fn run<I>(
    db: &Database,
    input: I,
    build: fn(&I) -> QueryBuilder<Postgres>,
) -> Result<Vec<PgRow>, Error>
where
    I: Send + Sync + 'static,
{
    db.transact_with(input, move |input, tx| {
        Box::pin(async move {
            sqlx::raw_sql(SETTINGS).execute(tx.conn()).await?;
            Ok(build(input).build().persistent(false).fetch_all(tx.conn()).await?)
        })
    })
    .await
}

/// How many hits of a query the next page may have.
pub(super) fn allowed(window: &Window, seen: u16) -> usize {
    usize::from(window.limit.max(1).min(MAX_HITS.saturating_sub(seen)))
}

/// How many rows to ask for: one more than the page tells whether there is another one, and the first page tells whether
/// there are enough as they were typed.
pub(super) fn asked(page: usize, is_first: bool) -> i64 {
    let rows = if is_first { page.saturating_add(1).max(ENOUGH) } else { page.saturating_add(1) };
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Whether typing errors are to be looked for after a first look at what was typed.
pub(super) fn too_few(rows: usize, terms: &[Term]) -> bool {
    rows < ENOUGH && terms.iter().any(Term::may_be_mistyped)
}

/// Cuts rows to a page; answers how many were seen by now, where more may come.
pub(super) fn cut(rows: &mut Vec<PgRow>, page: usize, seen: u16) -> Option<u16> {
    let is_more = rows.len() > page;
    rows.truncate(page);
    let seen = seen.saturating_add(u16::try_from(rows.len()).unwrap_or(u16::MAX));
    (is_more && seen < MAX_HITS).then_some(seen)
}

/// The condition that a row matches all terms.
pub(super) fn push_match(sql: &mut QueryBuilder<Postgres>, terms: &[Term], mode: Mode) {
    if mode == Mode::Typed {
        sql.push("words @@ ").push_bind(all(terms)).push("::text::tsquery");
        return;
    }
    for (place, term) in terms.iter().enumerate() {
        sql.push(if place == 0 { "(words @@ " } else { " AND (words @@ " });
        sql.push_bind(matches(term)).push("::text::tsquery");
        if term.may_be_mistyped() {
            sql.push(" OR letters %> ").push_bind(term.text.clone()).push("::text");
        }
        sql.push(")");
    }
}

/// How well a row matches: words that are there in full, then words that begin so, then, far behind, words that are like
/// it.
pub(super) fn push_score(sql: &mut QueryBuilder<Postgres>, terms: &[Term], mode: Mode) {
    sql.push("(ts_rank(words, ").push_bind(all(terms)).push("::text::tsquery) + ts_rank(words, ");
    sql.push_bind(exactly(terms)).push("::text::tsquery)");
    if mode == Mode::Mistyped {
        for term in terms.iter().filter(|term| term.may_be_mistyped()) {
            sql.push(" + 0.001 * word_similarity(").push_bind(term.text.clone()).push("::text, letters)");
        }
    }
    sql.push(")::float8");
}

// === impl Place ===

impl Place {
    /// Reads the place of a window; none is the beginning.
    pub(super) fn open(window: &Window) -> Result<Option<Self>, IndexError> {
        let Some(bytes) = &window.after else { return Ok(None) };
        Self::decode(bytes).map(Some).ok_or(IndexError::Place)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mode: u8 = match self.mode {
            Mode::Typed => 0,
            Mode::Mistyped => 1,
        };
        let mut bytes = Vec::with_capacity(PLACE_BYTES);
        bytes.push(mode);
        bytes.extend(self.seen.to_be_bytes());
        bytes.extend(self.score.to_be_bytes());
        bytes.extend(self.completed.to_be_bytes());
        bytes.extend(self.id.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mode, rest) = bytes.split_first()?;
        let (seen, rest) = rest.split_first_chunk()?;
        let (score, rest) = rest.split_first_chunk()?;
        let (completed, id) = rest.split_first_chunk()?;
        Some(Self {
            mode: match mode {
                0 => Mode::Typed,
                1 => Mode::Mistyped,
                _ => return None,
            },
            seen: u16::from_be_bytes(*seen),
            score: f64::from_be_bytes(*score),
            completed: i32::from_be_bytes(*completed),
            id: uuid::Uuid::from_slice(id).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_way_through_a_token() {
        let id = uuid::Uuid::from_u128(7);
        let place = Place { mode: Mode::Mistyped, seen: 999, score: 0.607_927_1, completed: -1, id };
        let bytes = place.encode();
        assert_eq!(bytes.len(), PLACE_BYTES);
        assert_eq!(Place::decode(&bytes), Some(place));
        for length in 0..PLACE_BYTES {
            assert_eq!(Place::decode(&bytes[..length]), None);
        }
    }
}

//! Plain reads, each with an end, and the connections that go back to the pool within a bound.
//!
//! sqlx's pool waits without end in two places where a connection has gone silent (a black hole, a paused server): for the
//! answer to a statement, and for that of the ping with which a connection is given back, which keeps its place in the pool
//! meanwhile. With a handful of such connections nobody would ever read again. Here both waits end, and the connection
//! with them.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr};
use tokio::time::error::Elapsed;

/// The executor of plain reads: `sqlx::query("SELECT …").fetch_all(db.read())`. Each waits for a connection at most the
/// configured time, and for its answer at most the configured time; then the connection is left, the server ends the
/// statement within a second, and the error says that the database is not available: whether it is silent or slow cannot be
/// told from here. A result is read whole before the first row is given out.
pub struct Reader {
    pool: PgPool,
    /// How long an answer may take.
    patience: Duration,
}

/// A connection lent by the pool. It goes back by itself, or is closed where it does not answer in time.
pub struct Lent {
    connection: PoolConnection<Postgres>,
    /// How long it may take to go back: what a dropped caller left running must end first.
    patience: Duration,
    closing: bool,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(pool: PgPool, patience: Duration) -> Self {
        Self { pool, patience }
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection for several reads in a row. What is run on it has no bound of its own: the caller sets one.
    ///
    /// # Errors
    /// Those of the driver where none came about in time.
    pub async fn acquire(&self) -> Result<Lent, sqlx::Error> {
        let connection = self.pool.acquire().await?;
        Ok(Lent { connection, patience: self.patience, closing: false })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for &'c Reader {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let whole = async move {
            let mut lent = self.acquire().await?;
            let answer: BoxFuture<'_, Result<Vec<_>, _>> = Box::pin(lent.fetch_many(query).try_collect());
            let answer = tokio::time::timeout(self.patience, answer).await;
            lent.heard(answer)
        };
        whole.map_ok(|answer| stream::iter(answer.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let answer = tokio::time::timeout(self.patience, lent.fetch_optional(query)).await;
            lent.heard(answer)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let answer = tokio::time::timeout(self.patience, lent.prepare_with(sql, parameters)).await;
            lent.heard(answer)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut lent = self.acquire().await?;
            let answer = tokio::time::timeout(self.patience, lent.describe(sql)).await;
            lent.heard(answer)
        })
    }
}

// === impl Lent ===

impl Lent {
    /// Closes the connection on drop, instead of giving it back.
    pub(crate) fn close_on_drop(&mut self) {
        self.closing = true;
        self.connection.close_on_drop();
    }

    /// The answer, or none in time: then the connection is closed, because its answer may come yet.
    fn heard<T>(mut self, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, sqlx::Error> {
        answer.unwrap_or_else(|_silence| {
            self.close_on_drop();
            let silence = format!("no answer within {:?}", self.patience);
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, silence)))
        })
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.closing {
            return;
        }
        // What the pool's own drop would do, with a bound: dropped in the middle, the connection is closed and its
        // place in the pool is free again.
        let returned = self.connection.return_to_pool();
        let patience = self.patience;
        // Without a runtime the connection is closed.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if tokio::time::timeout(patience, returned).await.is_err() {
                    tracing::warn!(?patience, "a connection did not answer and was closed");
                }
            });
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}

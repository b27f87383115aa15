//! A transaction on one connection, with its end in our own hands.
//!
//! sqlx's `Transaction` is not used: a future dropped inside its `begin()` can leave a BEGIN on the pooled
//! connection (transact-rs/sqlx #4393), and its `commit()` takes the server's ROLLBACK of an already
//! failed transaction for success. Here a connection goes back to the pool only after an answered COMMIT
//! or ROLLBACK; in any other case it is closed.

use std::time::Duration;

use sqlx::PgConnection;

use crate::{Error, Lent};

/// An open transaction. Statements run on [`Tx::conn`]; only its owner ends it.
pub struct Tx {
    connection: Lent,
    /// How long an end may go unanswered.
    patience: Duration,
    state: State,
    appended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is open on the server.
    Idle,
    /// BEGIN was sent and no end was answered.
    Open,
}

// === impl Tx ===

impl Tx {
    /// The executor: `sqlx::query("…").execute(tx.conn())`. Never begin, commit or set a savepoint on it.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(crate) fn new(connection: Lent, patience: Duration) -> Self {
        Self { connection, patience, state: State::Idle, appended: false }
    }

    /// Notes that events were appended: the relay is woken after COMMIT.
    pub(crate) fn note_appended(&mut self) {
        self.appended = true;
    }

    /// Whether events were appended since the last BEGIN.
    pub(crate) fn has_appended(&self) -> bool {
        self.appended
    }

    /// Waits without a bound of its own: the caller's is one for BEGIN and all statements.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        // Before the await: a future dropped inside it must not give the connection back.
        self.state = State::Open;
        self.appended = false;
        sqlx::raw_sql("BEGIN").execute(&mut *self.connection).await?;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        // In a transaction that has failed COMMIT rolls back and reports success. The SELECT fails there,
        // and COMMIT is not reached: a closure that swallowed an error is told, in the same round trip.
        let sent = sqlx::raw_sql("SELECT 1; COMMIT").execute(&mut *self.connection);
        match tokio::time::timeout(self.patience, sent).await {
            Ok(Ok(_)) => {
                self.state = State::Idle;
                Ok(())
            }
            // Silence proves nothing: the server may commit yet. The connection is closed on drop.
            Err(_silence) => Err(Error::CommitUnknown),
            Ok(Err(error)) => {
                let error = Error::of_commit(error);
                if error.certainly_not_applied() {
                    self.rollback().await;
                }
                Err(error)
            }
        }
    }

    /// Rolls back. Where that fails, or is not answered, the connection is closed on drop, which rolls back too.
    pub(crate) async fn rollback(&mut self) {
        let sent = sqlx::raw_sql("ROLLBACK").execute(&mut *self.connection);
        if matches!(tokio::time::timeout(self.patience, sent).await, Ok(Ok(_))) {
            self.state = State::Idle;
        }
    }

    /// Whether the connection can serve another transaction.
    pub(crate) fn is_reusable(&self) -> bool {
        self.state == State::Idle
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.state == State::Open {
            self.connection.close_on_drop();
        }
    }
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

//! The batch writer: one COMMIT for many, an answer for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use poa_storage::batch::{BatchHandler, BatchOptions, BatchWriter, Handle, Replies};
use poa_storage::{Database, Error, Tx};
use poa_testkit::eventually;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    TestResult, count, database, database_behind_proxy, idle_in_transaction, impatient_database_behind_proxy,
};

const SOON: Duration = Duration::from_secs(20);
/// Fails its whole statement, by the CHECK on the text.
const POISON: i64 = 666;
/// Panics.
const BOMB: i64 = 667;
/// Is refused by the handler itself; nothing is wrong with it.
const REFUSED: i64 = 668;

/// Inserts notes; a batch waits for a turn where the test hands them out.
#[derive(Clone)]
struct Notes {
    turns: Arc<Semaphore>,
    batches: Arc<AtomicUsize>,
}

#[derive(Debug, thiserror::Error)]
enum NotesError {
    #[error("refused")]
    Refused,
    #[error(transparent)]
    Storage(#[from] Error),
}

impl BatchHandler for Notes {
    type Command = i64;
    type Reply = i64;
    type Error = NotesError;

    async fn apply(&self, tx: &mut Tx, commands: &[i64]) -> Result<Replies<i64, NotesError>, NotesError> {
        self.turns.acquire().await.unwrap().forget();
        self.batches.fetch_add(1, Ordering::SeqCst);
        assert!(!commands.contains(&BOMB), "bomb");
        let accepted: Vec<i64> = commands.iter().copied().filter(|id| *id != REFUSED).collect();
        let texts: Vec<&str> = accepted.iter().map(|id| if *id == POISON { "" } else { "note" }).collect();
        sqlx::query(
            "INSERT INTO notes (id, text) SELECT * FROM unnest($1::bigint[], $2::text[])
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&accepted)
        .bind(&texts)
        .execute(tx.conn())
        .await
        .map_err(Error::from)?;
        Ok(commands
            .iter()
            .map(|id| if *id == REFUSED { Err(NotesError::Refused) } else { Ok(*id) })
            .collect())
    }

    async fn recover(&self, db: &Database, command: &i64) -> Result<Option<i64>, NotesError> {
        let found = sqlx::query_scalar("SELECT id FROM notes WHERE id = $1").bind(command);
        Ok(found.fetch_optional(db.read()).await.map_err(Error::from)?)
    }

    fn conflict_key(&self, command: &i64) -> Option<Uuid> {
        Some(Uuid::from_u128(u128::try_from(*command).unwrap()))
    }
}

fn notes(turns: usize) -> Notes {
    Notes { turns: Arc::new(Semaphore::new(turns)), batches: Arc::default() }
}

async fn writer(
    db: &Database,
    notes: &Notes,
) -> (Handle<Notes>, CancellationToken, tokio::task::JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let options = BatchOptions { queue: 1_000, ..BatchOptions::new("notes") };
    let (handle, task) = BatchWriter::spawn(db, notes.clone(), options, shutdown.clone()).await.unwrap();
    (handle, shutdown, task)
}

/// Submits all at once, so that they share batches once a turn is given.
async fn submit_all(handle: &Handle<Notes>, ids: &[i64]) -> Vec<Result<i64, NotesError>> {
    futures_util::future::join_all(ids.iter().map(|id| handle.submit(*id))).await
}

#[tokio::test]
async fn commands_that_wait_share_one_commit_and_an_idle_writer_takes_one() -> TestResult {
    let (db, _) = database(3).await;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    assert_eq!(handle.submit(0).await?, 0);
    assert_eq!(notes.batches.load(Ordering::SeqCst), 1);
    let ids: Vec<i64> = (1..=900).filter(|id| ![POISON, BOMB, REFUSED].contains(id)).collect();
    let replies = submit_all(&handle, &ids).await;
    assert!(replies.iter().zip(&ids).all(|(reply, id)| reply.as_ref().is_ok_and(|reply| reply == id)));
    assert_eq!(notes.batches.load(Ordering::SeqCst), 3);
    assert_eq!(count(&db).await, 898);
    Ok(())
}

#[tokio::test]
async fn poison_and_panics_stop_only_themselves() -> TestResult {
    let (db, _) = database(3).await;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    let ids: Vec<i64> = (0..20).chain([POISON]).chain(20..40).chain([BOMB, REFUSED]).chain(40..60).collect();
    for (reply, id) in submit_all(&handle, &ids).await.into_iter().zip(ids) {
        match id {
            POISON => {
                let Err(NotesError::Storage(error)) = reply else { panic!("{reply:?}") };
                assert_eq!(error.constraint(), Some("notes_text_not_empty"));
                assert!(error.certainly_not_applied());
            }
            BOMB => assert!(matches!(reply, Err(NotesError::Storage(Error::Other(_)))), "{reply:?}"),
            REFUSED => assert!(matches!(reply, Err(NotesError::Refused)), "{reply:?}"),
            id => assert_eq!(reply?, id),
        }
    }
    assert_eq!(count(&db).await, 60);
    assert_eq!(handle.submit(100).await?, 100);
    Ok(())
}

#[tokio::test]
async fn a_duplicate_is_decided_after_the_first_was_committed() -> TestResult {
    let (db, _) = database(3).await;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    let replies = submit_all(&handle, &[1, 1, 2, 1]).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(notes.batches.load(Ordering::SeqCst), 3);
    assert_eq!(count(&db).await, 2);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_is_busy_and_a_dropped_caller_withdraws_nothing() -> TestResult {
    let (db, _) = database(3).await;
    let notes = notes(0);
    let shutdown = CancellationToken::new();
    let options = BatchOptions { queue: 2, ..BatchOptions::new("notes") };
    let (handle, task) = BatchWriter::spawn(&db, notes.clone(), options, shutdown.clone()).await?;
    let mut first = Box::pin(handle.submit(1));
    assert!(futures_util::poll!(&mut first).is_pending());
    // The first is at work, waiting for its turn; two more fill the queue.
    eventually(SOON, "the writer took the first", async || format!("{handle:?}").contains("free: 2")).await;
    for id in [2, 3] {
        assert!(futures_util::poll!(Box::pin(handle.submit(id))).is_pending());
    }
    assert!(matches!(handle.submit(4).await, Err(NotesError::Storage(Error::Busy))));
    drop(first);
    shutdown.cancel();
    notes.turns.add_permits(10);
    task.await?;
    assert_eq!(count(&db).await, 3, "shutdown drains what was accepted, asked for or not");
    assert!(matches!(handle.submit(5).await, Err(NotesError::Storage(Error::ShuttingDown))));
    assert_eq!(idle_in_transaction(&db).await, 0);
    Ok(())
}

#[tokio::test]
async fn a_writer_survives_the_loss_of_its_connection() -> TestResult {
    let (db, _) = database(3).await;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    handle.submit(1).await?;
    terminate_others(&db).await?;
    assert_eq!(handle.submit(2).await?, 2);
    assert_eq!(count(&db).await, 2);
    Ok(())
}

async fn terminate_others(db: &Database) -> Result<(), Error> {
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    .execute(db.read())
    .await?;
    Ok(())
}

/// Ends the session inside its COMMIT, for one row.
const DIE_AT_COMMIT: &str = "
    CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER die_at_commit AFTER INSERT ON notes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 13) EXECUTE FUNCTION die();";

#[tokio::test]
async fn a_commit_that_the_server_refuses_by_dying_is_reported_as_unknown() -> TestResult {
    let (db, _) = database(3).await;
    sqlx::raw_sql(DIE_AT_COMMIT).execute(db.read()).await?;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    let replies = submit_all(&handle, &[12, 13]).await;
    for reply in &replies {
        assert!(matches!(reply, Err(NotesError::Storage(Error::CommitUnknown))), "{replies:?}");
    }
    assert_eq!(handle.submit(14).await?, 14);
    assert_eq!(count(&db).await, 1);
    Ok(())
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_answered_from_the_records() -> TestResult {
    let (db, proxy) = database_behind_proxy(3).await;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    handle.submit(0).await?;
    proxy.swallow_next_commit();
    let ids: Vec<i64> = (1..=50).collect();
    for (reply, id) in submit_all(&handle, &ids).await.into_iter().zip(ids) {
        assert_eq!(reply?, id);
    }
    assert_eq!(proxy.struck(), 1);
    assert_eq!(notes.batches.load(Ordering::SeqCst), 2, "nothing was applied again");
    assert_eq!(count(&db).await, 51);
    Ok(())
}

#[tokio::test]
async fn a_writer_leaves_a_silent_connection_and_goes_on() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(3).await;
    let notes = notes(1_000);
    let (handle, _shutdown, _task) = writer(&db, &notes).await;
    proxy.go_silent_at("INSERT INTO notes");
    assert_eq!(tokio::time::timeout(SOON, handle.submit(1)).await??, 1);
    assert_eq!((proxy.struck(), count(&db).await), (1, 1));
    proxy.go_silent_at("COMMIT");
    let unknown = tokio::time::timeout(SOON, handle.submit(2)).await?;
    assert!(matches!(unknown, Err(NotesError::Storage(Error::CommitUnknown))), "{unknown:?}");
    assert_eq!(handle.submit(3).await?, 3);
    assert_eq!((proxy.struck(), count(&db).await), (2, 2));
    Ok(())
}

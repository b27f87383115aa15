//! Transactions: nothing lost, nothing left open, nothing applied twice.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use poa_storage::{Database, DatabaseConfig, Error};
use poa_testkit::{SeededEntropy, eventually};
use tokio::sync::{Barrier, Semaphore};

use crate::support::{TestResult, count, database, idle_in_transaction, insert, migrator};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_closure_that_fails_leaves_nothing() -> TestResult {
    let (db, _) = database(2).await;
    let error = db
        .transact(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                Err::<(), _>(Error::Busy)
            })
        })
        .await;
    assert!(matches!(error, Err(Error::Busy)));
    assert_eq!(count(&db).await, 0);
    Ok(())
}

#[tokio::test]
async fn a_violated_constraint_is_named() {
    let (db, _) = database(2).await;
    let twice = db
        .transact(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                insert(tx, 1).await
            })
        })
        .await;
    assert_eq!(twice.unwrap_err().constraint(), Some("notes_pkey"));
}

#[tokio::test]
async fn a_swallowed_error_is_not_taken_for_a_commit() {
    let (db, _) = database(2).await;
    let outcome = db
        .transact(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                // The duplicate fails the transaction; going on as if nothing had happened must not pass.
                assert!(insert(tx, 1).await.is_err());
                Ok::<_, Error>(())
            })
        })
        .await;
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
    assert_eq!(count(&db).await, 0);
    assert_eq!(idle_in_transaction(&db).await, 0);
}

#[tokio::test]
async fn a_panic_in_the_closure_rolls_back_and_harms_nobody_else() {
    let (db, _) = database(1).await;
    let outcome = db
        .transact(|tx| {
            Box::pin(async move {
                insert(tx, 1).await?;
                if true {
                    panic!("poison");
                }
                Ok::<_, Error>(())
            })
        })
        .await;
    assert!(matches!(outcome, Err(Error::Other(_))));
    db.transact(|tx| Box::pin(insert(tx, 2))).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_dropped_callers_lose_nothing_and_leave_no_open_transaction() -> TestResult {
    for connections in 1..=4 {
        callers_are_dropped(connections, 2_500).await?;
    }
    Ok(())
}

/// Callers at a time: below what may wait for a connection, so that all get their turn.
const AT_ONCE: usize = 256;

async fn callers_are_dropped(connections: u32, callers: i64) -> TestResult {
    let (db, _) = database(connections).await;
    let chance = Arc::new(SeededEntropy::new(20_260_101 + u64::from(connections)));
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let begun = Arc::new(AtomicU32::new(0));
    let finished = Arc::new(AtomicU32::new(0));
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    for id in 0..callers {
        let turn = room.clone().acquire_owned().await?;
        let (db, chance, acknowledged) = (db.clone(), chance.clone(), acknowledged.clone());
        let (begun, finished) = (begun.clone(), finished.clone());
        running.spawn(async move {
            let work = db.transact(move |tx| {
                begun.fetch_add(1, Ordering::SeqCst);
                let finished = finished.clone();
                Box::pin(async move {
                    let inserted = insert(tx, id).await;
                    finished.fetch_add(1, Ordering::SeqCst);
                    inserted
                })
            });
            // Reads are dropped too: their connections must come back clean.
            let read = sqlx::query("SELECT pg_sleep(0.001)").execute(db.read());
            let patience = Duration::from_micros(chance.next_u64() % 20_000);
            let (written, _) = tokio::join!(
                tokio::time::timeout(patience * 20, work),
                tokio::time::timeout(patience / 4, read)
            );
            if matches!(written, Ok(Ok(()))) {
                acknowledged.lock().unwrap().insert(id);
            }
            drop(turn);
        });
    }
    while let Some(caller) = running.join_next().await {
        caller?;
    }
    eventually(SOON, "what was begun is finished", async || {
        begun.load(Ordering::SeqCst) == finished.load(Ordering::SeqCst)
    })
    .await;
    eventually(SOON, "no transaction is left open", async || idle_in_transaction(&db).await == 0).await;
    let stored: Vec<i64> = sqlx::query_scalar("SELECT id FROM notes").fetch_all(db.read()).await?;
    let stored: HashSet<i64> = stored.into_iter().collect();
    let acknowledged = acknowledged.lock().unwrap();
    assert!(acknowledged.is_subset(&stored), "an acknowledged write is gone");
    let dropped = usize::try_from(callers)? - acknowledged.len();
    assert!(dropped > 0 && !acknowledged.is_empty(), "{dropped} dropped, {} answered", acknowledged.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_retried_until_both_commit() -> TestResult {
    let (db, _) = database(4).await;
    for id in [1, 2] {
        db.transact(move |tx| Box::pin(insert(tx, id))).await?;
    }
    let barrier = Arc::new(Barrier::new(2));
    let runs = Arc::new(AtomicU32::new(0));
    let cross = |first: i64, second: i64| {
        let (db, barrier, runs) = (db.clone(), barrier.clone(), runs.clone());
        tokio::spawn(async move {
            db.transact(move |tx| {
                let (barrier, runs) = (barrier.clone(), runs.clone());
                Box::pin(async move {
                    let first_two = runs.fetch_add(1, Ordering::SeqCst) < 2;
                    for id in [first, second] {
                        sqlx::query("UPDATE notes SET text = text || '.' WHERE id = $1")
                            .bind(id)
                            .execute(tx.conn())
                            .await?;
                        if first_two && id == first {
                            barrier.wait().await;
                        }
                    }
                    Ok::<_, Error>(())
                })
            })
            .await
        })
    };
    let (one, two) = (cross(1, 2), cross(2, 1));
    one.await??;
    two.await??;
    let texts: Vec<String> = sqlx::query_scalar("SELECT text FROM notes").fetch_all(db.read()).await?;
    assert_eq!(texts, ["note..", "note.."]);
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() -> TestResult {
    let url = poa_testkit::fresh_database("storage").await;
    let config = DatabaseConfig { max_waiting: 1, max_connections: 1, ..DatabaseConfig::new(url) };
    let db = Database::connect(&config, &migrator()).await?;
    let (gate, started) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let busy = {
        let (db, gate, started) = (db.clone(), gate.clone(), started.clone());
        tokio::spawn(async move {
            db.transact(move |_tx| {
                let (gate, started) = (gate.clone(), started.clone());
                Box::pin(async move {
                    started.wait().await;
                    gate.wait().await;
                    Ok::<_, Error>(())
                })
            })
            .await
        })
    };
    started.wait().await;
    let mut waiting = Box::pin(db.transact(|tx| Box::pin(insert(tx, 1))));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert!(matches!(db.transact(|tx| Box::pin(insert(tx, 2))).await, Err(Error::Busy)));
    gate.wait().await;
    waiting.await?;
    busy.await??;
    assert_eq!(count(&db).await, 1);
    Ok(())
}

#[tokio::test]
async fn a_backend_terminated_before_commit_is_retried_unseen() -> TestResult {
    let (db, _) = database(2).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    db.transact(move |tx| {
        let runs = counted.clone();
        Box::pin(async move {
            insert(tx, 1).await?;
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                let terminated = sqlx::query("SELECT pg_terminate_backend(pg_backend_pid())");
                terminated.execute(tx.conn()).await?;
            }
            insert(tx, 2).await
        })
    })
    .await?;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(count(&db).await, 2);
    Ok(())
}

/// A deferred trigger runs inside COMMIT: it ends the session there, as a crash of the server would.
const DIE_AT_COMMIT: &str = "
    CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER die_at_commit AFTER INSERT ON notes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 13) EXECUTE FUNCTION die();";

#[tokio::test]
async fn a_connection_lost_at_commit_is_an_unknown_outcome() -> TestResult {
    let (db, _) = database(2).await;
    sqlx::raw_sql(DIE_AT_COMMIT).execute(db.read()).await?;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let outcome = db
        .transact(move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(insert(tx, 13))
        })
        .await;
    assert!(matches!(outcome, Err(Error::CommitUnknown)), "{outcome:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 1, "an unknown outcome is never retried blind");
    db.transact(|tx| Box::pin(insert(tx, 14))).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_migrate_once() -> TestResult {
    let url = poa_testkit::fresh_database("storage").await;
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let config = DatabaseConfig::new(url.clone()).with_max_connections(1);
        replicas.spawn(async move { Database::connect(&config, &migrator()).await });
    }
    while let Some(replica) = replicas.join_next().await {
        replica??.ping().await?;
    }
    Ok(())
}

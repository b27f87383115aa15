//! A connection that stays open and says nothing: a black hole, a paused server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use poa_storage::idempotency::{self, Keep, Key};
use poa_storage::{DatabaseConfig, Error};
use uuid::Uuid;

use crate::support::{TestResult, count, env, impatient_database_behind_proxy, insert, migrator};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_connection_that_is_silent_before_commit_is_left_and_the_work_runs_again() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(2).await;
    // BEGIN comes before the closure is run, the INSERT within it.
    for (place, word, expected) in [(1, "INSERT INTO notes", 2), (2, "BEGIN", 1)] {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = runs.clone();
        proxy.go_silent_at(word);
        let written = db.transact(move |tx| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(insert(tx, i64::from(place)))
        });
        tokio::time::timeout(SOON, written).await??;
        assert_eq!(runs.load(Ordering::SeqCst), expected, "{word}");
        assert_eq!((proxy.struck(), count(&db).await), (place, i64::from(place)));
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_stays_silent_is_unavailable_and_nothing_was_applied() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(2).await;
    let (shared, runs) = (Arc::new(proxy), Arc::new(AtomicU32::new(0)));
    let (proxy, counted) = (shared.clone(), runs.clone());
    let written = db.transact(move |tx| {
        counted.fetch_add(1, Ordering::SeqCst);
        proxy.go_silent_at("INSERT INTO notes");
        Box::pin(insert(tx, 1))
    });
    let outcome = tokio::time::timeout(SOON, written).await?;
    assert!(
        matches!(&outcome, Err(error @ Error::Unavailable(_)) if error.certainly_not_applied()),
        "{outcome:?}"
    );
    assert_eq!((runs.load(Ordering::SeqCst), shared.struck(), count(&db).await), (2, 2, 0));
    Ok(())
}

#[tokio::test]
async fn silence_at_commit_is_an_unknown_outcome() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(2).await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    proxy.go_silent_at("COMMIT");
    let written = db.transact(move |tx| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(insert(tx, 1))
    });
    let outcome = tokio::time::timeout(SOON, written).await?;
    assert!(matches!(outcome, Err(Error::CommitUnknown)), "{outcome:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 1, "an unknown outcome is never retried blind");
    db.transact(|tx| Box::pin(insert(tx, 2))).await?;
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_still_locked_by_the_silent_transaction_leaves_its_outcome_unknown() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(2).await;
    let key = Key {
        principal: Uuid::from_u128(1),
        method: "poa.test.v1.TestService/Write",
        request_id: Uuid::nil(),
    };
    let now = env().now();
    proxy.go_silent_at("COMMIT");
    let written = db.transact_idempotent(key, move |key, tx| {
        Box::pin(async move {
            idempotency::begin(tx, *key, [1; 32], now).await?;
            idempotency::record(tx, *key, b"answer", Keep::SevenDays).await
        })
    });
    // The server never heard the COMMIT, so the second run waits for a lock of the first, and not for ever.
    let outcome = tokio::time::timeout(SOON, written).await?;
    assert!(matches!(outcome, Err(Error::CommitUnknown)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn work_that_may_take_longer_is_given_its_time() -> TestResult {
    let (db, _proxy) = impatient_database_behind_proxy(2).await;
    db.transact_within(SOON, |tx| {
        Box::pin(async move {
            sqlx::raw_sql("SET LOCAL statement_timeout = '19s'").execute(tx.conn()).await?;
            sqlx::raw_sql("SELECT pg_sleep(4.5)").execute(tx.conn()).await?;
            insert(tx, 1).await
        })
    })
    .await?;
    assert_eq!(count(&db).await, 1);
    Ok(())
}

#[tokio::test]
async fn a_read_of_a_silent_connection_ends_and_the_next_one_is_answered() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(1).await;
    proxy.go_silent_at("SELECT text");
    let read = sqlx::query("SELECT text FROM notes").fetch_all(db.read());
    let outcome = tokio::time::timeout(SOON, read).await?.map_err(Error::from);
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert_eq!((proxy.struck(), count(&db).await), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_read_that_is_given_up_ends_at_the_server_too() -> TestResult {
    let url = poa_testkit::fresh_database("storage").await;
    let config = DatabaseConfig {
        statement_timeout_ms: 120_000,
        read_timeout_ms: 500,
        ..DatabaseConfig::new(url).with_max_connections(2)
    };
    let db = poa_storage::Database::connect(&config, &migrator()).await?;
    let read = sqlx::query("SELECT pg_sleep(100)").execute(db.read());
    let outcome = tokio::time::timeout(SOON, read).await?.map_err(Error::from);
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    poa_testkit::eventually(SOON, "the server has ended it", async || {
        let running = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'",
        );
        running.fetch_one(db.read()).await.is_ok_and(|running| running == 0)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn callers_who_leave_a_silent_connection_do_not_cost_the_pool_its_place() -> TestResult {
    let (db, proxy) = impatient_database_behind_proxy(1).await;
    for turn in 1..=2 {
        proxy.go_silent_at("SELECT text");
        let read = sqlx::query("SELECT text FROM notes").fetch_all(db.read());
        assert!(tokio::time::timeout(Duration::from_millis(100), read).await.is_err(), "it was answered");
        let next = tokio::time::timeout(SOON, db.ping()).await?;
        assert!(next.is_ok(), "{next:?}");
        assert_eq!(proxy.struck(), turn);
    }
    Ok(())
}

#[tokio::test]
async fn while_all_is_silent_every_caller_hears_so_in_time_and_afterwards_all_is_well() -> TestResult {
    let cluster = poa_testkit::postgres().await;
    let url = cluster.fresh_database("storage").await;
    let (_, name) = url.split_once(":///").ok_or("a URL")?;
    let name = name.split('?').next().ok_or("a name")?;
    let proxy = poa_testkit::FaultProxy::to_unix(cluster.socket()).await;
    let config = DatabaseConfig {
        read_timeout_ms: 1_000,
        acquire_timeout_ms: 2_000,
        ..DatabaseConfig::new(format!("postgres://poa@{}/{name}?sslmode=disable", proxy.address()))
    };
    let db = poa_storage::Database::connect(&config, &migrator()).await?;
    proxy.pause(poa_testkit::Direction::Both);
    for _ in 0..2 {
        let reads = (0..12).map(|_| tokio::time::timeout(SOON, db.ping()));
        for outcome in futures_util::future::join_all(reads).await {
            let outcome = outcome?;
            assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
        }
    }
    proxy.resume();
    db.ping().await?;
    db.transact(|tx| Box::pin(insert(tx, 1))).await?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_without_a_limit_on_statements_is_refused() {
    for config in [
        DatabaseConfig { statement_timeout_ms: 0, ..DatabaseConfig::new("postgres:///storage") },
        DatabaseConfig { read_timeout_ms: 0, ..DatabaseConfig::new("postgres:///storage") },
    ] {
        let refused = poa_storage::Database::connect(&config, &migrator()).await;
        assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");
    }
}

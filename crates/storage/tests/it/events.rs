//! The event stream: dense, ordered, nothing skipped.

use std::collections::HashMap;
use std::time::Duration;

use poa_common::Env;
use poa_storage::events::{self, Events, EventsOptions, NewEvent};
use poa_storage::{Database, DatabaseConfig, Error, cursor};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{TestResult, database, env, migrator};

const SOON: Duration = Duration::from_secs(20);

fn event(env: &Env, topic: &'static str, subject: u128, payload: &[u8]) -> NewEvent {
    NewEvent {
        id: env.new_id(),
        topic,
        subject: Uuid::from_u128(subject),
        kind: "happened",
        payload: payload.to_vec(),
        time: env.now(),
    }
}

async fn emit(db: &Database, event: NewEvent) -> Result<(), Error> {
    db.transact_with(event, |event, tx| Box::pin(events::append(tx, event.clone()))).await
}

fn spawn(db: &Database, listen: bool) -> (Events, CancellationToken) {
    let shutdown = CancellationToken::new();
    let (events, _worker) = Events::spawn(db, EventsOptions { listen }, shutdown.clone());
    (events, shutdown)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_and_relays_make_one_dense_stream_that_a_tail_sees_whole() -> TestResult {
    const WRITERS: u8 = 8;
    const EACH: u8 = 50;
    let (db, url) = database(4).await;
    let (events, _first) = spawn(&db, false);
    // A second replica with a relay of its own.
    let config = DatabaseConfig::new(url).with_max_connections(3);
    let replica = Database::connect(&config, &migrator()).await?;
    let (theirs, _second) = spawn(&replica, true);

    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let db = if writer % 2 == 0 { db.clone() } else { replica.clone() };
        let (env, _) = poa_testkit::env(u64::from(writer));
        writers.spawn(async move {
            for step in 0..EACH {
                let topic = if step % 2 == 0 { "even" } else { "odd" };
                emit(&db, event(&env, topic, u128::from(writer), &[step])).await?;
            }
            Ok::<_, Error>(())
        });
    }

    let expected = i64::from(WRITERS) * i64::from(EACH);
    for stream in [&events, &theirs] {
        let mut tail = stream.tail(None, 0);
        let mut seen = Vec::new();
        while tail.position() < expected {
            seen.extend(tokio::time::timeout(SOON, tail.next()).await??.events);
        }
        let positions: Vec<i64> = seen.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=expected).collect::<Vec<_>>());
        let mut steps: HashMap<Uuid, Vec<u8>> = HashMap::new();
        for event in &seen {
            steps.entry(event.subject).or_default().push(event.payload[0]);
        }
        for (subject, steps) in steps {
            assert_eq!(steps, (0..EACH).collect::<Vec<_>>(), "order of {subject}");
        }
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }

    let mut odd = events.tail(Some("odd"), 0);
    let mut count = 0;
    while odd.position() < expected {
        let batch = tokio::time::timeout(SOON, odd.next()).await??;
        assert!(batch.events.iter().all(|event| event.topic == "odd"));
        count += batch.events.len();
    }
    assert_eq!(count, usize::from(WRITERS) * usize::from(EACH) / 2);
    Ok(())
}

#[tokio::test]
async fn a_tail_resumes_from_a_cursor_and_then_follows_what_comes() -> TestResult {
    let (db, _) = database(3).await;
    let (env, _) = poa_testkit::env(9);
    let (events, shutdown) = spawn(&db, false);
    for step in 0..3 {
        emit(&db, event(&env, "task", 1, &[step])).await?;
    }
    let mut tail = events.tail(Some("task"), 2);
    let batch = tokio::time::timeout(SOON, tail.next()).await??;
    assert_eq!((batch.events.len(), batch.position), (1, 3));
    // A dropped wait loses nothing.
    assert!(futures_util::poll!(Box::pin(tail.next())).is_pending());
    emit(&db, event(&env, "task", 1, b"later")).await?;
    let batch = tokio::time::timeout(SOON, tail.next()).await??;
    assert_eq!(batch.events[0].payload, b"later");
    assert_eq!(events::head(&db).await?, 4);
    shutdown.cancel();
    assert!(matches!(tokio::time::timeout(SOON, tail.next()).await?, Err(Error::ShuttingDown)));
    Ok(())
}

#[tokio::test]
async fn events_of_a_transaction_that_fails_are_never_published() -> TestResult {
    let (db, _) = database(3).await;
    let (events, _shutdown) = spawn(&db, false);
    let env = env();
    let lost = event(&env, "task", 1, b"lost");
    let failed = db
        .transact_with(lost, |event, tx| {
            Box::pin(async move {
                events::append(tx, event.clone()).await?;
                Err::<(), _>(Error::Busy)
            })
        })
        .await;
    assert!(failed.is_err());
    emit(&db, event(&env, "task", 1, b"kept")).await?;
    let mut tail = events.tail(None, 0);
    let batch = tokio::time::timeout(SOON, tail.next()).await??;
    assert_eq!((batch.events[0].position, batch.events[0].payload.as_slice()), (1, b"kept".as_slice()));
    Ok(())
}

#[tokio::test]
async fn a_cursor_commits_with_its_effect_or_not_at_all() -> TestResult {
    let (db, _) = database(2).await;
    let now = env().now();
    assert_eq!(cursor::load(db.read(), "task").await?, None);
    for (value, fails) in [(b"one".as_slice(), false), (b"two", true)] {
        let outcome = db
            .transact(move |tx| {
                Box::pin(async move {
                    cursor::store(tx, "task", value, now).await?;
                    if fails { Err(Error::Busy) } else { Ok(()) }
                })
            })
            .await;
        assert_eq!(outcome.is_err(), fails);
    }
    assert_eq!(cursor::load(db.read(), "task").await?.as_deref(), Some(b"one".as_slice()));
    Ok(())
}

//! Idempotency records: one effect, one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use poa_storage::idempotency::{self, Keep, Key, Outcome};
use poa_storage::{Database, Error};
use uuid::Uuid;

use crate::proxy::Proxy;
use crate::support::{TestResult, count, database, database_behind_proxy, env, insert};

const METHOD: &str = "poa.test.v1.TestService/Write";
const FINGERPRINT: [u8; 32] = [1; 32];

fn key(request: u128) -> Key {
    Key { principal: Uuid::from_u128(1), method: METHOD, request_id: Uuid::from_u128(request) }
}

async fn write(
    db: &Database,
    key: Key,
    fingerprint: [u8; 32],
    effects: Arc<AtomicU32>,
) -> Result<Vec<u8>, Error> {
    let now = env().now();
    db.transact_idempotent(effects, move |effects, tx| {
        Box::pin(async move {
            match idempotency::begin(tx, key, fingerprint, now).await? {
                Outcome::Replay(answer) => Ok(answer),
                Outcome::Fresh => {
                    let effect = effects.fetch_add(1, Ordering::SeqCst);
                    insert(tx, i64::from(effect)).await?;
                    let answer = format!("answer {effect}").into_bytes();
                    idempotency::record(tx, key, &answer, Keep::SevenDays).await?;
                    Ok(answer)
                }
            }
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_concurrent_duplicates_have_one_effect_and_one_answer() -> TestResult {
    let (db, _) = database(4).await;
    let effects = Arc::new(AtomicU32::new(0));
    let mut duplicates = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (db, effects) = (db.clone(), effects.clone());
        duplicates.spawn(async move { write(&db, key(1), FINGERPRINT, effects).await });
    }
    while let Some(answer) = duplicates.join_next().await {
        assert_eq!(answer??, b"answer 0");
    }
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    assert_eq!(count(&db).await, 1);
    assert_eq!(idempotency::find(&db, key(1)).await?.as_deref(), Some(b"answer 0".as_slice()));
    Ok(())
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_replayed_from_its_record() -> TestResult {
    let (db, proxy) = database_behind_proxy(2).await;
    let effects = Arc::new(AtomicU32::new(0));
    proxy.swallow_next_commit();
    assert_eq!(write(&db, key(1), FINGERPRINT, effects.clone()).await?, b"answer 0");
    assert_eq!(proxy.struck(), 1);
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    assert_eq!(count(&db).await, 1);
    Ok(())
}

/// Runs a transaction whose first COMMIT is not answered, and whose later runs end so.
async fn unknown_then(
    db: &Database,
    proxy: &Proxy,
    id: i64,
    then: impl Fn() -> Error + Send + Sync + 'static,
) -> Result<(), Error> {
    proxy.swallow_next_commit();
    db.transact_idempotent((AtomicU32::new(0), then), move |(runs, then), tx| {
        Box::pin(async move {
            if runs.fetch_add(1, Ordering::SeqCst) == 0 { insert(tx, id).await } else { Err(then()) }
        })
    })
    .await
}

#[tokio::test]
async fn after_an_unknown_commit_a_failure_to_find_out_stays_unknown() {
    let (db, proxy) = database_behind_proxy(2).await;
    let failures: [fn() -> Error; 6] = [
        || Error::Busy,
        || Error::ShuttingDown,
        || Error::from(sqlx::Error::PoolTimedOut),
        || Error::Serialization(Arc::new(std::fmt::Error)),
        || Error::other("a bug"),
        || panic!("a bug"),
    ];
    for (id, then) in (0..).zip(failures) {
        let outcome = unknown_then(&db, &proxy, id, then).await;
        assert!(matches!(outcome, Err(Error::CommitUnknown)), "{id}: {outcome:?}");
    }
    assert_eq!(count(&db).await, 6, "each was applied by its first run");
}

#[tokio::test]
async fn after_an_unknown_commit_the_guards_own_answer_passes() {
    let (db, proxy) = database_behind_proxy(2).await;
    let reused = unknown_then(&db, &proxy, 1, || Error::RequestIdReused).await;
    assert!(matches!(reused, Err(Error::RequestIdReused)), "{reused:?}");
    let violated = || Error::Constraint { name: "notes_pkey".to_owned(), source: Arc::new(std::fmt::Error) };
    let taken = unknown_then(&db, &proxy, 2, violated).await;
    assert_eq!(taken.unwrap_err().constraint(), Some("notes_pkey"));
}

#[tokio::test]
async fn a_request_id_used_for_another_payload_is_refused() -> TestResult {
    let (db, _) = database(2).await;
    let effects = Arc::new(AtomicU32::new(0));
    write(&db, key(1), FINGERPRINT, effects.clone()).await?;
    let reused = write(&db, key(1), [2; 32], effects.clone()).await;
    assert!(matches!(reused, Err(Error::RequestIdReused)));
    // Another principal's request of the same id is another request.
    let other = Key { principal: Uuid::from_u128(2), ..key(1) };
    assert_eq!(write(&db, other, [2; 32], effects).await?, b"answer 1");
    Ok(())
}

#[tokio::test]
async fn a_request_that_failed_may_be_tried_again_under_its_id() -> TestResult {
    let (db, _) = database(2).await;
    let now = env().now();
    let failed = db
        .transact(move |tx| {
            Box::pin(async move {
                idempotency::begin(tx, key(1), FINGERPRINT, now).await?;
                Err::<(), _>(Error::Busy)
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(write(&db, key(1), FINGERPRINT, Arc::default()).await?, b"answer 0");
    Ok(())
}

#[tokio::test]
async fn the_sweep_takes_what_is_old_and_keeps_money() -> TestResult {
    let (db, _) = database(2).await;
    let now = env().now();
    for (request, keep) in [(1, Keep::SevenDays), (2, Keep::Forever), (3, Keep::SevenDays)] {
        db.transact(move |tx| {
            Box::pin(async move {
                idempotency::begin(tx, key(request), FINGERPRINT, now).await?;
                idempotency::record(tx, key(request), b"answer", keep).await
            })
        })
        .await?;
    }
    assert_eq!(idempotency::sweep(&db, now + idempotency::RETENTION, 10).await?, 0);
    let later = now + idempotency::RETENTION + Duration::from_secs(1);
    assert_eq!(idempotency::sweep(&db, later, 1).await?, 1);
    assert_eq!(idempotency::sweep(&db, later, 10).await?, 1);
    assert!(idempotency::find(&db, key(2)).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn an_answer_above_the_limit_is_refused() {
    let (db, _) = database(2).await;
    let now = env().now();
    let outcome = db
        .transact(move |tx| {
            Box::pin(async move {
                idempotency::begin(tx, key(1), FINGERPRINT, now).await?;
                let answer = vec![0; idempotency::MAX_RESPONSE_BYTES + 1];
                idempotency::record(tx, key(1), &answer, Keep::SevenDays).await
            })
        })
        .await;
    assert!(matches!(outcome, Err(Error::Corrupt(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_known_answer_is_carried_out_once_however_often_it_is_forgotten() -> TestResult {
    const CALLERS: u32 = 8;
    const ROUNDS: u32 = 40;
    let (db, _) = database(4).await;
    let now = env().now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let db = db.clone();
        callers.spawn(async move {
            let mut fresh = 0_u32;
            for _ in 0..ROUNDS {
                let begun = db
                    .transact(move |tx| {
                        let answer = (b"answer".as_slice(), Keep::SevenDays);
                        Box::pin(idempotency::begin_with(tx, key(1), FINGERPRINT, answer, now))
                    })
                    .await;
                match begun {
                    Ok(Outcome::Fresh) => {
                        fresh += 1;
                        db.transact(move |tx| Box::pin(idempotency::forget(tx, key(1)))).await?;
                    }
                    Ok(Outcome::Replay(answer)) => assert_eq!(answer, b"answer"),
                    Err(Error::Busy) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, Error>(fresh)
        });
    }
    let mut fresh = 0;
    while let Some(ended) = callers.join_next().await {
        fresh += ended??;
    }
    assert!(fresh > CALLERS, "{fresh} were fresh");
    let other = db
        .transact(move |tx| {
            Box::pin(async move {
                let answer = (b"answer".as_slice(), Keep::SevenDays);
                assert_eq!(
                    idempotency::begin_with(tx, key(2), FINGERPRINT, answer, now).await?,
                    Outcome::Fresh
                );
                idempotency::begin_with(tx, key(2), [2; 32], answer, now).await
            })
        })
        .await;
    assert!(matches!(other, Err(Error::RequestIdReused)), "{other:?}");
    Ok(())
}

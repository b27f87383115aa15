//! The private cluster.

use std::os::unix::fs::PermissionsExt;

use poa_storage::embedded::{EmbeddedError, EmbeddedPostgres, Options};
use sqlx::{Connection, PgConnection};

use crate::support::TestResult;

fn options(folder: &tempfile::TempDir) -> Options {
    // A temporary folder is closed to all but its owner; PostgreSQL may run as another user.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    Options { data_dir: folder.path().join("pg"), durable: false, bin_dir: None }
}

#[tokio::test]
async fn a_cluster_starts_is_joined_by_others_stops_with_the_last_and_keeps_its_data() -> TestResult {
    let folder = tempfile::tempdir()?;
    let options = options(&folder);
    let (first, second) =
        tokio::join!(EmbeddedPostgres::start(options.clone()), EmbeddedPostgres::start(options.clone()));
    let (first, second) = (first?, second?);
    assert!(first.joined() != second.joined(), "one starts it, the other joins");

    let (one, two) = tokio::join!(first.ensure_database("task"), second.ensure_database("task"));
    one?;
    two?;
    for bad in ["Task", "1task", "task-1", "task\"; DROP", ""] {
        assert!(matches!(first.ensure_database(bad).await, Err(EmbeddedError::Name(_))), "{bad}");
    }
    let url = second.url_for("task");
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("CREATE TABLE kept (id int)").execute(&mut connection).await?;
    let lower: String = sqlx::query_scalar("SELECT lower('Ü')").fetch_one(&mut connection).await?;
    assert_eq!(lower, "ü");

    first.stop().await?;
    sqlx::raw_sql("SELECT 1").execute(&mut connection).await?;
    second.stop().await?;
    assert!(PgConnection::connect(&url).await.is_err(), "the last one out stops it");

    let again = EmbeddedPostgres::start(options).await?;
    assert!(!again.joined());
    let mut connection = PgConnection::connect(&again.url_for("task")).await?;
    sqlx::raw_sql("SELECT id FROM kept").execute(&mut connection).await?;
    again.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_was_killed_is_started_again_with_its_data() -> TestResult {
    let folder = tempfile::tempdir()?;
    let options = options(&folder);
    let first = EmbeddedPostgres::start(options.clone()).await?;
    first.ensure_database("task").await?;
    let status = std::fs::read_to_string(options.data_dir.join("cluster/postmaster.pid"))?;
    let pid = status.lines().next().unwrap_or_default();
    assert!(std::process::Command::new("kill").args(["-KILL", pid]).status()?.success());
    // The status file still says ready, and the socket's file is still there.
    let again = EmbeddedPostgres::start(options).await?;
    PgConnection::connect(&again.url_for("task")).await?.close().await?;
    drop(first);
    again.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_cluster_of_another_major_version_is_named_with_both() -> TestResult {
    let folder = tempfile::tempdir()?;
    let options = options(&folder);
    std::fs::create_dir_all(options.data_dir.join("cluster"))?;
    std::fs::write(options.data_dir.join("cluster/PG_VERSION"), "9\n")?;
    let error = EmbeddedPostgres::start(options).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::OtherMajorVersion { made_by: 9, .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn missing_binaries_say_what_to_install() -> TestResult {
    let folder = tempfile::tempdir()?;
    let options = Options { bin_dir: Some("/nowhere".into()), ..options(&folder) };
    let error = EmbeddedPostgres::start(options).await.unwrap_err();
    assert!(error.to_string().contains("apt-get install postgresql"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let options = Options { data_dir: folder.path().join("x".repeat(100)), ..options(&folder) };
    assert!(matches!(EmbeddedPostgres::start(options).await, Err(EmbeddedError::PathTooLong { .. })));
    Ok(())
}

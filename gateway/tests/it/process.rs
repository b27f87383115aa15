//! The gateway's program.

use std::time::Duration;

use poa_chassis::{keyring, system_env};
use tokio::process::Command;

/// How long it may take to end. The machine does other work, too.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_failpoint_that_it_does_not_have_keeps_it_from_starting() {
    let keys = tempfile::tempdir().expect("a folder");
    keyring::provision(keys.path(), &["gateway"], &system_env()).expect("keys");
    let gateway = Command::new(env!("CARGO_BIN_EXE_poa-gateway"))
        .env("POA__SERVER__KEYS_DIR", keys.path())
        .env("POA__SERVER__LISTEN", "127.0.0.1:0")
        .env("POA__SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .env("POA_FAILPOINTS", "gateway.nowhere=kill")
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, gateway).await.expect("it serves").expect("it starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("gateway.nowhere"), "{}: {said}", ended.status);
}

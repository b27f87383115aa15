//! The program as a script meets it: exit codes, output forms, files.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::path::Path;
use std::process::{Command, Output};

/// Port 1 of this machine: nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

fn poa(home: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poa"))
        .args(words)
        .env_clear()
        .env("POA_HOME", home)
        .env("POA_ENDPOINT", NOBODY)
        .output()
        .unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_lists_the_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    let output = poa(home.path(), &["--help"]);
    assert_eq!(code(&output), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Exit codes:") && text.contains("7  a receipt"), "{text}");
}

#[test]
fn a_malformed_command_line_exits_with_2() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(code(&poa(home.path(), &["hire"])), Some(2));
    assert_eq!(code(&poa(home.path(), &["deposit", "lots"])), Some(2));
    assert_eq!(code(&poa(home.path(), &["--profile", "../x", "whoami"])), Some(2));
}

#[test]
fn whoever_is_not_signed_in_exits_with_3_and_is_told_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let output = poa(home.path(), &["balance"]);
    assert_eq!(code(&output), Some(3));
    assert!(stderr(&output).contains("poa login"), "{}", stderr(&output));
}

#[test]
fn a_server_that_is_not_there_exits_with_6() {
    let home = tempfile::tempdir().unwrap();
    let output = poa(home.path(), &["info"]);
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be reached"), "{}", stderr(&output));
}

#[test]
fn a_receipt_without_a_trust_root_exits_with_7() {
    let home = tempfile::tempdir().unwrap();
    let receipt = home.path().join("receipt.json");
    std::fs::write(&receipt, "{}").unwrap();
    let output = poa(home.path(), &["verify", receipt.to_str().unwrap()]);
    assert_eq!(code(&output), Some(7));
    assert!(stderr(&output).contains("no trust root"), "{}", stderr(&output));
}

#[test]
fn an_error_is_json_for_scripts() {
    let home = tempfile::tempdir().unwrap();
    let output = poa(home.path(), &["--json", "whoami"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["exit"], 3);
    assert_eq!(error["error"]["message"], "not signed in");
}

#[test]
fn the_server_is_met_before_a_password_is_typed() {
    let home = tempfile::tempdir().unwrap();
    let output = poa(home.path(), &["login", "alice"]);
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
}

#[test]
fn no_secret_is_asked_for_or_sent_in_clear_to_another_machine() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "correct horse battery").unwrap();
    let secret = secret.to_str().unwrap();
    // An address of documentation, where nobody answers: what goes out fails in another way.
    let (away, admin) = ("http://192.0.2.1:3000", "http://192.0.2.1:9100");
    for words in [
        &["--endpoint", away, "login", "alice"][..],
        &["--endpoint", away, "login", "alice", "--password-file", secret],
        &["--endpoint", away, "register", "alice", "--password-file", secret],
        &["--endpoint", away, "--api-key-file", secret, "balance"],
        &["admin", "audit", "--admin-endpoint", admin, "--token-file", secret],
    ] {
        let output = poa(home.path(), words);
        assert_eq!(code(&output), Some(2), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("--insecure"), "{words:?}: {}", stderr(&output));
    }
    // With the flag it goes out, to a port of this machine where nobody listens.
    let output = poa(home.path(), &["--insecure", "--endpoint", "http://0.0.0.0:1", "login", "alice"]);
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
}

#[test]
fn a_key_is_made_once_and_is_the_owners_alone() {
    let home = tempfile::tempdir().unwrap();
    let output = poa(home.path(), &["--json", "agent", "keygen"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(made["did"].as_str().unwrap().starts_with("did:key:z6Mk"));
    let file = home.path().join("default/agent.pem");
    assert_eq!(made["file"], file.to_str().unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let pem = std::fs::read(&file).unwrap();
    let again = poa(home.path(), &["agent", "keygen"]);
    assert_eq!(code(&again), Some(1));
    assert_eq!(std::fs::read(&file).unwrap(), pem, "the first key is still there");
}

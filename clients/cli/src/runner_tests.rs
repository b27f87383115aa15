//! Tests of the runner, with real processes.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::*;

/// Longer than any of these commands takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn sh(script: &str) -> CommandSpec {
    CommandSpec {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        timeout: PATIENCE,
        max_output_bytes: 1_000,
        environment: environment(std::env::vars_os(), &[]),
    }
}

async fn run_sh(spec: &CommandSpec, input: &[u8]) -> Result<String, String> {
    let output = run(spec, &[], input.to_vec(), &CancellationToken::new(), |_| {}).await;
    output.map(|output| String::from_utf8(output).unwrap()).map_err(|refusal| refusal.reason)
}

/// Waits until a process is gone, which a test cannot be told of otherwise.
async fn gone(pid: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A zombie that init has not reaped yet runs no more either.
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
        match stat {
            Err(_) => return true,
            Ok(stat) if stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')) => {
                return true;
            }
            Ok(_) if Instant::now() > deadline => return false,
            Ok(_) => tokio::time::sleep(STOP_POLL).await,
        }
    }
}

async fn written(path: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            Ok(_) | Err(_) => assert!(Instant::now() < deadline, "{} was not written", path.display()),
        }
        tokio::time::sleep(STOP_POLL).await;
    }
}

#[tokio::test]
async fn input_goes_in_and_output_comes_out() {
    let spec = CommandSpec { program: "wc".into(), args: vec!["-w".into()], ..sh("") };
    assert_eq!(run_sh(&spec, b"one two three\n").await.unwrap().trim(), "3");
}

#[tokio::test]
async fn a_large_input_that_nobody_reads_does_not_hang() {
    assert_eq!(run_sh(&sh("echo done"), &vec![b'x'; 1 << 20]).await, Ok("done\n".to_owned()));
}

#[tokio::test]
async fn input_and_output_of_any_size_flow_at_once() {
    let spec = CommandSpec { max_output_bytes: 1 << 20, program: "cat".into(), args: Vec::new(), ..sh("") };
    assert_eq!(run_sh(&spec, &vec![b'x'; 1 << 20]).await.unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_failure_gives_the_last_line_of_standard_error() {
    let reason =
        run_sh(&sh("echo first >&2; echo 'no such model' >&2; echo >&2; exit 3"), b"").await.unwrap_err();
    assert_eq!(reason, "sh failed (exit code 3): no such model");
    assert_eq!(run_sh(&sh("exit 4"), b"").await.unwrap_err(), "sh failed: exit code 4");
    assert_eq!(run_sh(&sh("kill -9 $$"), b"").await.unwrap_err(), "sh failed: killed by a signal");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_a_reason_too() {
    let spec = CommandSpec { program: "/no/such/command".into(), ..sh("") };
    assert!(run_sh(&spec, b"").await.unwrap_err().starts_with("/no/such/command cannot be started"));
}

#[tokio::test]
async fn standard_error_is_shown_line_by_line() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let on_line = move |line: &str| kept.lock().unwrap().push(line.to_owned());
    let spec = sh("printf 'a\\nb\\033[2J' >&2");
    run(&spec, &[], Vec::new(), &CancellationToken::new(), on_line).await.unwrap();
    assert_eq!(*lines.lock().unwrap(), ["a", "b\u{fffd}[2J"]);
}

#[tokio::test]
async fn more_output_than_allowed_is_no_result_and_ends_the_command() {
    let started = Instant::now();
    let reason = run_sh(&sh("yes"), b"").await.unwrap_err();
    assert_eq!(reason, "sh wrote more than 1000 bytes");
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_timeout_kills_the_whole_process_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!("trap '' TERM; sleep 600 & echo $$ $! > {}; wait; sleep 600", file.display());
    let spec = CommandSpec { timeout: Duration::from_millis(500), ..sh(&script) };
    let reason = run_sh(&spec, b"").await.unwrap_err();
    assert_eq!(reason, "sh ran for longer than 0.5 s");
    for pid in written(&file).await.split_whitespace() {
        assert!(gone(pid).await, "{pid} still runs");
    }
}

#[tokio::test]
async fn a_cancelled_command_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let spec = sh(&format!("echo $$ > {}; sleep 600", file.display()));
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let running = tokio::spawn(async move { run(&spec, &[], Vec::new(), &token, |_| {}).await });
    let pid = written(&file).await;
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err().reason, "sh was stopped");
    assert!(gone(&pid).await);
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let spec = sh(&format!("sleep 600 & echo $$ $! > {}; wait", file.display()));
    let running =
        tokio::spawn(async move { run(&spec, &[], Vec::new(), &CancellationToken::new(), |_| {}).await });
    let pids = written(&file).await;
    running.abort();
    for pid in pids.split_whitespace() {
        assert!(gone(pid).await, "{pid} still runs");
    }
}

#[tokio::test]
async fn a_command_sees_no_secret_of_the_environment() {
    let all = [("PATH", "/usr/bin:/bin"), ("POA_API_KEY_FILE", "k"), ("TOKEN", "secret"), ("MODEL", "m")];
    let all = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let spec = CommandSpec { environment: environment(all, &["MODEL".to_owned()]), ..sh("env") };
    let variables = [("POA_TASK_ID", "task_1")];
    let output = run(&spec, &variables, Vec::new(), &CancellationToken::new(), |_| {}).await.unwrap();
    let text = String::from_utf8(output).unwrap();
    // The shell adds some of its own.
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|name| !matches!(*name, "PWD" | "SHLVL" | "_" | "OLDPWD"));
    names.sort_unstable();
    assert_eq!(names, ["MODEL", "PATH", "POA_TASK_ID"]);
}

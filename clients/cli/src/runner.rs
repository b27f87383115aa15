//! Runs an agent's command on one task: input on its standard input, result on its standard output.
//!
//! The command gets a process group of its own, so that a terminal's Ctrl-C does not reach it and a timeout ends all of
//! it. It sees the few environment variables that programs need, the task's, and those that were named: nothing
//! of this program's secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use poa_sdk::worker::Refusal;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// What every command sees of the environment.
const BASE_ENVIRONMENT: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TERM"];
/// How long a command that was told to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How often a stopping command is looked at.
const STOP_POLL: Duration = Duration::from_millis(20);
/// Bytes of one line of standard error that are shown and kept.
const MAX_LINE_BYTES: usize = 1_000;
/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// What is run for each task.
#[derive(Clone, Debug)]
pub(crate) struct CommandSpec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    /// After this the whole process group is killed.
    pub(crate) timeout: Duration,
    /// More output than this is no result.
    pub(crate) max_output_bytes: usize,
    /// What the command sees: names and values.
    pub(crate) environment: BTreeMap<OsString, OsString>,
}

/// Why a command gave no result.
enum Stopped {
    TooMuchOutput,
    TimedOut,
    Canceled,
    Failed(std::io::Error),
}

/// What is shown of a command's standard error, and its last line.
struct Log<F> {
    on_line: F,
    last: Mutex<String>,
}

/// The process group of a running command. Dropped while it runs, it is killed.
struct Group {
    leader: Option<Pid>,
}

/// The environment of a command: the base and what is named, out of `all`.
pub(crate) fn environment(
    all: impl IntoIterator<Item = (OsString, OsString)>,
    passed: &[String],
) -> BTreeMap<OsString, OsString> {
    let wanted = |name: &OsString| {
        BASE_ENVIRONMENT.iter().any(|base| name == base)
            || passed.iter().any(|passed| name == passed.as_str())
    };
    all.into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// Runs the command. `variables` are the task's; each line of standard error goes to `on_line`.
pub(crate) async fn run(
    spec: &CommandSpec,
    variables: &[(&str, &str)],
    input: Vec<u8>,
    cancel: &CancellationToken,
    on_line: impl Fn(&str) + Send + Sync,
) -> Result<Vec<u8>, Refusal> {
    let mut child = spawn(spec, variables)?;
    let mut group = Group::of(&child);
    let log = Log { on_line, last: Mutex::default() };
    let outcome = tokio::select! {
        finished = finish(&mut child, input, spec.max_output_bytes, &log) => finished,
        () = tokio::time::sleep(spec.timeout) => Err(Stopped::TimedOut),
        () = cancel.cancelled() => Err(Stopped::Canceled),
    };
    let name = spec.program.to_string_lossy();
    match outcome {
        Ok((output, status)) => {
            group.disarm();
            if status.success() { Ok(output) } else { Err(Refusal::new(failure(&name, status, &log.last()))) }
        }
        Err(stopped) => {
            group.stop(&mut child).await;
            Err(Refusal::new(match stopped {
                Stopped::TooMuchOutput => format!("{name} wrote more than {} bytes", spec.max_output_bytes),
                Stopped::TimedOut => format!("{name} ran for longer than {} s", spec.timeout.as_secs_f64()),
                Stopped::Canceled => format!("{name} was stopped"),
                Stopped::Failed(error) => format!("{name} cannot be talked to: {error}"),
            }))
        }
    }
}

fn spawn(spec: &CommandSpec, variables: &[(&str, &str)]) -> Result<Child, Refusal> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(&spec.environment)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let refuse =
        |error| Refusal::new(format!("{} cannot be started: {error}", spec.program.to_string_lossy()));
    command.spawn().map_err(refuse)
}

/// Feeds the input, collects the output, shows the log, and waits for the end.
async fn finish<F: Fn(&str) + Send + Sync>(
    child: &mut Child,
    input: Vec<u8>,
    max_output_bytes: usize,
    log: &Log<F>,
) -> Result<(Vec<u8>, ExitStatus), Stopped> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command may end without having read all of its input.
            let _ = stdin.write_all(&input).await;
        }
        Ok(())
    };
    let collect = async {
        match stdout {
            Some(stdout) => collect(stdout, max_output_bytes).await,
            None => Ok(Vec::new()),
        }
    };
    let show = async {
        match stderr {
            Some(stderr) => log.show(stderr).await.map_err(Stopped::Failed),
            None => Ok(()),
        }
    };
    let ((), output, ()) = tokio::try_join!(feed, collect, show)?;
    let status = child.wait().await.map_err(Stopped::Failed)?;
    Ok((output, status))
}

async fn collect(mut stdout: impl AsyncRead + Unpin, max_bytes: usize) -> Result<Vec<u8>, Stopped> {
    let mut output = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = stdout.read(&mut chunk).await.map_err(Stopped::Failed)?;
        if count == 0 {
            return Ok(output);
        }
        output.extend_from_slice(&chunk[..count]);
        if output.len() > max_bytes {
            return Err(Stopped::TooMuchOutput);
        }
    }
}

/// Why the claim is given back: the last words of the command, and how it ended.
fn failure(name: &str, status: ExitStatus, last: &str) -> String {
    let ended = match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "killed by a signal".to_owned(),
    };
    if last.is_empty() {
        format!("{name} failed: {ended}")
    } else {
        format!("{name} failed ({ended}): {last}")
    }
}

// === impl Log ===

impl<F: Fn(&str) + Send + Sync> Log<F> {
    async fn show(&self, mut stderr: impl AsyncRead + Unpin) -> std::io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut line = Vec::new();
        loop {
            let count = stderr.read(&mut chunk).await?;
            for byte in &chunk[..count] {
                if *byte == b'\n' {
                    self.line(&mut line);
                } else if line.len() < MAX_LINE_BYTES {
                    line.push(*byte);
                }
            }
            if count == 0 {
                self.line(&mut line);
                return Ok(());
            }
        }
    }

    fn line(&self, line: &mut Vec<u8>) {
        let text = crate::output::one_line(String::from_utf8_lossy(line).trim_end());
        line.clear();
        if !text.trim().is_empty() {
            (self.on_line)(&text);
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    }

    fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Group ===

impl Group {
    /// The group that the child leads.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(Pid::from_raw) }
    }

    /// The command ended by itself.
    fn disarm(&mut self) {
        self.leader = None;
    }

    /// Asks the group to stop, and kills what is left of it after a moment. The leader is reaped last, so that its id, which
    /// is the group's, belongs to nobody else meanwhile.
    async fn stop(&mut self, child: &mut Child) {
        if let Some(leader) = self.leader.take() {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(leader, Signal::TERM);
            let _ = tokio::time::timeout(GRACE, ended(leader)).await;
            let _ = kill_process_group(leader, Signal::KILL);
        }
        let _ = child.wait().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Waits until a process has ended, without reaping it.
async fn ended(leader: Pid) {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while let Ok(None) = waitid(WaitId::Pid(leader), look) {
        tokio::time::sleep(STOP_POLL).await;
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;

//! Server processes under test.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// How often a process is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A process to start.
#[derive(Debug)]
pub struct ProcessSpec {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
}

/// A running process. Killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    folder: TempDir,
}

/// The path of a program of this workspace, beside the running test.
///
/// # Panics
/// Where it was not built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/debug/deps/it-0123 -> target/debug/name
    let found = test.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: cargo build -p {name}"))
}

// === impl ProcessSpec ===

impl ProcessSpec {
    /// A program without arguments, with the variables of this process.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), variables: Vec::new() }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it, its output in a file.
    ///
    /// # Panics
    /// Where the program cannot be started.
    pub fn spawn(&self) -> Process {
        let folder = tempfile::tempdir().expect("a folder for the log");
        let log = File::create(folder.path().join("log")).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy();
        Process { child, name: name.into_owned(), folder }
    }
}

// === impl Process ===

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far, to both outputs.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Where it writes.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A folder of its own, removed with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the predicate holds.
    ///
    /// # Panics
    /// With the log, when the process ends before or the deadline passes.
    pub async fn wait_ready(&mut self, deadline: Duration, mut ready: impl AsyncFnMut(&Self) -> bool) {
        let end = Instant::now() + deadline;
        while !ready(self).await {
            if let Some(status) = self.exited() {
                panic!("{} ended with {status} before it was ready:\n{}", self.name, self.log());
            }
            assert!(Instant::now() < end, "{} is not ready within {deadline:?}:\n{}", self.name, self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// SIGKILL: no chance to clean up.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _has_ended = self.child.kill();
        let _status = self.child.wait();
    }

    /// SIGTERM, then waits for an orderly end.
    ///
    /// # Panics
    /// With the log, when it has not ended at the deadline.
    pub async fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        let _has_ended = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(Instant::now() < end, "{} did not end within {deadline:?}:\n{}", self.name, self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_process_is_awaited_by_what_it_logs_and_ends_when_asked() {
        let shell = ProcessSpec::new("/bin/sh").arg("-c").env("WORD", "ready");
        let mut process = shell.arg("trap 'exit 7' TERM; echo $WORD; while :; do sleep 0.01; done").spawn();
        process.wait_ready(SOON, async |process| process.log().contains("ready")).await;
        assert!(process.exited().is_none());
        assert_eq!(process.terminate(SOON).await.code(), Some(7));
    }

    #[tokio::test]
    async fn a_killed_process_is_gone() {
        let mut process = ProcessSpec::new("/bin/sh").arg("-c").arg("trap '' TERM; sleep 60").spawn();
        process.kill();
        assert!(process.exited().is_some_and(|status| !status.success()));
    }
}

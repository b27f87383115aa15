//! The `poa` command, as a person would type it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use poa_testkit::{Process, ProcessSpec, binary};
use serde_json::Value;
use tempfile::TempDir;

/// One person at a terminal: a home of their own, and a mesh to talk to.
#[derive(Debug)]
pub struct Poa {
    home: TempDir,
    endpoint: String,
}

/// How one command ended.
#[derive(Debug)]
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

// === impl Poa ===

impl Poa {
    /// A person without an account yet.
    ///
    /// # Panics
    /// Where there is no room for a home.
    pub fn new(endpoint: &str) -> Self {
        let home = tempfile::tempdir().expect("a home");
        std::fs::write(home.path().join("password"), "correct horse battery staple")
            .expect("a password file");
        Self { home, endpoint: endpoint.to_owned() }
    }

    /// Signs up.
    ///
    /// # Panics
    /// Where that fails.
    pub fn register(self, username: &str) -> Self {
        let password = self.path("password");
        self.ok(&["register", username, "--password-file", password.to_str().expect("a path")]);
        self
    }

    /// A path in the person's home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs a command.
    ///
    /// # Panics
    /// Where the program cannot be started.
    pub fn run(&self, words: &[&str]) -> Run {
        let output = self.command(words).output().expect("poa starts");
        Run::from(output)
    }

    /// Runs a command that must work; answers with what it printed.
    ///
    /// # Panics
    /// Where the command fails.
    pub fn ok(&self, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!(run.code, 0, "poa {}\n{}\n{}", words.join(" "), run.out, run.err);
        run.out
    }

    /// Runs a command that must work, for a script; answers with the last object that it printed.
    ///
    /// # Panics
    /// Where the command fails or prints no JSON.
    pub fn json(&self, words: &[&str]) -> Value {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let out = self.ok(&words);
        let last = out.trim().lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("poa {}: {error}\n{out}", words.join(" ")))
    }

    /// Starts a command that goes on.
    pub fn start(&self, words: &[&str]) -> Process {
        let mut spec = ProcessSpec::new(binary("poa"))
            .env("POA_HOME", self.home.path())
            .env("POA_ENDPOINT", &self.endpoint);
        for word in words {
            spec = spec.arg(word);
        }
        spec.spawn()
    }

    /// Starts an agent daemon and waits until the feed is connected.
    pub async fn agent(&self, words: &[&str]) -> Process {
        let mut agent = self.start(words);
        agent.wait_ready(Duration::from_secs(20), async |agent| agent.log().contains("ready")).await;
        agent
    }

    /// Makes an agent that counts lines, words and bytes, and puts it to work.
    ///
    /// # Panics
    /// Where a command fails, or the feed is not reached in time.
    pub async fn counter(&self) -> Process {
        self.ok(&["agent", "keygen"]);
        self.ok(&["agent", "register", "counter", "--capability", "text.count"]);
        self.agent(&["agent", "run", "--media-type", "text/plain", "--", "wc"]).await
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary("poa"));
        command
            .args(words)
            .env("POA_HOME", self.home.path())
            .env("POA_ENDPOINT", &self.endpoint)
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// The person's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

// === impl Run ===

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

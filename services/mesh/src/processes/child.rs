//! One process: started, listened to, ended.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use poa_chassis::BuildError;
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use crate::say::say;

/// util-linux's way to end a process with the one that started it, even where that one is killed.
const SETPRIV: &str = "/usr/bin/setpriv";
/// Bytes of a line that are passed on in one piece: more than a log's line has.
const MAX_LINE: u64 = 64 * 1_024;

/// What to start.
pub(super) struct Spec {
    /// The server's name.
    pub(super) server: &'static str,
    /// The replica's name, such as `auth-2`.
    pub(super) name: String,
    /// The file with its settings.
    pub(super) settings: PathBuf,
    /// Where its database is.
    pub(super) database: Option<SecretString>,
}

/// A process that was started.
pub(super) struct Child {
    name: String,
    server: &'static str,
    pid: u32,
    progress: watch::Receiver<Progress>,
    /// Whether its end was told by [`Child::next_end`].
    told: bool,
}

/// What is known of a process.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Service port and admin port.
    listens: Option<(SocketAddr, SocketAddr)>,
    serves: bool,
    ended: Option<String>,
}

// === impl Child ===

impl Child {
    /// Starts the process, in a group of its own: Ctrl-C is for us, who stop them in their order.
    pub(super) fn spawn(spec: Spec) -> Result<Self, BuildError> {
        let mut command = command(spec.server)?;
        for (variable, _) in std::env::vars_os() {
            // Ours are of another schema.
            if variable.to_string_lossy().starts_with("POA__") {
                command.env_remove(variable);
            }
        }
        command.env("POA_CONFIG", &spec.settings).env_remove("POA_DATA_DIR");
        if let Some(url) = &spec.database {
            command.env("POA__DATABASE__URL", url.expose_secret());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", spec.name))?;
        let pid = child.id().ok_or_else(|| format!("{} ended at once", spec.name))?;
        let (report, progress) = watch::channel(Progress::default());
        let pipes = (child.stdout.take(), child.stderr.take());
        let name = spec.name.clone();
        tokio::spawn(async move {
            let lines = async {
                if let (Some(out), Some(err)) = pipes {
                    tokio::join!(listen(&name, out, &report), listen(&name, err, &report));
                }
            };
            let (status, ()) = tokio::join!(child.wait(), lines);
            report.send_modify(|progress| progress.ended = Some(manner(status)));
        });
        Ok(Self { name: spec.name, server: spec.server, pid, progress, told: false })
    }

    pub(super) fn server(&self) -> &'static str {
        self.server
    }

    /// Where it serves.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.progress.borrow().listens.map(|(address, _)| address)
    }

    pub(super) fn lives(&self) -> bool {
        self.progress.borrow().ended.is_none()
    }

    /// Waits until it has said where it listens.
    pub(super) async fn listening(&mut self, patience: Duration) -> Result<(), BuildError> {
        self.within(patience, |progress| progress.listens.is_some()).await
    }

    /// Waits until it serves.
    pub(super) async fn serving(&mut self, patience: Duration) -> Result<(), BuildError> {
        self.within(patience, |progress| progress.serves).await
    }

    async fn within(
        &mut self,
        patience: Duration,
        goal: impl Fn(&Progress) -> bool,
    ) -> Result<(), BuildError> {
        let late = format!("{} is not up after {} s; see above", self.name, patience.as_secs());
        tokio::time::timeout(patience, self.reached(goal)).await.map_err(|_elapsed| late)?
    }

    async fn reached(&mut self, goal: impl Fn(&Progress) -> bool) -> Result<(), BuildError> {
        let name = &self.name;
        let progress = self
            .progress
            .wait_for(|progress| goal(progress) || progress.ended.is_some())
            .await
            .map_err(|_| format!("{name} is not watched any more"))?;
        match &progress.ended {
            Some(how) => Err(format!("{name} {how}; see above").into()),
            None => Ok(()),
        }
    }

    /// Waits for its end, once: replica, server, how.
    pub(super) async fn next_end(&mut self) -> (String, &'static str, String) {
        if !self.told
            && let Ok(progress) = self.progress.wait_for(|progress| progress.ended.is_some()).await
        {
            self.told = true;
            return (self.name.clone(), self.server, progress.ended.clone().unwrap_or_default());
        }
        std::future::pending().await
    }

    /// SIGTERM: calls in flight may finish.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end, and kills it when that takes too long.
    pub(super) async fn ended_or_killed(&mut self, patience: Duration) {
        let ended = self.progress.wait_for(|progress| progress.ended.is_some());
        if tokio::time::timeout(patience, ended).await.is_err() {
            tracing::warn!(name = self.name, "did not end in time and is killed");
            self.signal(Signal::KILL);
            let _ended = self.progress.wait_for(|progress| progress.ended.is_some()).await;
        }
    }

    fn signal(&self, signal: Signal) {
        // Once it is known to have ended, the number may be another's.
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).filter(|_| self.lives());
        if let Some(pid) = pid {
            let _has_ended_meanwhile = kill_process(pid, signal);
        }
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress.borrow();
        let Some((address, admin)) = progress.listens else { return write!(f, "{}", self.name) };
        let state = if progress.serves { "" } else { "   stands by" };
        write!(f, "{:<14} http://{address:<16} admin {admin:<16} pid {}{state}", self.name, self.pid)
    }
}

/// The server's program, beside our own.
fn command(server: &str) -> Result<Command, BuildError> {
    let program = std::env::current_exe()?.with_file_name(format!("poa-{server}"));
    if !program.is_file() {
        return Err(format!("{} is missing: run `make build`", program.display()).into());
    }
    if !std::path::Path::new(SETPRIV).is_file() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    Ok(command)
}

/// Passes its lines on under its name, and learns from them how far it is.
async fn listen(name: &str, pipe: impl AsyncRead + Unpin, report: &watch::Sender<Progress>) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    // To the end, whatever comes: who writes into a pipe that nobody reads stands still, or ends.
    while let Ok(1..) = (&mut pipe).take(MAX_LINE).read_until(b'\n', &mut bytes).await {
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\r', '\n']);
        say(format_args!("{name:<14} | {line}"));
        if let Some(listens) = addresses(line) {
            let serves = line.contains("serving");
            report.send_if_modified(|progress| {
                let news = progress.listens.is_none() || (serves && !progress.serves);
                progress.listens = Some(listens);
                progress.serves |= serves;
                news
            });
        }
        bytes.clear();
    }
}

/// The service and the admin address in the lines `starting` and `serving` of a server's log, in either format.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    if !line.contains("poa_chassis::server") {
        return None;
    }
    let after = |label: &str| -> Option<SocketAddr> {
        let value = line.split_once(label)?.1.trim_start_matches(['=', '"', ':']);
        value.split(['"', ' ', ',']).next()?.parse().ok()
    };
    // The longer name holds the shorter one.
    Some((after(" address").or_else(|| after("\"address"))?, after("admin_address")?))
}

fn manner(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("is lost: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_out_of_either_format_of_the_log() {
        let expected =
            Some((SocketAddr::from(([127, 0, 0, 1], 50_051)), SocketAddr::from(([127, 0, 0, 1], 9_101))));
        for line in [
            "2026-01-01T00:00:00Z  INFO poa_chassis::server: serving service=\"auth\" address=127.0.0.1:50051 admin_address=127.0.0.1:9101",
            r#"{"level":"INFO","message":"starting","service":"auth","address":"127.0.0.1:50051","admin_address":"127.0.0.1:9101","target":"poa_chassis::server"}"#,
        ] {
            assert_eq!(addresses(line), expected, "{line}");
        }
        assert_eq!(addresses("address=127.0.0.1:1 admin_address=127.0.0.1:2"), None, "somebody else's line");
        assert_eq!(addresses("poa_chassis::server: draining"), None);
    }

    #[tokio::test]
    async fn what_is_no_text_and_what_has_no_end_is_passed_over() {
        let (report, progress) = watch::channel(Progress::default());
        let serving = b"poa_chassis::server: serving address=127.0.0.1:1 admin_address=127.0.0.1:2";
        let endless = vec![b'x'; 2 * 64 * 1_024];
        let said = [b"\xff\xfe\n".as_slice(), &endless, b"\n", serving].concat();
        listen("test", said.as_slice(), &report).await;
        assert!(progress.borrow().serves);
    }
}

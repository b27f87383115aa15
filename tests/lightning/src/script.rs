//! ops/lightning/network.sh: what begins the network, ends it, and strikes it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A network that lasts as long as this process: the script ends it when the pipe to it closes, which the system does for
/// every way a process can end.
#[derive(Debug)]
pub(crate) struct Held {
    _child: Child,
}

/// Begins a network in a new folder, after ending those of test processes that are gone.
///
/// # Panics
/// Where it does not come up; the script has said why on standard error.
pub(crate) fn hold() -> (PathBuf, Held) {
    let networks = std::env::temp_dir().join(format!("poa-lightning-{}", our_uid()));
    end_abandoned(&networks);
    let folder = networks.join(std::process::id().to_string());
    let mut child = command("hold", &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash runs ops/lightning/network.sh");
    let output = child.stdout.take().expect("its output is a pipe");
    let mut said = String::new();
    BufReader::new(output).read_line(&mut said).expect("its output is text");
    assert_eq!(said.trim(), "up", "the network did not come up: the reason is above");
    (folder, Held { _child: child })
}

/// Runs a command of the script on a network, and returns what it prints.
///
/// # Panics
/// Where it fails, with what it said.
pub(crate) async fn run<A: AsRef<OsStr>>(verb: &str, folder: &Path, arguments: &[A]) -> String {
    let mut command = tokio::process::Command::from(command(verb, folder));
    let output = command.args(arguments).stdin(Stdio::null()).output().await.expect("bash runs network.sh");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "network.sh {verb}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn command(verb: &str, folder: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/lightning/network.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(verb).arg(folder);
    command
}

fn end_abandoned(networks: &Path) {
    let processes = Path::new("/proc");
    if !processes.join("self").exists() {
        return;
    }
    for entry in std::fs::read_dir(networks).into_iter().flatten().flatten() {
        if !processes.join(entry.file_name()).exists() {
            let _said_why_not = command("down", &entry.path()).status();
        }
    }
}

/// Folders in a shared place carry it, so that two users do not meet.
fn our_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").map_or(0, |process| process.uid())
}

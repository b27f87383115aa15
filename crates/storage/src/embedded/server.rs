//! The server process: initdb, start, readiness, stop.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::binaries::Binaries;
use super::user::User;
use super::{EmbeddedError, Layout, PORT, ROLE, io_error};

/// Crash recovery of a small cluster takes seconds; a machine under load takes its time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// After a kill the old server's children hold its memory for a moment, and a new one refuses to start.
const START_ATTEMPTS: u32 = 5;
/// Between two of them.
const START_PAUSE: Duration = Duration::from_millis(300);
/// How often the server's status file is read meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The last part of the log that an error quotes, in bytes.
const QUOTED_LOG: usize = 2_000;
/// Line of `postmaster.pid` with the server's status, counted from 0 (`LOCK_FILE_LINE_PM_STATUS`).
const STATUS_LINE: usize = 7;

/// Settings of every cluster: a socket, no port, UTC.
const SETTINGS: [&str; 4] =
    ["listen_addresses=", "unix_socket_permissions=0700", "timezone=UTC", "log_timezone=UTC"];
/// Settings of a throw-away cluster: nothing survives a crash of the machine, many tests connect.
const THROW_AWAY: [&str; 5] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "max_connections=300",
    "shared_buffers=64MB",
];

/// Makes sure that the server runs; answers whether it ran already. The caller holds the start lock.
pub(super) fn ensure(
    layout: &Layout,
    binaries: &Binaries,
    user: Option<&User>,
    durable: bool,
) -> Result<bool, EmbeddedError> {
    if !layout.cluster.join("PG_VERSION").is_file() {
        make(layout, binaries, user, durable)?;
    }
    if is_running(layout)? {
        return Ok(true);
    }
    own_folder(&layout.run, user)?;
    let mut attempt = 1;
    loop {
        match start(layout, binaries, user, durable) {
            Ok(()) => return Ok(false),
            Err(error) if attempt >= START_ATTEMPTS => return Err(error),
            Err(_) => std::thread::sleep(START_PAUSE),
        }
        attempt += 1;
    }
}

/// Starts the server and waits until it takes connections.
fn start(
    layout: &Layout,
    binaries: &Binaries,
    user: Option<&User>,
    durable: bool,
) -> Result<(), EmbeddedError> {
    let (pid, ended) = spawn(layout, binaries, user, durable)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match ended.try_recv() {
            Ok(status) => return Err(failed("postgres", &format!("ended with {status}"), layout)),
            Err(mpsc::TryRecvError::Empty | mpsc::TryRecvError::Disconnected) => {}
        }
        // The pid too: a status file left by a killed server may say ready.
        if status(layout).is_some_and(|(of, status)| of == pid && status == "ready") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(failed("postgres", "was not ready in time", layout));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Stops the server: new connections are refused, open ones cut, a checkpoint is written.
pub(super) fn stop(layout: &Layout, binaries: &Binaries, user: Option<&User>) -> Result<(), EmbeddedError> {
    let mut command = command(binaries.program("pg_ctl"), layout, user);
    command.arg("stop").arg("-D").arg(&layout.cluster).args(["-m", "fast", "-w", "-t", "60", "-s"]);
    run("pg_ctl", command)
}

/// initdb into another folder, then a rename: a cluster that was interrupted in the making never counts.
fn make(
    layout: &Layout,
    binaries: &Binaries,
    user: Option<&User>,
    durable: bool,
) -> Result<(), EmbeddedError> {
    let unfinished = layout.base.join("cluster.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(io_error("remove", &unfinished))?;
    }
    own_folder(&unfinished, user)?;
    let mut command = command(binaries.program("initdb"), layout, user);
    // With ctype C, trigrams of non-ASCII text are empty and lower('Ü') does nothing.
    command.args(["-A", "trust", "--locale=C", "--lc-ctype=C.UTF-8", "-E", "UTF8", "-U", ROLE]);
    if !durable {
        command.arg("--no-sync");
    }
    command.arg("-D").arg(&unfinished);
    run("initdb", command)?;
    fs::rename(&unfinished, &layout.cluster).map_err(io_error("rename", &unfinished))
}

/// Whether a server of this cluster takes connections; waits for one that is starting or stopping.
fn is_running(layout: &Layout) -> Result<bool, EmbeddedError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let Some((_, status)) = status(layout) else { return Ok(false) };
        if UnixStream::connect(layout.socket()).is_err() {
            return Ok(false);
        }
        if status == "ready" {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Err(failed("postgres", &format!("has stayed {status}"), layout));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The pid and the status that the server wrote.
fn status(layout: &Layout) -> Option<(u32, String)> {
    let text = fs::read_to_string(layout.cluster.join("postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    Some((pid, text.lines().nth(STATUS_LINE).unwrap_or("starting").trim().to_owned()))
}

/// Starts the server from a thread of its own, which lives as long as the server does: the death signal of
/// a throw-away server follows the thread that started it, and a test's thread ends with the test.
fn spawn(
    layout: &Layout,
    binaries: &Binaries,
    user: Option<&User>,
    durable: bool,
) -> Result<(u32, mpsc::Receiver<ExitStatus>), EmbeddedError> {
    let mut command = server_command(layout, binaries, user, durable)?;
    let (started, spawned) = mpsc::channel();
    let (ended, status) = mpsc::channel();
    std::thread::Builder::new()
        .name("postgres".to_owned())
        .spawn(move || {
            let child: Result<Child, _> = command.spawn();
            match child {
                Ok(mut child) => {
                    let _starter_waits = started.send(Ok(child.id()));
                    if let Ok(status) = child.wait() {
                        let _starter_may_be_done = ended.send(status);
                    }
                }
                Err(error) => {
                    let _starter_waits = started.send(Err(error));
                }
            }
        })
        .map_err(io_error("start a thread for", &layout.base))?;
    match spawned.recv() {
        Ok(Ok(pid)) => Ok((pid, status)),
        Ok(Err(source)) => Err(EmbeddedError::Io { what: "cannot start postgres".to_owned(), source }),
        Err(_) => Err(failed("postgres", "was not started", layout)),
    }
}

fn server_command(
    layout: &Layout,
    binaries: &Binaries,
    user: Option<&User>,
    durable: bool,
) -> Result<Command, EmbeddedError> {
    let log =
        File::options().create(true).append(true).open(&layout.log).map_err(io_error("open", &layout.log))?;
    let postgres = binaries.program("postgres");
    let mut command = match setpriv() {
        Some(setpriv) if !durable => {
            let mut command = command(setpriv, layout, user);
            command.args(["--pdeathsig", "INT", "--"]).arg(postgres);
            command
        }
        Some(_) | None => command(postgres, layout, user),
    };
    command.arg("-D").arg(&layout.cluster).arg("-k").arg(&layout.run).arg("-p").arg(PORT.to_string());
    let throw_away = if durable { [].as_slice() } else { THROW_AWAY.as_slice() };
    for setting in SETTINGS.iter().chain(throw_away) {
        command.arg("-c").arg(setting);
    }
    let errors = log.try_clone().map_err(io_error("open", &layout.log))?;
    // A group of its own: Ctrl-C goes to the servers first, which drain while the database still runs.
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    Ok(command)
}

/// util-linux's way to a death signal, where it is installed.
fn setpriv() -> Option<PathBuf> {
    ["/usr/bin/setpriv", "/bin/setpriv"].iter().map(PathBuf::from).find(|path| path.is_file())
}

/// A command as the right user, in a folder it can stand in, without our PG* variables.
fn command(program: PathBuf, layout: &Layout, user: Option<&User>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir(&layout.base);
    if let Some(user) = user {
        user.applied_to(&mut command);
    }
    command
}

fn run(program: &'static str, mut command: Command) -> Result<(), EmbeddedError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| EmbeddedError::Io { what: format!("cannot run {program}"), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(EmbeddedError::Program { program, output: String::from_utf8_lossy(&said).trim().to_owned() })
}

/// A folder that only the server's user may open.
fn own_folder(folder: &Path, user: Option<&User>) -> Result<(), EmbeddedError> {
    fs::create_dir_all(folder).map_err(io_error("make", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io_error("close", folder))?;
    user.map_or(Ok(()), |user| user.own(folder))
}

fn failed(program: &'static str, what: &str, layout: &Layout) -> EmbeddedError {
    let log = fs::read(&layout.log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(QUOTED_LOG)..]).into_owned();
    EmbeddedError::Program { program, output: format!("{what}; its log ends:\n{}", tail.trim()) }
}

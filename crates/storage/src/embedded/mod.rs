//! A private PostgreSQL cluster that this process makes and starts: nothing to install beyond the
//! binaries, nothing to configure, no port, and a distribution's own cluster is left alone.
//!
//! Under the data folder: `cluster/` (the data, 0700), `run/` (the socket, 0700), `server.log`, and two
//! lock files. `start.lock` is held exclusively while somebody starts or stops the server; `users.lock` is
//! held shared by everybody who uses it, so that the last one out turns off the light. A server that a
//! killed process left behind is joined again.

mod binaries;
mod server;
mod user;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use binaries::Binaries;
use user::User;

/// The role that initdb makes and that URLs name.
const ROLE: &str = "poa";
/// The socket's file is named after it; nothing listens on TCP.
const PORT: u16 = 5432;
/// `sun_path` holds 108 bytes on Linux, 104 elsewhere, with a final zero.
const MAX_SOCKET_PATH: usize = 103;
/// A name that needs no quoting and no thought.
const MAX_NAME_LENGTH: usize = 63;

/// Where and how the cluster runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the cluster; made if absent. The user that PostgreSQL runs as must be able to enter it.
    pub data_dir: PathBuf,
    /// True: writes survive a crash. False: fast, for tests, and the server dies with this process.
    pub durable: bool,
    /// Where the binaries are; else PATH is searched, then the usual folders, highest version first.
    pub bin_dir: Option<PathBuf>,
}

/// Starts clusters.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedPostgres;

/// A running cluster. Dropping it leaves a durable server running, to be joined later; [`Running::stop`]
/// ends it.
#[derive(Debug)]
pub struct Running {
    layout: Layout,
    binaries: Binaries,
    user: Option<User>,
    users_lock: File,
    joined: bool,
}

/// Why there is no cluster, in words for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No binaries in PATH or the usual folders.
    #[error(
        "PostgreSQL is not installed (looked in {looked}): run `apt-get install postgresql`, or configure the URL of a database"
    )]
    BinariesMissing {
        /// Where it was looked for.
        looked: String,
    },
    /// The cluster was made by another major version, whose binaries are not here.
    #[error("{} was made by PostgreSQL {made_by}, installed is {installed}: install version {made_by}, or dump and restore", data_dir.display())]
    OtherMajorVersion {
        /// The cluster's folder.
        data_dir: PathBuf,
        /// The version that made it.
        made_by: u32,
        /// The version found.
        installed: u32,
    },
    /// The binaries are older than what the migrations need.
    #[error("PostgreSQL {found} is too old: version {} or newer is needed", binaries::OLDEST)]
    TooOld {
        /// The version found.
        found: u32,
    },
    /// We are root, PostgreSQL refuses to be, and there is no other user to be.
    #[error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")]
    NoUser,
    /// The user that PostgreSQL runs as cannot get to the data.
    #[error("the user `{user}` cannot enter {}: choose a data folder outside of it", folder.display())]
    FolderClosed {
        /// The folder that is closed.
        folder: PathBuf,
        /// Who cannot enter.
        user: String,
    },
    /// A Unix socket's path has a small maximum.
    #[error("{} is too long for a socket: choose a data folder with a shorter path", path.display())]
    PathTooLong {
        /// The path of the socket.
        path: PathBuf,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said last.
        output: String,
    },
    /// The file system or the process table.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The name is not one of `[a-z][a-z0-9_]*`.
    #[error("`{0}` is not a database name: lower-case letters, digits and underscores")]
    Name(String),
    /// The server answered with an error.
    #[error("the private database failed")]
    Database(#[from] sqlx::Error),
}

/// The places under the data folder.
#[derive(Clone, Debug)]
struct Layout {
    base: PathBuf,
    cluster: PathBuf,
    run: PathBuf,
    log: PathBuf,
}

// === impl EmbeddedPostgres ===

impl EmbeddedPostgres {
    /// Makes the cluster if it is new, starts it if it does not run, and returns when it takes connections:
    /// 2 s for a new one, 0.1 s later. Processes that start together take turns and share it.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn start(options: Options) -> Result<Running, EmbeddedError> {
        tokio::task::spawn_blocking(move || start(&options)).await.unwrap_or_else(|panicked| {
            Err(EmbeddedError::Program { program: "the starter", output: panicked.to_string() })
        })
    }
}

fn start(options: &Options) -> Result<Running, EmbeddedError> {
    let base = std::path::absolute(&options.data_dir).map_err(io_error("resolve", &options.data_dir))?;
    let layout = Layout::under(base);
    let socket = layout.socket();
    if socket.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(EmbeddedError::PathTooLong { path: socket });
    }
    fs::create_dir_all(&layout.base).map_err(io_error("make", &layout.base))?;
    let user = user::to_run_as()?;
    if user.is_some() {
        // Others may pass through, to what is theirs, and see nothing.
        fs::set_permissions(&layout.base, fs::Permissions::from_mode(0o711))
            .map_err(io_error("open", &layout.base))?;
    }
    if let Some(user) = &user {
        user.check_can_enter(&layout.base)?;
    }
    let _starting = layout.lock_start()?;
    let binaries = binaries::find(options.bin_dir.as_deref(), &layout.cluster)?;
    let joined = server::ensure(&layout, &binaries, user.as_ref(), options.durable)?;
    let users_lock = layout.open_lock("users.lock")?;
    users_lock.lock_shared().map_err(io_error("lock", &layout.base))?;
    Ok(Running { layout, binaries, user, users_lock, joined })
}

// === impl Running ===

impl Running {
    /// The folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        &self.layout.run
    }

    /// Whether the server ran already and was joined.
    pub fn joined(&self) -> bool {
        self.joined
    }

    /// What the server logged, for messages.
    pub fn log_file(&self) -> &Path {
        &self.layout.log
    }

    /// The URL of a database in this cluster.
    pub fn url_for(&self, database: &str) -> String {
        let folder = percent_encode(&self.layout.run.to_string_lossy());
        format!("postgres:///{database}?host={folder}&port={PORT}&user={ROLE}")
    }

    /// Makes the database if it is absent. Several may ask at once.
    ///
    /// # Errors
    /// `Name` for a name that would need quoting, `Database` for what the server answers.
    pub async fn ensure_database(&self, name: &str) -> Result<(), EmbeddedError> {
        let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.len() <= MAX_NAME_LENGTH
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !plain {
            return Err(EmbeddedError::Name(name.to_owned()));
        }
        let mut connection = PgConnection::connect(&self.url_for("postgres")).await?;
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        if !known {
            // The name was checked above, letter by letter.
            let created = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
                .execute(&mut connection)
                .await;
            match created {
                Ok(_) => {}
                // duplicate_database, or its unique index: somebody else was faster.
                Err(sqlx::Error::Database(error))
                    if matches!(error.code().as_deref(), Some("42P04" | "23505")) => {}
                Err(error) => return Err(error.into()),
            }
        }
        connection.close().await?;
        Ok(())
    }

    /// Stops the server, unless another process uses it too. Open connections are cut.
    ///
    /// # Errors
    /// `Program` where it does not stop in time.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        tokio::task::spawn_blocking(move || self.stop_blocking()).await.unwrap_or_else(|panicked| {
            Err(EmbeddedError::Program { program: "the stopper", output: panicked.to_string() })
        })
    }

    fn stop_blocking(self) -> Result<(), EmbeddedError> {
        let _starting = self.layout.lock_start()?;
        self.users_lock.unlock().map_err(io_error("unlock", &self.layout.base))?;
        match self.users_lock.try_lock() {
            Ok(()) => server::stop(&self.layout, &self.binaries, self.user.as_ref()),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &self.layout.base)(source)),
        }
    }
}

// === impl Layout ===

impl Layout {
    fn under(base: PathBuf) -> Self {
        Self { cluster: base.join("cluster"), run: base.join("run"), log: base.join("server.log"), base }
    }

    fn socket(&self) -> PathBuf {
        self.run.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Waits until nobody else starts or stops this cluster.
    fn lock_start(&self) -> Result<File, EmbeddedError> {
        let lock = self.open_lock("start.lock")?;
        lock.lock().map_err(io_error("lock", &self.base))?;
        Ok(lock)
    }

    fn open_lock(&self, name: &str) -> Result<File, EmbeddedError> {
        let path = self.base.join(name);
        File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))
    }
}

fn io_error(what: &str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let what = format!("cannot {what} {}", path.display());
    |source| EmbeddedError::Io { what, source }
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _infallible = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

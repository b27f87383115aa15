//! Failpoints: places at which a debug build can be told to die, to fail or to stall.
//!
//! They stand before and after each COMMIT and each outside call of a path that moves sats or a task on. A service
//! names its own with [`failpoints!`](crate::failpoints) and calls [`reach`] there, in one line. In a release build
//! [`reach`] does nothing, and a server that is told to arm one does not start.
//!
//! `POA_FAILPOINTS` arms them: `name=action` or `name=action@arrival`, with commas between them. An action is `kill`
//! (SIGKILL to the own process: nothing unwinds, nothing is flushed), `error` (the call fails as what stands there
//! would fail) or `hang` (it never returns; whoever gives up on it goes on). Each strikes once in a process, at its
//! first arrival or at the one that is named. A name that no service of this process has is an error at the start.
//!
//! `POA_FAILPOINTS_REPORT` names a file that gets a line `reached <name>` for the first arrival at each point, armed
//! or not, and `struck <name> <action>` before one strikes, so that a test sees what it has exercised.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is armed.
pub const VARIABLE: &str = "POA_FAILPOINTS";
/// Where arrivals are noted.
pub const REPORT_VARIABLE: &str = "POA_FAILPOINTS_REPORT";

/// The failpoints of this process; none where neither variable is set.
static BOARD: OnceLock<Option<Board>> = OnceLock::new();

/// One service's failpoints. Made by [`failpoints!`](crate::failpoints).
pub trait Failpoint: Copy + Send + 'static {
    /// Every one of them.
    fn all() -> &'static [Self];

    /// Its name, such as `escrow.hold.committed`.
    fn name(self) -> &'static str;
}

/// A failpoint struck with `error`. The caller makes of it what would be heard there if the call had failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the failpoint {0} struck")]
pub struct Struck(pub &'static str);

/// Why failpoints cannot be armed.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// A release build has none.
    #[error("{VARIABLE} is set, and this build has no failpoints")]
    NotBuilt,
    /// The variable does not parse.
    #[error("{VARIABLE}: `{0}` is not name=kill, name=error or name=hang, with @arrival from 1 at will")]
    Malformed(String),
    /// No service of this process has such a failpoint.
    #[error("{VARIABLE}: there is no failpoint {name} here; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of all that there are.
        known: String,
    },
    /// The report cannot be written.
    #[error("{REPORT_VARIABLE}")]
    Report(#[source] io::Error),
}

/// What a failpoint does when it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Error,
    Hang,
}

/// What is armed, and what was reached.
#[derive(Debug)]
struct Board {
    armed: Vec<Armed>,
    report: Option<File>,
    seen: Mutex<Seen>,
}

/// One entry of the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Armed {
    name: String,
    action: Action,
    /// The arrival that strikes, from 1.
    arrival: u32,
}

#[derive(Debug, Default)]
struct Seen {
    /// Every name that a service of this process has.
    known: Vec<&'static str>,
    reached: HashSet<&'static str>,
    /// Arrivals at armed points, in their order.
    arrivals: Vec<u32>,
}

/// Names a service's failpoints: an enum with a doc comment each, and its [`Failpoint`].
///
/// ```
/// poa_chassis::failpoints! {
///     /// The failpoints of a shop.
///     pub enum Failpoint {
///         /// The sale is written, and not committed.
///         BeforeSale = "shop.sale.before_commit",
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! failpoints {
    (
        $(#[$about:meta])*
        $visibility:vis enum $name:ident { $($(#[$doc:meta])* $point:ident = $text:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name { $($(#[$doc])* $point,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$point,)+];

            /// The name, as the environment and the reports have it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$point => $text,)+ }
            }
        }

        impl $crate::failpoint::Failpoint for $name {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn name(self) -> &'static str {
                self.name()
            }
        }
    };
}

/// Reads the variables, before anything is built.
///
/// # Errors
/// Where they cannot be used.
pub(crate) fn read() -> Result<(), ArmError> {
    board().map(|_read| ())
}

/// Makes a service's failpoints known; what is armed strikes from now on. Call it first of all when the service is built.
///
/// # Errors
/// Where the variables cannot be used.
pub fn arm<P: Failpoint>() -> Result<(), ArmError> {
    let Some(board) = board()? else { return Ok(()) };
    board.seen().known.extend(P::all().iter().map(|point| point.name()));
    Ok(())
}

/// Whether everything that is armed is known. Ask once all services of the process are built.
///
/// # Errors
/// With a name that none of them has.
pub fn check() -> Result<(), ArmError> {
    board()?.map_or(Ok(()), Board::check)
}

/// A failpoint is reached. Returns at once, unless it is armed.
///
/// # Errors
/// `Struck` where it is to fail.
pub async fn reach(point: impl Failpoint) -> Result<(), Struck> {
    let strikes = if cfg!(debug_assertions) { arrive(point.name()) } else { None };
    match strikes {
        None => Ok(()),
        Some(Action::Error) => Err(Struck(point.name())),
        Some(Action::Hang) => std::future::pending().await,
        Some(Action::Kill) => {
            let killed =
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            tracing::error!(?killed, "the process outlives its own SIGKILL");
            std::future::pending().await
        }
    }
}

fn arrive(name: &'static str) -> Option<Action> {
    BOARD.get()?.as_ref()?.arrive(name)
}

/// The board, read from the environment by the first who asks.
#[expect(clippy::disallowed_methods, reason = "a test arms a server before its configuration is read")]
fn board() -> Result<Option<&'static Board>, ArmError> {
    if let Some(board) = BOARD.get() {
        return Ok(board.as_ref());
    }
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (spec, report) = (variable(VARIABLE), variable(REPORT_VARIABLE));
    let board = match (spec, report) {
        (None, None) => None,
        _ if !cfg!(debug_assertions) => return Err(ArmError::NotBuilt),
        (spec, report) => Some(Board::new(spec.as_deref().unwrap_or_default(), report.as_deref())?),
    };
    Ok(BOARD.get_or_init(|| board).as_ref())
}

// === impl Board ===

impl Board {
    fn new(spec: &str, report: Option<&str>) -> Result<Self, ArmError> {
        let entries = spec.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let armed = entries.map(str::parse).collect::<Result<Vec<Armed>, _>>()?;
        let open = |path: &str| OpenOptions::new().append(true).create(true).open(Path::new(path));
        let report = report.map(open).transpose().map_err(ArmError::Report)?;
        let seen = Seen { arrivals: vec![0; armed.len()], ..Seen::default() };
        Ok(Self { armed, report, seen: Mutex::new(seen) })
    }

    fn check(&self) -> Result<(), ArmError> {
        let seen = self.seen();
        match self.armed.iter().find(|armed| !seen.known.contains(&armed.name.as_str())) {
            None => Ok(()),
            Some(armed) => Err(ArmError::Unknown { name: armed.name.clone(), known: seen.known.join(", ") }),
        }
    }

    /// Notes an arrival; what it does there, if anything.
    fn arrive(&self, name: &'static str) -> Option<Action> {
        let mut seen = self.seen();
        if seen.reached.insert(name) {
            self.report(&format!("reached {name}\n"));
        }
        let mut strikes = None;
        for (armed, arrivals) in self.armed.iter().zip(&mut seen.arrivals) {
            if armed.name == name {
                *arrivals = arrivals.saturating_add(1);
                if *arrivals == armed.arrival {
                    strikes = Some(armed.action);
                }
            }
        }
        if let Some(action) = strikes {
            self.report(&format!("struck {name} {}\n", action.as_str()));
            tracing::warn!(failpoint = name, action = action.as_str(), "a failpoint strikes");
        }
        strikes
    }

    /// One write for a line, so that the processes of a mesh can share a file, and none is lost with a process.
    fn report(&self, line: &str) {
        if let Some(mut report) = self.report.as_ref()
            && let Err(error) = report.write_all(line.as_bytes())
        {
            tracing::error!(%error, "the report of failpoints cannot be written");
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Armed ===

impl FromStr for Armed {
    type Err = ArmError;

    fn from_str(entry: &str) -> Result<Self, ArmError> {
        let malformed = || ArmError::Malformed(entry.to_owned());
        let (name, rest) = entry.split_once('=').ok_or_else(malformed)?;
        let (action, arrival) = rest.split_once('@').unwrap_or((rest, "1"));
        let arrival = arrival.parse().ok().filter(|arrival| *arrival > 0).ok_or_else(malformed)?;
        let action = Action::ALL.into_iter().find(|known| known.as_str() == action).ok_or_else(malformed)?;
        Ok(Self { name: name.to_owned(), action, arrival })
    }
}

// === impl Action ===

impl Action {
    const ALL: [Self; 3] = [Self::Kill, Self::Error, Self::Hang];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Error => "error",
            Self::Hang => "hang",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(spec: &str) -> Result<Board, ArmError> {
        let board = Board::new(spec, None)?;
        board.seen().known.extend(["shop.sale", "shop.refund"]);
        board.check()?;
        Ok(board)
    }

    #[test]
    fn a_point_strikes_once_at_its_arrival() {
        let board = board("shop.sale=error, shop.refund=hang@3").unwrap();
        assert_eq!(board.arrive("shop.sale"), Some(Action::Error));
        assert_eq!(board.arrive("shop.sale"), None);
        let refunds: Vec<_> = (0..5).map(|_| board.arrive("shop.refund")).collect();
        assert_eq!(refunds, [None, None, Some(Action::Hang), None, None]);
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        let text = board("shop.sole=kill").unwrap_err().to_string();
        assert!(text.contains("shop.sole") && text.contains("shop.sale, shop.refund"), "{text}");
    }

    #[test]
    fn what_is_malformed_is_said() {
        for wrong in ["shop.sale", "shop.sale=die", "shop.sale=kill@0", "shop.sale=kill@x"] {
            assert!(matches!(board(wrong), Err(ArmError::Malformed(_))), "{wrong}");
        }
        assert!(board("").is_ok() && board(" shop.sale=kill@2 ,").is_ok());
    }

    #[test]
    fn the_first_arrival_and_a_strike_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let board = Board::new("shop.sale=error@2", path.to_str()).unwrap();
        for _ in 0..3 {
            board.arrive("shop.sale");
        }
        let report = std::fs::read_to_string(path).unwrap();
        assert_eq!(report, "reached shop.sale\nstruck shop.sale error\n");
    }
}

//! Passwords: from a file or the terminal without echo, never from the command line.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::app::read_file;
use crate::failure::{Exit, Failure};

/// Bytes of a password, as the contract has it, and a line break.
const MAX_PASSWORD_BYTES: usize = 260;

/// Reads the password. A new one is asked for twice.
pub(crate) fn password(file: Option<&Path>, is_new: bool) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        let bytes = read_file(path, MAX_PASSWORD_BYTES)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::new(Exit::Usage, format!("{} is not text", path.display())))?;
        let text = Zeroizing::new(text);
        return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "there is no terminal to ask for the password")
            .hint("give it with --password-file FILE (`-` for standard input) or POA_PASSWORD_FILE"));
    }
    let first = ask(if is_new { "New password (12 characters or more): " } else { "Password: " })?;
    if is_new && *ask("Once more: ")? != *first {
        return Err(Failure::new(Exit::Usage, "the two passwords differ"));
    }
    Ok(first)
}

/// Reads a line from the terminal without showing it.
fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Other, format!("the terminal: {error}"));
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(failed)?;
    let stdin = std::io::stdin();
    let mut line = Zeroizing::new(String::new());
    {
        let _silence = Silence::begin().map_err(|error| failed(error.into()))?;
        stdin.lock().read_line(&mut line).map_err(failed)?;
    }
    writeln!(stderr).map_err(failed)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The terminal's echo is off while this lives.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> rustix::io::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that went away has no echo to bring back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.before);
    }
}

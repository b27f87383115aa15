//! Standard output for results, standard error for what one waits for.

use std::io::{IsTerminal as _, Write as _};

use poa_sdk::ToJson;
use serde_json::Value as Json;

use crate::failure::Failure;

/// Where a command prints, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    json: bool,
}

// === impl Out ===

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a message of the API: as JSON for scripts, as the text for people.
    pub(crate) fn show(self, message: &impl ToJson, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { self.json(&message.to_json()) } else { self.line(&text()) }
    }

    /// Prints one of two forms.
    pub(crate) fn either(
        self,
        json: impl FnOnce() -> Json,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.json(&json()) } else { self.line(&text()) }
    }

    /// Prints one JSON object on a line of its own.
    pub(crate) fn json(self, value: &Json) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// Prints a text and a line break.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        written.map_err(|error| Failure::output(&error))
    }

    /// Prints bytes as they are; on a terminal with a line break at the end.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let mut written = stdout.write_all(bytes);
        if stdout.is_terminal() && !bytes.ends_with(b"\n") {
            written = written.and_then(|()| stdout.write_all(b"\n"));
        }
        written.and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
    }

    /// Says how far it is, on standard error; nothing where a script reads.
    pub(crate) fn progress(self, text: &str) {
        if !self.json {
            self.warn(text);
        }
    }

    /// Says something that matters, on standard error, to scripts too.
    #[expect(clippy::unused_self, reason = "all printing goes through one place")]
    pub(crate) fn warn(self, text: &str) {
        // Where standard error is closed, nobody wants to know.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Lines `name  value`, with the values under each other.
pub(crate) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        // A value of several lines stays in its column.
        let value = value.replace('\n', &format!("\n{}", " ".repeat(width + 2)));
        format!("{name:<width$}  {value}")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The text without control characters: what a stranger wrote must not move the cursor of whoever reads it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    plain(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_under_each_other() {
        let rows = [("a", "1".to_owned()), ("long", "2\n3".to_owned())];
        assert_eq!(fields(&rows), "a     1\nlong  2\n      3");
    }

    #[test]
    fn a_strangers_text_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\nc");
        assert_eq!(one_line("a\nb"), "a b");
    }
}

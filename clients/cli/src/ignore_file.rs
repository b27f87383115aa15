//! The files by which a directory says what is not in its archive: read before they are used, so that they mean the same to
//! everybody.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::failure::{Exit, Failure};

/// Git's list of what is left out.
const GIT_IGNORE: &str = ".gitignore";
/// What an archive leaves out besides; it wins over the other, and can bring back what that one leaves out.
pub(crate) const POA_IGNORE: &str = ".poaignore";
/// Bytes of an ignore file: some hundred times a long one.
const MAX_BYTES: u64 = 1024 * 1024;

/// Whether the ignore files of one directory, where it has any, can be relied on.
pub(crate) fn check(directory: &Path) -> Result<(), Failure> {
    [GIT_IGNORE, POA_IGNORE].iter().try_for_each(|name| check_file(&directory.join(name)))
}

fn check_file(path: &Path) -> Result<(), Failure> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::file(path, &error)),
    };
    // A link would let something outside say what is in the archive; of a pipe nobody knows what comes next.
    if !metadata.is_file() {
        return Err(unreliable(path, "it is not a file of its own"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(unreliable(path, &format!("it has more than {MAX_BYTES} bytes")));
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| Failure::file(path, &error))?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => unreliable(path, "it is not UTF-8"),
        _ => Failure::file(path, &error),
    })?;
    match text.lines().position(is_ambiguous) {
        Some(place) => Err(unreliable(path, &format!("line {} has {{, }} or [: in a pattern", place + 1))
            .hint("write a line for each alternative; a backslash before { or } makes it a letter")),
        None => Ok(()),
    }
}

/// Whether Git and the other programs that read such files disagree about a line: braces are letters to Git, and
/// alternatives to others; `[[:digit:]]` is a class to Git, and some letters to others.
fn is_ambiguous(line: &str) -> bool {
    if line.starts_with('#') {
        return false;
    }
    let mut escaped = false;
    line.char_indices().any(|(place, letter)| {
        let literal = escaped;
        escaped = letter == '\\' && !literal;
        !literal && (matches!(letter, '{' | '}') || line[place..].starts_with("[:"))
    })
}

fn unreliable(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{path:?} does not say reliably what is left out: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_programs_disagree_about_are_told_from_others() {
        for line in ["*.{log,tmp}", "{a", "a}", r"\\{a}", "[[:digit:]]*", "!{a}"] {
            assert!(is_ambiguous(line), "{line}");
        }
        for line in ["*.log", "# {a}", r"\{a\}", "[a-z]", "[!a]", "a:b", "", r"\# a"] {
            assert!(!is_ambiguous(line), "{line}");
        }
    }
}

//! Paths and the targets of links, as far as all systems agree on them.

use std::fmt;

use unicode_normalization::is_nfc;

use super::error::{ArchiveError, PathProblem};
use super::header::{NAME_BYTES, PREFIX_BYTES};

/// The path of an entry: relative, with slashes, and the same on every system. Ordered by its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath {
    text: String,
    /// Where the header's field `name` begins: at 0, or behind the slash at which a long path is parted.
    name_start: usize,
}

// === impl EntryPath ===

impl EntryPath {
    /// A path, if all systems agree on it.
    ///
    /// # Errors
    /// `Path`.
    pub fn new(text: impl Into<String>) -> Result<Self, ArchiveError> {
        let text = text.into();
        match check(&text).and_then(|()| part(&text).ok_or(PathProblem::TooLong)) {
            Ok(name_start) => Ok(Self { text, name_start }),
            Err(problem) => Err(ArchiveError::Path { path: text, problem }),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The header's fields `prefix` and `name`.
    pub(super) fn prefix_and_name(&self) -> (&str, &str) {
        let (prefix, name) = self.text.split_at(self.name_start);
        (prefix.strip_suffix('/').unwrap_or(prefix), name)
    }

    /// The directories above, outermost first, and the name.
    pub(super) fn segments(&self) -> (Vec<&str>, &str) {
        let mut segments: Vec<&str> = self.text.split('/').collect();
        let name = segments.pop().unwrap_or_default();
        (segments, name)
    }
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Whether a link at `path` may point at `target`.
///
/// Steps up are allowed in front only, where they leave directories that are real: a path through an entry is refused, so
/// what stands above a link is no link. Behind a name they would start from wherever that name leads.
pub(super) fn check_target(path: &EntryPath, target: &str) -> Result<(), PathProblem> {
    if target.len() > NAME_BYTES {
        return Err(PathProblem::TooLong);
    }
    let (directories, _) = path.segments();
    let (mut ups, mut rest) = (0, Some(target));
    while let Some(text) = rest.filter(|text| *text == ".." || text.starts_with("../")) {
        ups += 1;
        rest = text.strip_prefix("../");
    }
    if ups > directories.len() {
        return Err(PathProblem::Outside);
    }
    match rest {
        Some(rest) if ups == 0 => check(rest),
        Some(rest) => check_segments(rest),
        None => Ok(()),
    }
}

fn check(text: &str) -> Result<(), PathProblem> {
    if text.is_empty() {
        return Err(PathProblem::Empty);
    }
    if text.starts_with('/') {
        return Err(PathProblem::Absolute);
    }
    check_segments(text)
}

fn check_segments(text: &str) -> Result<(), PathProblem> {
    if text.contains('\\') {
        return Err(PathProblem::Backslash);
    }
    if text.contains(':') {
        return Err(PathProblem::Colon);
    }
    if text.contains(char::is_control) {
        return Err(PathProblem::Control);
    }
    if !is_nfc(text) {
        return Err(PathProblem::NotComposed);
    }
    for segment in text.split('/') {
        match segment {
            "" => return Err(PathProblem::EmptySegment),
            "." | ".." => return Err(PathProblem::DotSegment),
            _ if fold(segment) == ".git" => return Err(PathProblem::Git),
            _ => {}
        }
    }
    Ok(())
}

/// Where the name begins when the header's two fields hold the path: at 0 where it fits, else behind the last slash that
/// leaves the prefix short enough, which is where GNU tar parts it. `None` where the rest is still too long.
fn part(text: &str) -> Option<usize> {
    if text.len() <= NAME_BYTES {
        return Some(0);
    }
    let head = text.as_bytes().get(..=PREFIX_BYTES).unwrap_or(text.as_bytes());
    let name_start = head.iter().rposition(|byte| *byte == b'/')? + 1;
    (text.len() - name_start <= NAME_BYTES).then_some(name_start)
}

/// The text without case, as the most generous file system sees it: each letter in upper case, and that in lower case.
pub(super) fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

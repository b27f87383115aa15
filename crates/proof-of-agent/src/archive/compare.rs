//! In what two archives differ: what a person needs to know when a reproduction fails.

use std::collections::BTreeMap;
use std::fmt;

use super::entry::{Entry, Node};
use super::path::EntryPath;
use crate::digest::Digest;

/// One thing in which what was found is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: EntryPath,
    /// What.
    pub change: Change,
}

/// What differs at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Expected, and not there.
    Missing,
    /// There, and not expected.
    Added,
    /// A file where a link was expected.
    FileForLink,
    /// A link where a file was expected.
    LinkForFile,
    /// A file with other bytes.
    Content {
        /// The expected ones.
        expected: Content,
        /// Those that were found.
        found: Content,
    },
    /// A file that may be run and should not, or the other way round.
    Executable {
        /// Whether it was expected to.
        expected: bool,
    },
    /// A link to elsewhere.
    Target {
        /// The expected target.
        expected: String,
        /// The one that was found.
        found: String,
    },
}

/// The bytes of a file, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// How many.
    pub bytes: usize,
    /// Their SHA-256.
    pub digest: Digest,
}

/// In what `found` differs from `expected`, in the order of the paths. A file may differ in bytes and in mode: that is two.
/// None where the archives are the same.
pub fn compare(expected: &[Entry<'_>], found: &[Entry<'_>]) -> Vec<Difference> {
    let mut paths: BTreeMap<&EntryPath, (Option<&Node<'_>>, Option<&Node<'_>>)> = BTreeMap::new();
    for entry in expected {
        paths.entry(entry.path()).or_default().0 = Some(entry.node());
    }
    for entry in found {
        paths.entry(entry.path()).or_default().1 = Some(entry.node());
    }
    let differences = paths.into_iter().flat_map(|(path, (expected, found))| {
        let changes = match (expected, found) {
            (Some(expected), Some(found)) => changes(expected, found),
            (Some(_), None) => vec![Change::Missing],
            (None, Some(_)) => vec![Change::Added],
            (None, None) => Vec::new(),
        };
        changes.into_iter().map(|change| Difference { path: path.clone(), change })
    });
    differences.collect()
}

fn changes(expected: &Node<'_>, found: &Node<'_>) -> Vec<Change> {
    match (expected, found) {
        (Node::File { executable, content }, Node::File { executable: may_run, content: bytes }) => {
            let content = (content != bytes)
                .then(|| Change::Content { expected: Content::of(content), found: Content::of(bytes) });
            let mode = (executable != may_run).then_some(Change::Executable { expected: *executable });
            content.into_iter().chain(mode).collect()
        }
        (Node::Link { target }, Node::Link { target: found }) if target != found => {
            vec![Change::Target { expected: target.clone(), found: found.clone() }]
        }
        (Node::Link { .. }, Node::Link { .. }) => Vec::new(),
        (Node::Link { .. }, Node::File { .. }) => vec![Change::FileForLink],
        (Node::File { .. }, Node::Link { .. }) => vec![Change::LinkForFile],
    }
}

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.change)
    }
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Added => f.write_str("not expected"),
            Self::FileForLink => f.write_str("a file, expected a symbolic link"),
            Self::LinkForFile => f.write_str("a symbolic link, expected a file"),
            Self::Content { expected, found } => write!(f, "{found}, expected {expected}"),
            Self::Executable { expected: true } => f.write_str("not executable, expected executable"),
            Self::Executable { expected: false } => f.write_str("executable, expected not executable"),
            Self::Target { expected, found } => write!(f, "points to {found}, expected {expected}"),
        }
    }
}

// === impl Content ===

impl Content {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len(), digest: Digest::of(bytes) }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes with SHA-256 {}", self.bytes, self.digest)
    }
}

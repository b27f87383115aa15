//! What entries may stand beside each other: in order, each path once, on every file system.

use std::collections::BTreeMap;

use super::MAX_ENTRIES;
use super::error::ArchiveError;
use super::path::{EntryPath, fold};

/// The entries so far, of which only their names are kept.
///
/// Paths come in the order of their bytes, in which all that is in a directory stands together. So a directory that the
/// path before is not in is new, and its name must be free.
#[derive(Default)]
pub(super) struct Order {
    previous: Option<EntryPath>,
    entries: usize,
    /// The directories that the path before is in, outermost first, by number.
    open: Vec<usize>,
    /// How many directories there were; 0 is the one that is archived.
    directories: usize,
    /// Each name as it is spelt, by the number of its directory and by itself without case.
    names: BTreeMap<(usize, String), String>,
}

// === impl Order ===

impl Order {
    /// Entries so far.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Takes the next path, or says why it cannot be the next one.
    pub(super) fn admit(&mut self, path: &EntryPath) -> Result<(), ArchiveError> {
        if self.entries == MAX_ENTRIES {
            return Err(ArchiveError::TooManyEntries);
        }
        let (directories, name) = path.segments();
        let mut shared = 0;
        if let Some(previous) = &self.previous {
            if previous == path {
                return Err(ArchiveError::Duplicate { path: path.to_string() });
            }
            if previous > path {
                let (previous, path) = (previous.to_string(), path.to_string());
                return Err(ArchiveError::Unsorted { previous, path });
            }
            let (before, _) = previous.segments();
            shared = before.iter().zip(&directories).take_while(|(one, other)| one == other).count();
        }
        self.open.truncate(shared);
        for depth in shared..directories.len() {
            self.claim(&directories[..depth], directories[depth])?;
            self.directories += 1;
            self.open.push(self.directories);
        }
        self.claim(&directories, name)?;
        self.previous = Some(path.clone());
        self.entries += 1;
        Ok(())
    }

    /// Gives a name in the innermost open directory to whoever is there first.
    fn claim(&mut self, above: &[&str], name: &str) -> Result<(), ArchiveError> {
        let directory = self.open.last().copied().unwrap_or(0);
        let Some(taken) = self.names.insert((directory, fold(name)), name.to_owned()) else {
            return Ok(());
        };
        let full = |name: &str| [above, &[name]].concat().join("/");
        if taken == name {
            return Err(ArchiveError::FileAndDirectory { path: full(name) });
        }
        Err(ArchiveError::CaseCollision { path: full(name), other: full(&taken) })
    }
}

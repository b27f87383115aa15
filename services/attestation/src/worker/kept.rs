//! The last checkpoint, kept apart from the database.
//!
//! A database that is restored from a backup has forgotten what was published since. If the log went on from there, it would say
//! two different things under one name. So the last checkpoint is kept in a file that is not in that backup, and each start
//! compares.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use proof_of_agent::{Checkpoint, Digest};

/// Where the last checkpoint is kept, if anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Option<PathBuf>);

/// Why the log is not continued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The file cannot be read.
    #[error("the kept checkpoint {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database ends before what was published.
    #[error(
        "the log was published with {published} entries, and the database has {stored}: it was restored from an older backup. \
         Restore a newer one, or open a new origin with `poa trust-root new-origin` (docs/operations/witnesses.md)"
    )]
    Behind {
        /// Entries of the kept checkpoint.
        published: u64,
        /// Entries of the database.
        stored: u64,
    },
    /// The database holds another log than what was published.
    #[error(
        "the database holds other entries than were published up to the size {size}: it is not this log's. Restore the right \
         one, or open a new origin with `poa trust-root new-origin` (docs/operations/witnesses.md)"
    )]
    Other {
        /// The size of the kept checkpoint.
        size: u64,
    },
}

// === impl Kept ===

impl Kept {
    /// The file at this path, or none.
    pub(crate) fn at(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// The checkpoint that was kept last; none where nothing was kept, or the file is of another form.
    pub(crate) fn read(&self) -> Result<Option<Checkpoint>, Broken> {
        let Some(path) = &self.0 else { return Ok(None) };
        match std::fs::read_to_string(path) {
            Ok(note) => Ok(Checkpoint::read_unverified(&note).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Broken::Unreadable { path: path.clone(), source }),
        }
    }

    /// Keeps a checkpoint that is committed. A failure is told, and stops nothing: the log itself is sound.
    pub(crate) async fn write(&self, note: String) {
        let Some(path) = self.0.clone() else { return };
        let written = tokio::task::spawn_blocking(move || replace(&path, &note)).await;
        match written.map_err(io::Error::other).and_then(|written| written) {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "the last checkpoint is not kept apart from the database"),
        }
    }
}

/// The file holds the old note or the new one, whenever the process dies or the machine stops.
fn replace(path: &Path, note: &str) -> io::Result<()> {
    // Replicas keep the same file, and in containers all of them have the same process id.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(note.as_bytes())?;
    part.as_file().sync_data()?;
    part.persist(path)?;
    Ok(())
}

/// Whether the log may go on from a database that ends at `stored`. `root_at` is its root at the size that was kept, if it reaches
/// so far.
pub(crate) fn continues(kept: &Checkpoint, stored: u64, root_at: Option<Digest>) -> Result<(), Broken> {
    match root_at {
        None => Err(Broken::Behind { published: kept.size, stored }),
        Some(root) if root != kept.root => Err(Broken::Other { size: kept.size }),
        Some(_) => Ok(()),
    }
}

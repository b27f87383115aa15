//! What a witness keeps on the disk: the checkpoint that it cosigned last of each log, and what disagreed with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use poa_sdk::receipts::witness::Seen;
use poa_sdk::receipts::{Checkpoint, Digest};
use serde::{Deserialize, Serialize};

use crate::audit::store::replace;
use crate::failure::{Exit, Failure};

/// Disagreements that are kept: each needs the log's own signature, and a log that forks may fork often.
const MAX_DISAGREEMENTS: usize = 1_000;

/// The checkpoint that was cosigned last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    origin: String,
    size: u64,
    root: Option<Digest>,
    note: String,
}

/// Two notes of one log that do not agree.
#[derive(Debug, Serialize)]
pub(crate) struct Disagreement<'a> {
    pub(crate) refusal: String,
    pub(crate) cosigned: &'a str,
    pub(crate) shown: &'a str,
}

/// The file of a log: origins are no file names.
pub(crate) fn path(folder: &Path, origin: &str) -> PathBuf {
    folder.join(format!("{}.json", Digest::of(origin.as_bytes())))
}

// === impl Kept ===

impl Kept {
    pub(crate) fn of(checkpoint: &Checkpoint, note: &str) -> Self {
        Self {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: Some(checkpoint.root),
            note: note.to_owned(),
        }
    }

    /// What the file holds; nothing was cosigned where there is none. A file that cannot be read is no reason to begin anew.
    pub(crate) fn read(path: &Path, origin: &str) -> Result<Self, Failure> {
        let broken = |problem: &str| {
            Failure::new(Exit::Unverified, format!("{}: {problem}", path.display()))
                .hint("restore it: a witness that forgets what it cosigned vouches for nothing")
        };
        match fs::read(path) {
            Ok(bytes) => {
                let kept: Self =
                    serde_json::from_slice(&bytes).map_err(|error| broken(&error.to_string()))?;
                if kept.origin == origin && kept.root.is_some() {
                    Ok(kept)
                } else {
                    Err(broken("of another log"))
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { origin: origin.to_owned(), size: 0, root: None, note: String::new() })
            }
            Err(error) => Err(Failure::file(path, &error)),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_vec_pretty(self)?)
    }

    /// None where nothing was cosigned.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.root.map(|root| Seen { size: self.size, root })
    }

    pub(crate) fn note(&self) -> &str {
        &self.note
    }
}

// === impl Disagreement ===

impl Disagreement<'_> {
    /// Keeps it; none where it was kept before, or too many were.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<Option<PathBuf>> {
        let folder = folder.join("evidence");
        fs::create_dir_all(&folder)?;
        let bytes = serde_json::to_vec_pretty(self)?;
        let path = folder.join(format!("{}.json", Digest::of(&bytes)));
        if path.exists() || fs::read_dir(&folder)?.count() >= MAX_DISAGREEMENTS {
            return Ok(None);
        }
        replace(&path, &bytes).map(|()| Some(path))
    }
}

//! The auditor's state in a file, and the evidence beside it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use poa_sdk::receipts::Digest;
use poa_sdk::receipts::audit::{Finding, MAX_SLOTS, State};

use crate::app::read_file;
use crate::failure::{Exit, Failure};

/// Bytes of a state: all slots, and room for the keys of agents.
const MAX_STATE_BYTES: u64 = MAX_SLOTS * 24 + 256 * 1024 * 1024;
/// Files of evidence that are kept beside one state.
const MAX_EVIDENCE: usize = 1_000;

/// A state's file. Whoever has it open has it alone.
pub(crate) struct Store {
    path: PathBuf,
    _lock: File,
}

// === impl Store ===

impl Store {
    /// Takes the file for this process.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let folder = folder_of(path);
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
        let lock_path = beside(path, ".lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(|error| Failure::file(&lock_path, &error))?;
        if lock.try_lock().is_err() {
            let message = format!("another audit uses {}", path.display());
            return Err(
                Failure::new(Exit::Refused, message).hint("give it a state of its own with --state FILE")
            );
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept, or the state of somebody who has seen nothing.
    pub(crate) fn load(&self, origin: &str) -> Result<State, Failure> {
        if !self.path.exists() {
            return Ok(State::new(origin));
        }
        let bytes = read_file(&self.path, usize::try_from(MAX_STATE_BYTES).unwrap_or(usize::MAX))?;
        State::decode(&bytes, origin)
            .map_err(|error| Failure::new(Exit::Unverified, format!("{}: {error}", self.path.display())))
    }

    /// Keeps a state: whenever the process dies, the file holds the old one or the new one.
    pub(crate) fn save(&self, state: &State) -> Result<(), Failure> {
        replace(&self.path, &state.encode()).map_err(|error| Failure::file(&self.path, &error))
    }

    /// Keeps what shows a finding. Answers with the file; none where there are too many.
    pub(crate) fn keep(&self, finding: &Finding) -> Result<Option<PathBuf>, Failure> {
        let folder = beside(&self.path, ".evidence");
        let failed = |error: io::Error| Failure::file(&folder, &error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let bytes = serde_json::to_vec_pretty(finding).map_err(|error| failed(error.into()))?;
        let digest = Digest::of(&bytes).to_string();
        let path = folder.join(format!("{}-{}.json", finding.kind, digest.get(..16).unwrap_or_default()));
        if !path.exists() {
            if fs::read_dir(&folder).map_err(failed)?.count() >= MAX_EVIDENCE {
                return Ok(None);
            }
            replace(&path, &bytes).map_err(failed)?;
        }
        Ok(Some(path))
    }
}

/// Writes beside a file, and renames; both are on the disk when it returns.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_user_and_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let store = Store::open(&path).unwrap();
        assert_eq!(Store::open(&path).err().unwrap().exit(), Exit::Refused);
        assert_eq!(store.load("a.poa").unwrap(), State::new("a.poa"));
        store.save(&State::new("a.poa")).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load("a.poa").unwrap(), State::new("a.poa"));
        assert_eq!(store.load("b.poa").unwrap_err().exit(), Exit::Unverified);
        fs::write(&path, &State::new("a.poa").encode()[..40]).unwrap();
        assert_eq!(store.load("a.poa").unwrap_err().exit(), Exit::Unverified);
    }
}

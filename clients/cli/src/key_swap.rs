//! An agent's key takes another's place on this disk: whole at every moment, and never without a copy of both.
//!
//! The order is what makes it safe. The new key is on disk before the server hears of it; the old one is kept under another
//! name before the new one takes its place. Whatever step is the last before a crash, the same steps again come to the end.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use poa_sdk::receipts::DidKey;
use poa_sdk::{AgentId, AgentKey, Env};

use crate::app::read_file;
use crate::failure::{Exit, Failure};

/// Bytes of a key's file.
const MAX_KEY_BYTES: usize = 4 * 1024;

/// What became of the file that holds an agent's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// It holds the new key. The old one is kept here, if there was one.
    Done { kept: Option<PathBuf> },
    /// It held the new key already.
    Already,
    /// It holds a key of something else, and was left alone.
    Other,
}

/// Where the next key of an agent is kept in a folder, until it is the agent's.
pub(crate) fn next_path(folder: &Path, agent: AgentId) -> PathBuf {
    folder.join(format!("{agent}-next.pem"))
}

/// Where the key that an event ended is kept.
fn kept_path(current: &Path, agent: AgentId, sequence: u32) -> PathBuf {
    current.with_file_name(format!("{agent}-before-event-{sequence}.pem"))
}

/// Reads the new key, or makes it where it is not there. When this returns, it is on disk.
pub(crate) fn load_or_make(path: &Path, env: &Env) -> Result<AgentKey, Failure> {
    if !path.exists() {
        let key = AgentKey::generate(env);
        match put(path, key.to_pem()?.as_bytes(), false) {
            // Another run of this command was first: then its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| Failure::file(path, &error))?,
        }
    }
    Ok(AgentKey::load(path)?)
}

/// Puts the new key into the file that holds the old one, which is kept beside it under the number of the event.
pub(crate) fn swap(
    current: &Path,
    agent: AgentId,
    old: DidKey,
    new: &AgentKey,
    sequence: u32,
) -> Result<Swapped, Failure> {
    let failed = |error: io::Error| Failure::file(current, &error);
    if !current.exists() {
        put(current, new.to_pem()?.as_bytes(), false).map_err(failed)?;
        return Ok(Swapped::Done { kept: None });
    }
    let there = AgentKey::load(current)?.did();
    if there == new.did() {
        return Ok(Swapped::Already);
    }
    if there != old {
        return Ok(Swapped::Other);
    }
    let kept = keep(current, agent, old, sequence)?;
    put(current, new.to_pem()?.as_bytes(), true).map_err(failed)?;
    Ok(Swapped::Done { kept: Some(kept) })
}

/// A copy of the old key under the name that it is kept by.
fn keep(current: &Path, agent: AgentId, old: DidKey, sequence: u32) -> Result<PathBuf, Failure> {
    let kept = kept_path(current, agent, sequence);
    match put(&kept, &read_file(current, MAX_KEY_BYTES)?, false) {
        Ok(()) => Ok(kept),
        // It was kept before a crash.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if AgentKey::load(&kept)?.did() == old {
                return Ok(kept);
            }
            let message = format!("{} holds another key than the one to be kept there", kept.display());
            Err(Failure::new(Exit::Other, message).hint("give that file another name, then run this again"))
        }
        Err(error) => Err(Failure::file(&kept, &error)),
    }
}

/// Writes a file that its owner alone reads, whole or not at all, and so that it outlives a crash of the machine.
fn put(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let persisted = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    persisted.map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Removes the file of the next key, once it has the other name.
pub(crate) fn forget_next(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use poa_sdk::system_env;

    use super::*;

    struct Disk {
        folder: tempfile::TempDir,
        agent: AgentId,
        old: AgentKey,
    }

    impl Disk {
        fn new() -> Self {
            let (folder, old) = (tempfile::tempdir().unwrap(), AgentKey::generate(&system_env()));
            old.save(&folder.path().join("agent.pem")).unwrap();
            Self { folder, agent: system_env().new_id(), old }
        }

        fn current(&self) -> PathBuf {
            self.folder.path().join("agent.pem")
        }

        fn next(&self) -> AgentKey {
            load_or_make(&next_path(self.folder.path(), self.agent), &system_env()).unwrap()
        }

        fn swap(&self, new: &AgentKey) -> Result<Swapped, Failure> {
            swap(&self.current(), self.agent, self.old.did(), new, 2)
        }

        /// All keys on the disk, by their public halves.
        fn keys(&self) -> Vec<DidKey> {
            let files = fs::read_dir(self.folder.path()).unwrap();
            files.map(|file| AgentKey::load(&file.unwrap().path()).unwrap().did()).collect()
        }
    }

    #[test]
    fn after_a_crash_at_any_step_the_same_steps_come_to_the_same_end() {
        type Step = fn(&Disk, &AgentKey);
        // What has happened before the crash, beside the new key being on disk.
        let steps: [Step; 4] = [
            |_, _| {},
            |disk, _| drop(keep(&disk.current(), disk.agent, disk.old.did(), 2).unwrap()),
            |disk, new| drop(disk.swap(new).unwrap()),
            |disk, new| {
                disk.swap(new).unwrap();
                forget_next(&next_path(disk.folder.path(), disk.agent)).unwrap();
            },
        ];
        for (last, step) in steps.iter().enumerate() {
            let disk = Disk::new();
            let new = disk.next();
            step(&disk, &new);
            assert!(disk.keys().contains(&new.did()) && disk.keys().contains(&disk.old.did()), "{last}");
            // Run again. The key is the same one while the server may have heard of it.
            if last < 3 {
                assert_eq!(disk.next().did(), new.did(), "{last}");
            }
            disk.swap(&new).unwrap();
            forget_next(&next_path(disk.folder.path(), disk.agent)).unwrap();
            assert_eq!(AgentKey::load(&disk.current()).unwrap().did(), new.did(), "{last}");
            let kept = kept_path(&disk.current(), disk.agent, 2);
            assert_eq!(AgentKey::load(&kept).unwrap().did(), disk.old.did(), "{last}");
            assert_eq!(disk.keys().len(), 2, "{last}: nothing else is left");
        }
    }

    #[test]
    fn a_file_with_another_key_is_left_alone_and_a_missing_one_is_made() {
        let disk = Disk::new();
        let new = disk.next();
        let stranger = AgentKey::generate(&system_env());
        let other = swap(&disk.current(), disk.agent, stranger.did(), &new, 2).unwrap();
        assert_eq!(other, Swapped::Other);
        assert_eq!(AgentKey::load(&disk.current()).unwrap().did(), disk.old.did());
        fs::remove_file(disk.current()).unwrap();
        assert_eq!(disk.swap(&new).unwrap(), Swapped::Done { kept: None });
        assert_eq!(disk.swap(&new).unwrap(), Swapped::Already);
    }

    #[test]
    fn no_key_is_ever_overwritten_by_the_copy_of_another() {
        let disk = Disk::new();
        let (new, stranger) = (disk.next(), AgentKey::generate(&system_env()));
        stranger.save(&kept_path(&disk.current(), disk.agent, 2)).unwrap();
        let failure = disk.swap(&new).unwrap_err();
        assert!(failure.message().contains("another key"), "{}", failure.message());
        assert_eq!(AgentKey::load(&disk.current()).unwrap().did(), disk.old.did());
    }
}

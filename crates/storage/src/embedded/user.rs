//! PostgreSQL refuses to run as root; then another user must be found.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{EmbeddedError, io_error};

/// Whom a distribution's package makes, then whom every system has.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user to become.
#[derive(Clone, Debug)]
pub(super) struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// Whom to run PostgreSQL as; `None` where we are not root and run it as ourselves.
pub(super) fn to_run_as() -> Result<Option<User>, EmbeddedError> {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .map_err(|source| EmbeddedError::Io { what: "cannot run id".to_owned(), source })?;
    if output.stdout.trim_ascii() != b"0" {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(io_error("read", Path::new("/etc/passwd")))?;
    CANDIDATES.iter().find_map(|name| User::named(name, &users)).map(Some).ok_or(EmbeddedError::NoUser)
}

// === impl User ===

impl User {
    fn named(name: &str, users: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [found, _, uid, gid, ..] if *found == name => {
                    Some(Self { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
                }
                _other_line => None,
            }
        })
    }

    /// Makes the command run as this user; the standard library drops root's supplementary groups.
    pub(super) fn applied_to(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives the folder to this user.
    pub(super) fn own(&self, folder: &Path) -> Result<(), EmbeddedError> {
        std::os::unix::fs::chown(folder, Some(self.uid), Some(self.gid))
            .map_err(io_error("give away", folder))
    }

    /// Every folder on the way must let this user through.
    pub(super) fn check_can_enter(&self, folder: &Path) -> Result<(), EmbeddedError> {
        for ancestor in folder.ancestors() {
            let found = fs::metadata(ancestor).map_err(io_error("look at", ancestor))?;
            let bit = match (found.uid() == self.uid, found.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if found.mode() & bit == 0 {
                return Err(EmbeddedError::FolderClosed {
                    folder: ancestor.to_owned(),
                    user: self.name.clone(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_the_table_by_its_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:101:104:PostgreSQL:/:\n";
        let user = User::named("postgres", users).unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(User::named("nobody", users).is_none());
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let user = User { name: "nobody".to_owned(), uid: 65_534, gid: 65_534 };
        assert!(user.check_can_enter(Path::new("/usr/lib")).is_ok());
    }
}

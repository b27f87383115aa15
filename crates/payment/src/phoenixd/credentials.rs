//! phoenixd's passwords, each in a file of its own: not on a command line, not in the environment.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

/// phoenixd's own passwords have 64 characters; an operator's may be longer.
const MAX_PASSWORD_BYTES: u64 = 1_024;
/// Everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a password file is not used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read.
    #[error("the password file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may read it.
    #[error("the password file {} is open to others than its owner: chmod 600 it", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It holds no password: nothing, more than one line, or what no header can carry.
    #[error("the password file {} does not hold one line of printable ASCII", path.display())]
    NoPassword {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a password: the file's one line.
pub(super) fn read(path: &Path) -> Result<SecretString, CredentialsError> {
    let unreadable = |source| CredentialsError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Of the open file, so that nobody can put another one in its place meanwhile.
    if file.metadata().map_err(unreadable)?.permissions().mode() & OTHERS != 0 {
        return Err(CredentialsError::Open { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let printable = !password.is_empty() && password.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let short = u64::try_from(text.len()).is_ok_and(|bytes| bytes <= MAX_PASSWORD_BYTES);
    if !printable || !short {
        return Err(CredentialsError::NoPassword { path: path.to_owned() });
    }
    Ok(SecretString::from(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_password_is_the_one_line_of_a_file_that_only_its_owner_reads() {
        let (_folder, path) = file("s3cret\n", 0o600);
        assert_eq!(read(&path).unwrap().expose_secret(), "s3cret");
        for mode in [0o640, 0o604, 0o660, 0o601] {
            let (_folder, path) = file("s3cret\n", mode);
            assert!(matches!(read(&path), Err(CredentialsError::Open { .. })), "{mode:o}");
        }
        for text in ["", "\n", "two\nlines", "é", "tab\t", &"x".repeat(2_000)] {
            let (_folder, path) = file(text, 0o600);
            assert!(matches!(read(&path), Err(CredentialsError::NoPassword { .. })), "{text:?}");
        }
        assert!(matches!(read(Path::new("/nowhere/at/all")), Err(CredentialsError::Unreadable { .. })));
    }
}

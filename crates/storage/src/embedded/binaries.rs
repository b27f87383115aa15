//! Finds PostgreSQL's programs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;

/// The oldest major version the migrations are written for.
pub(super) const OLDEST: u32 = 15;
/// Where distributions put the programs of one version: a folder, and what its name starts with.
const INSTALLED: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
];

/// A folder with the programs of one version.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    major: u32,
}

/// The programs for this cluster: of the version that made it, or, for a new one, the first in PATH or the
/// highest installed.
pub(super) fn find(given: Option<&Path>, cluster: &Path) -> Result<Binaries, EmbeddedError> {
    let folders = match given {
        Some(folder) => vec![folder.to_owned()],
        None => folders_of_path().into_iter().chain(installed_folders()).collect(),
    };
    let found: Vec<Binaries> = folders.iter().filter_map(|folder| Binaries::in_folder(folder)).collect();
    let Some(first) = found.first() else {
        let looked = given.map_or_else(
            || format!("PATH and {}", INSTALLED.map(|(folder, _)| folder).join(", ")),
            |folder| folder.display().to_string(),
        );
        return Err(EmbeddedError::BinariesMissing { looked });
    };
    let Some(made_by) = major_of_cluster(cluster) else {
        return match found.iter().find(|binaries| binaries.major >= OLDEST) {
            Some(binaries) => Ok(binaries.clone()),
            None => Err(EmbeddedError::TooOld { found: first.major }),
        };
    };
    found.iter().find(|binaries| binaries.major == made_by).cloned().ok_or_else(|| {
        EmbeddedError::OtherMajorVersion { data_dir: cluster.to_owned(), made_by, installed: first.major }
    })
}

fn major_of_cluster(cluster: &Path) -> Option<u32> {
    fs::read_to_string(cluster.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn folders_of_path() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect())
        .unwrap_or_default()
}

fn installed_folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = INSTALLED
        .iter()
        .flat_map(|(folder, prefix)| {
            fs::read_dir(folder).into_iter().flatten().flatten().filter_map(move |entry| {
                let major = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((major, entry.path().join("bin")))
            })
        })
        .collect();
    versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

// === impl Binaries ===

impl Binaries {
    /// A program of this version.
    pub(super) fn program(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.folder.join(name.as_ref())
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        // Links in /usr/bin lead to wrappers: the real folder has all the programs side by side.
        let folder = fs::canonicalize(folder.join("postgres")).ok()?.parent()?.to_owned();
        if !folder.join("initdb").is_file() || !folder.join("pg_ctl").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        // `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.split_whitespace().nth(2)?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(Self { folder, major: digits.parse().ok()? })
    }
}

//! The files of an agent's directory, as its archive holds them.
//!
//! What belongs to the archive is said by the directory alone, because that is all that whoever makes it again has: hidden
//! files are in it, `.git` is not, and neither is what its `.gitignore` and `.poaignore` files name. Not looked at: the
//! user's and the machine's ignore files, `.git/info/exclude`, the folders above, and what Git has committed all the same.

use std::fs::{self, File, FileType};
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder};
use poa_sdk::receipts::ArchiveError;
use poa_sdk::receipts::archive::{Entry, EntryPath, MAX_ENTRIES, MAX_FILE_BYTES};

use crate::failure::{Exit, Failure};
use crate::ignore_file::{self, POA_IGNORE};

/// Of a repository, and not of its files.
const GIT: &str = ".git";
/// The bit of a mode that makes a file executable: the owner's, which is the one that Git keeps.
const OWNER_MAY_RUN: u32 = 0o100;

/// A directory that was looked through. Its files are not read so far.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    /// In the order of their paths.
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    path: EntryPath,
    is_link: bool,
}

// === impl Directory ===

impl Directory {
    /// Looks a directory through, without following symbolic links.
    pub(crate) fn walk(directory: &Path) -> Result<Self, Failure> {
        let root = fs::canonicalize(directory).map_err(|error| Failure::file(directory, &error))?;
        if !root.is_dir() {
            return Err(Failure::new(Exit::Usage, format!("{} is not a directory", directory.display())));
        }
        ignore_file::check(&root)?;
        let unreliable = Arc::new(Mutex::new(None));
        let mut found = Vec::new();
        let walk = WalkBuilder::new(&root)
            .standard_filters(false)
            .git_ignore(true)
            .require_git(false)
            .add_custom_ignore_filename(POA_IGNORE)
            .filter_entry(enters(Arc::clone(&unreliable)))
            .build();
        for entry in walk {
            let entry = entry.map_err(|error| unreadable(&error))?;
            if let Some(error) = entry.error() {
                return Err(unreadable(error));
            }
            found.extend(Found::of(&entry, &root)?);
            if found.len() > MAX_ENTRIES {
                return Err(refused(ArchiveError::TooManyEntries));
            }
        }
        if let Some(failure) = unreliable.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { root, found })
    }

    /// Where it is, without symbolic links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The entries in their order, each read when it is asked for.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<Entry<'static>, Failure>> {
        self.found.iter().map(|found| found.read(&self.root))
    }
}

/// Whether the walk takes what the ignore files leave. It asks before it opens those of a directory, and by then they must
/// be known to be sound: the first that is not is kept, and its directory left out for the time being.
fn enters(unreliable: Arc<Mutex<Option<Failure>>>) -> impl Fn(&DirEntry) -> bool + Send + Sync + 'static {
    move |entry| {
        if entry.file_name() == GIT {
            return false;
        }
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        match if is_directory { ignore_file::check(entry.path()) } else { Ok(()) } {
            Ok(()) => true,
            Err(failure) => {
                unreliable.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                false
            }
        }
    }
}

// === impl Found ===

impl Found {
    /// What the walk came to; `None` for a directory, which is in an archive by what is in it.
    fn of(entry: &DirEntry, root: &Path) -> Result<Option<Self>, Failure> {
        let path = entry.path();
        let kind = entry.file_type().ok_or_else(|| refuse(path, "what it is cannot be told"))?;
        if kind.is_dir() {
            return Ok(None);
        }
        if let Some(special) = special(kind) {
            return Err(refuse(
                path,
                &format!("it is {special}: an archive has files and symbolic links alone"),
            )
            .hint("remove it, or leave it out: name it in .poaignore"));
        }
        let relative = path.strip_prefix(root).unwrap_or(path);
        let text = relative.to_str().ok_or_else(|| refuse(path, "its path is not UTF-8"))?;
        let path = EntryPath::new(text).map_err(refused)?;
        Ok(Some(Self { path, is_link: kind.is_symlink() }))
    }

    fn read(&self, root: &Path) -> Result<Entry<'static>, Failure> {
        let source = root.join(self.path.as_str());
        if self.is_link {
            let target = fs::read_link(&source).map_err(|error| Failure::file(&source, &error))?;
            let target = target.to_str().ok_or_else(|| refuse(&source, "its target is not UTF-8"))?;
            return Entry::link(self.path.clone(), target).map_err(refused);
        }
        let (executable, content) = read_file(&source).map_err(|error| Failure::file(&source, &error))?;
        Entry::file(self.path.clone(), executable, content).map_err(refused)
    }
}

/// Whether a file may be run, and its bytes: as many as an archive takes, and one more where there are more.
fn read_file(path: &Path) -> std::io::Result<(bool, Vec<u8>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let expected = usize::try_from(metadata.len().min(limit)).unwrap_or_default();
    let mut content = Vec::with_capacity(expected);
    file.take(limit).read_to_end(&mut content)?;
    Ok((metadata.permissions().mode() & OWNER_MAY_RUN != 0, content))
}

/// What it is, where it is neither a file nor a link.
fn special(kind: FileType) -> Option<&'static str> {
    if kind.is_file() || kind.is_symlink() {
        None
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

fn refuse(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{path:?} cannot be archived: {why}"))
}

/// A folder or an ignore file that cannot be read, or a line that is no pattern: what is left out is then not known.
fn unreadable(error: &ignore::Error) -> Failure {
    Failure::new(Exit::Usage, format!("the directory cannot be looked through: {error}"))
}

/// The failure of an archive that cannot be made, with what to do about it.
pub(crate) fn refused(error: ArchiveError) -> Failure {
    let hint = match &error {
        ArchiveError::FileTooLarge { .. } | ArchiveError::ArchiveTooLarge | ArchiveError::TooManyEntries => {
            Some("leave out what is generated or fetched: name it in .poaignore")
        }
        ArchiveError::Path { .. }
        | ArchiveError::CaseCollision { .. }
        | ArchiveError::FileAndDirectory { .. } => Some("rename it, or leave it out: name it in .poaignore"),
        ArchiveError::Target { .. } => {
            Some("copy what it points to, or leave the link out: name it in .poaignore")
        }
        ArchiveError::Empty => Some("is it the right directory, and is not all of it left out?"),
        ArchiveError::Duplicate { .. }
        | ArchiveError::Unsorted { .. }
        | ArchiveError::Sink { .. }
        | ArchiveError::Truncated { .. }
        | ArchiveError::Checksum { .. }
        | ArchiveError::NotUstar { .. }
        | ArchiveError::Kind { .. }
        | ArchiveError::NotUtf8 { .. }
        | ArchiveError::Size { .. }
        | ArchiveError::NotCanonical { .. }
        | ArchiveError::Padding { .. }
        | ArchiveError::End { .. }
        | ArchiveError::TrailingBytes { .. } => None,
    };
    let failure = Failure::new(Exit::Usage, error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

//! An append-only file of checksummed lines: what has been appended survives a crash, and a line that a
//! crash tore is dropped.
//!
//! A line is one atomic change: `<checksum> <payload>\n`. The checksum covers the one before it too, so that
//! a line that was removed, repeated or moved is found. An append is on the disk before it returns, so only
//! the very last line can be torn, and no torn line was ever acknowledged. A bad line anywhere else is
//! corruption, and the file is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The first line of the file.
const HEADER: &[u8] = b"poa-simulated-node 1\n";
/// Bytes of a checksum: 64 bits find an accident, and nobody attacks this file.
const CHECKSUM_BYTES: usize = 8;
/// Bytes of a checksum in hexadecimal and the space after it.
const PREFIX_BYTES: usize = 2 * CHECKSUM_BYTES + 1;
/// The file holds the node's key.
const FILE_MODE: u32 = 0o600;

type Checksum = [u8; CHECKSUM_BYTES];

/// The open file. After an error of [`append`](Self::append) what is on the disk is unknown: the journal
/// must be opened anew.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    last: Checksum,
    bytes: u64,
}

/// Why a file cannot be read as a journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not the file of a simulated node, or of a newer version")]
    Foreign,
    #[error("line {line} is damaged")]
    Damaged { line: usize },
}

// === impl Journal ===

impl Journal {
    /// Opens an existing journal and hands each payload to `replay`, oldest first. A torn last line is cut
    /// off. `None` where there is no file, or an empty one.
    pub(super) fn open(
        path: &Path,
        mut replay: impl FnMut(usize, &[u8]) -> Result<(), JournalError>,
    ) -> Result<Option<Self>, JournalError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = file.metadata()?.len();
        if length == 0 {
            return Ok(None);
        }
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if line != HEADER {
            return Err(JournalError::Foreign);
        }
        let (mut last, mut good, mut number) = (Checksum::default(), size(&line), 1);
        loop {
            line.clear();
            number += 1;
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let Some((checksum, payload)) = read_line(&last, &line) else {
                // Something after a bad line means that it was not the last write.
                let mut next = [0];
                if reader.read(&mut next)? != 0 {
                    return Err(JournalError::Damaged { line: number });
                }
                break;
            };
            replay(number, payload)?;
            (last, good) = (checksum, good + size(&line));
        }
        drop(reader);
        let mut journal = Self { path: path.to_owned(), file, last, bytes: good };
        if good < length {
            tracing::warn!(
                torn_bytes = length - good,
                "the last line of the journal was torn and is dropped"
            );
            journal.file.set_len(good)?;
            journal.file.sync_all()?;
        }
        journal.file.seek(SeekFrom::Start(good))?;
        Ok(Some(journal))
    }

    /// Writes a whole new journal of one line in the place of whatever is there, atomically.
    pub(super) fn create(path: &Path, payload: &[u8]) -> io::Result<Self> {
        let temporary = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
        let (line, last) = write_line(&Checksum::default(), payload);
        file.write_all(HEADER)?;
        file.write_all(&line)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // Without this the rename itself may be lost with the power.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { path: path.to_owned(), file, last, bytes: size(HEADER) + size(&line) })
    }

    /// Appends one line and waits until it is on the disk.
    pub(super) fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let (line, checksum) = write_line(&self.last, payload);
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.last = checksum;
        self.bytes += size(&line);
        Ok(())
    }

    /// Replaces the whole journal by one line that says the same.
    pub(super) fn rewrite(&mut self, payload: &[u8]) -> io::Result<()> {
        *self = Self::create(&self.path, payload)?;
        Ok(())
    }

    /// The length of the file, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn checksum(previous: &Checksum, payload: &[u8]) -> Checksum {
    let digest: [u8; 32] = Sha256::new().chain_update(previous).chain_update(payload).finalize().into();
    let mut short = Checksum::default();
    short.copy_from_slice(&digest[..CHECKSUM_BYTES]);
    short
}

fn write_line(previous: &Checksum, payload: &[u8]) -> (Vec<u8>, Checksum) {
    let checksum = checksum(previous, payload);
    let mut line = hex::encode(checksum).into_bytes();
    line.push(b' ');
    line.extend_from_slice(payload);
    line.push(b'\n');
    (line, checksum)
}

/// The checksum and payload of a whole line that follows `previous`.
fn read_line<'a>(previous: &Checksum, line: &'a [u8]) -> Option<(Checksum, &'a [u8])> {
    let line = line.strip_suffix(b"\n")?;
    let (prefix, payload) = line.split_at_checked(PREFIX_BYTES)?;
    let mut found = Checksum::default();
    hex::decode_to_slice(prefix.strip_suffix(b" ")?, &mut found).ok()?;
    (found == checksum(previous, payload)).then_some((found, payload))
}

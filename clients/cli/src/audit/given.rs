//! What the user holds: receipts, and checkpoints that were seen elsewhere.

use std::path::{Path, PathBuf};

use poa_sdk::receipts::Bundle;
use poa_sdk::receipts::bundle::MAX_BUNDLE_BYTES;
use poa_sdk::receipts::note::MAX_NOTE_BYTES;

use crate::app::read_file;
use crate::failure::{Exit, Failure};
use crate::output::Out;

/// Receipts and checkpoints of one run.
const MAX_FILES: usize = 10_000;

/// One file.
pub(crate) struct Given {
    pub(crate) name: String,
    pub(crate) what: What,
    /// All of it was held against the log.
    pub(crate) settled: bool,
}

/// What is in a file.
pub(crate) enum What {
    Receipt(Box<Bundle>),
    Checkpoint(String),
}

/// Reads the files. Those of a folder that are no receipts are passed over, and told.
pub(crate) fn read(out: Out, receipts: &[PathBuf], checkpoints: &[PathBuf]) -> Result<Vec<Given>, Failure> {
    let mut given = Vec::new();
    for path in receipts {
        if path.is_dir() {
            for path in files(path)? {
                match receipt(&path) {
                    Ok(receipt) => given.push(receipt),
                    Err(failure) => out.progress(&format!("passed over: {}", failure.message())),
                }
            }
        } else {
            given.push(receipt(path)?);
        }
    }
    for path in checkpoints {
        let note = String::from_utf8(read_file(path, MAX_NOTE_BYTES)?)
            .map_err(|_| Failure::new(Exit::Usage, format!("{} is not text", path.display())))?;
        // Shells strip the last line break.
        let note = if note.ends_with('\n') { note } else { format!("{note}\n") };
        given.push(Given { name: path.display().to_string(), what: What::Checkpoint(note), settled: false });
    }
    if given.len() > MAX_FILES {
        return Err(Failure::new(Exit::Usage, format!("more than {MAX_FILES} receipts and checkpoints")));
    }
    Ok(given)
}

fn receipt(path: &Path) -> Result<Given, Failure> {
    let name = path.display().to_string();
    let bundle = Bundle::from_json(&read_file(path, MAX_BUNDLE_BYTES)?)
        .map_err(|error| Failure::new(Exit::Usage, format!("{name}: {error}")))?;
    Ok(Given { name, what: What::Receipt(Box::new(bundle)), settled: false })
}

/// The JSON files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::file(folder, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

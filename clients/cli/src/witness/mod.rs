//! A witness: cosigns checkpoints of logs where it has seen nothing before that disagrees.
//!
//! Source: <https://c2sp.org/tlog-witness>. What it has cosigned is on the disk before the answer leaves: after a crash it may have
//! cosigned what nobody got, and never the other way round.

pub(crate) mod kept;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use poa_sdk::receipts::witness::{AddCheckpoint, WitnessRefusal};
use poa_sdk::receipts::{Checkpoint, LogKey};
use poa_sdk::{Cosigner, Env};

use self::kept::{Disagreement, Kept};
use crate::failure::{Exit, Failure};
use crate::output::{Out, one_line};

/// The media type of a size in an answer.
const SIZE_TYPE: &str = "text/x.tlog.size";
/// That of all other answers.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// A witness of some logs.
pub(crate) struct Witness {
    cosigner: Cosigner,
    keys: Vec<LogKey>,
    logs: BTreeMap<String, Log>,
    folder: PathBuf,
    env: Env,
    out: Out,
    /// Held as long as the witness lives.
    _lock: File,
}

/// One log.
struct Log {
    path: PathBuf,
    /// What was cosigned last. Judging, keeping and remembering are one step under this lock, so that of two trees of one size one
    /// is cosigned at most. None where a write has failed: what the disk holds is read again.
    seen: Mutex<Option<Kept>>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media_type: &'static str,
    pub(crate) body: String,
}

// === impl Witness ===

impl Witness {
    /// A witness that remembers in a folder, which no other process uses.
    pub(crate) fn open(
        cosigner: Cosigner,
        keys: Vec<LogKey>,
        folder: &Path,
        env: Env,
        out: Out,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::file(folder, &error);
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join("lock"));
        let lock = lock.map_err(failed)?;
        if lock.try_lock().is_err() {
            let message = format!("another witness uses {}", folder.display());
            return Err(Failure::new(Exit::Refused, message)
                .hint("two processes with one key could cosign two histories: stop the other one"));
        }
        let mut logs = BTreeMap::new();
        for key in &keys {
            let path = kept::path(folder, key.name());
            let seen = Kept::read(&path, key.name())?;
            logs.insert(key.name().to_owned(), Log { path, seen: Mutex::new(Some(seen)) });
        }
        Ok(Self { cosigner, keys, logs, folder: folder.to_owned(), env, out, _lock: lock })
    }

    /// What it is, in one line.
    pub(crate) fn describe(&self) -> String {
        let logs: Vec<&str> = self.logs.keys().map(String::as_str).collect();
        format!(
            "The witness {} of {}: POST /add-checkpoint as https://c2sp.org/tlog-witness has it.\n",
            self.cosigner.key(),
            logs.join(", ")
        )
    }

    /// Answers a request to cosign. It blocks on the disk, and is not to be left halfway.
    pub(crate) fn add_checkpoint(&self, body: &[u8]) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(refusal) => return Answer::refused(&refusal),
        };
        let origin = Checkpoint::read_unverified(&request.note).map(|checkpoint| checkpoint.origin);
        let Some(log) = origin.ok().and_then(|origin| self.logs.get(&origin)) else {
            // Of a log that is not known, or no checkpoint at all: the same judgement says which.
            return match request.judge(&self.keys, None) {
                Err(refusal) => Answer::refused(&refusal),
                Ok(_) => Answer::failed(),
            };
        };
        // What stands there is replaced as a whole, so that a thread that panicked has left it sound.
        let mut seen = log.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match seen.take().map_or_else(|| Kept::read(&log.path, self.origin_of(log)), Ok) {
            Ok(kept) => kept,
            Err(failure) => {
                self.out.warn(&format!("what was cosigned cannot be read: {}", failure.message()));
                return Answer::failed();
            }
        };
        let checkpoint = match request.judge(&self.keys, kept.seen()) {
            Ok(checkpoint) => checkpoint,
            Err(refusal) => {
                self.tell(&refusal, &kept, &request.note);
                *seen = Some(kept);
                return Answer::refused(&refusal);
            }
        };
        let at = u64::try_from(self.env.now().unix_timestamp()).unwrap_or_default();
        let Ok(line) = self.cosigner.cosign(&request.note, at) else {
            *seen = Some(kept);
            return Answer::failed();
        };
        let next = Kept::of(&checkpoint, &request.note);
        if kept.seen() != next.seen()
            && let Err(error) = next.write(&log.path)
        {
            // The disk may hold either: nothing is cosigned before it was read again.
            self.out.warn(&format!("{}: {error}", log.path.display()));
            return Answer::failed();
        }
        *seen = Some(next);
        Answer { status: 200, media_type: TEXT_TYPE, body: line }
    }

    fn origin_of(&self, log: &Log) -> &str {
        let found = self.logs.iter().find(|(_, it)| std::ptr::eq(*it, log));
        found.map(|(origin, _)| origin.as_str()).unwrap_or_default()
    }

    /// A fork is told loudly, and both notes are kept. A proof that does not hold may be one, or a mistake of whoever sent it.
    fn tell(&self, refusal: &WitnessRefusal, kept: &Kept, note: &str) {
        let proof_fails = matches!(refusal, WitnessRefusal::Inconsistent(_));
        if !refusal.is_fork() && !proof_fails {
            return;
        }
        let disagreement = Disagreement { refusal: refusal.to_string(), cosigned: kept.note(), shown: note };
        let file = match disagreement.write(&self.folder) {
            Ok(Some(path)) => format!("kept in {}", path.display()),
            Ok(None) => "kept before".to_owned(),
            Err(error) => format!("NOT KEPT: {error}"),
        };
        let head = if refusal.is_fork() { "FORK" } else { "not consistent" };
        self.out.warn(&format!(
            "{head}: {}; {file}\n--- cosigned\n{}\n--- shown\n{}",
            one_line(&refusal.to_string()),
            kept.note().trim_end(),
            note.trim_end()
        ));
    }
}

// === impl Answer ===

impl Answer {
    fn refused(refusal: &WitnessRefusal) -> Self {
        match refusal {
            WitnessRefusal::OldSize(size) | WitnessRefusal::OtherRoot(size) => {
                Self { status: refusal.status(), media_type: SIZE_TYPE, body: format!("{size}\n") }
            }
            WitnessRefusal::Malformed(_)
            | WitnessRefusal::UnknownLog(_)
            | WitnessRefusal::Checkpoint(_)
            | WitnessRefusal::Inconsistent(_) => {
                Self { status: refusal.status(), media_type: TEXT_TYPE, body: format!("{refusal}\n") }
            }
        }
    }

    /// The disk has failed.
    fn failed() -> Self {
        Self { status: 500, media_type: TEXT_TYPE, body: "the witness cannot answer now\n".to_owned() }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

//! Snapshots of what is owed, their leaves, and how far each is on its way into the log.

mod snapshots;
mod tree;

pub(crate) use snapshots::{
    Answer, Progress, Snapshot, forget, newest_published, note_answer, take, unfinished,
};
pub(crate) use tree::{PART, build, leaf_of, neighbours};

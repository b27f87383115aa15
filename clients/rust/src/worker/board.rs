//! What a worker knows of the open tasks: enough to know when asking for one is worth it.
//!
//! Asking sets a task aside, so that a worker which asked again and again for a task that it cannot do would keep it from
//! others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::calls::FeedUpdate;

/// Open tasks that are remembered. Beyond that the worker asks without knowing.
const MAX_OPEN: usize = 10_000;
/// Tasks that are remembered as refused or given back.
const MAX_REFUSED: usize = 256;
/// How long a task that was refused or given back is left to others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(600);

/// The open tasks, and those that this worker leaves to others.
#[derive(Debug, Default)]
pub(super) struct Board {
    open: BTreeSet<String>,
    crowded: bool,
    refused: BTreeMap<String, Instant>,
}

// === impl Board ===

impl Board {
    /// Takes a message of the feed.
    pub(super) fn hear(&mut self, update: &FeedUpdate) {
        match update {
            FeedUpdate::Snapshot { tasks, first, .. } => {
                if *first {
                    self.open.clear();
                    self.crowded = false;
                }
                tasks.iter().for_each(|task| self.opened(&task.task_id));
            }
            FeedUpdate::Opened(task) => self.opened(&task.task_id),
            FeedUpdate::Closed(task_id) => self.taken(task_id),
        }
    }

    fn opened(&mut self, task_id: &str) {
        if self.open.len() < MAX_OPEN {
            self.open.insert(task_id.to_owned());
        } else {
            self.crowded = true;
        }
    }

    /// The task is open no more.
    pub(super) fn taken(&mut self, task_id: &str) {
        self.open.remove(task_id);
    }

    /// Leaves a task to others for a while.
    pub(super) fn refuse(&mut self, task_id: String, now: Instant) {
        self.refused.retain(|_, since| now.duration_since(*since) < LEFT_TO_OTHERS);
        if self.refused.len() >= MAX_REFUSED {
            let oldest = self.refused.iter().min_by_key(|(_, since)| **since).map(|(id, _)| id.clone());
            oldest.map(|id| self.refused.remove(&id));
        }
        self.refused.insert(task_id, now);
    }

    /// Whether a task is left to others.
    pub(super) fn is_refused(&self, task_id: &str, now: Instant) -> bool {
        self.refused.get(task_id).is_some_and(|since| now.duration_since(*since) < LEFT_TO_OTHERS)
    }

    /// Whether a task may be open that this worker would take.
    pub(super) fn is_worth_asking(&self, now: Instant) -> bool {
        self.crowded || self.open.iter().any(|task_id| !self.is_refused(task_id, now))
    }
}

#[cfg(test)]
mod tests {
    use poa_proto::task::v1::OpenTask;

    use super::*;

    fn snapshot(ids: &[&str], first: bool) -> FeedUpdate {
        let task = |id: &&str| OpenTask { task_id: (*id).to_owned(), ..OpenTask::default() };
        FeedUpdate::Snapshot { tasks: ids.iter().map(task).collect(), first, last: true }
    }

    #[test]
    fn a_worker_asks_only_while_something_is_open_that_it_would_take() {
        let (mut board, now) = (Board::default(), Instant::now());
        assert!(!board.is_worth_asking(now));
        board.hear(&snapshot(&["a"], true));
        board.hear(&snapshot(&["b"], false));
        assert!(board.is_worth_asking(now));
        board.refuse("a".to_owned(), now);
        assert!(board.is_worth_asking(now), "b is still there");
        board.hear(&FeedUpdate::Closed("b".to_owned()));
        assert!(!board.is_worth_asking(now), "a is left to others");
        assert!(board.is_worth_asking(now + LEFT_TO_OTHERS), "but not for ever");
        board.hear(&snapshot(&[], true));
        assert!(!board.is_worth_asking(now + LEFT_TO_OTHERS), "a new snapshot replaces what was known");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut board, now) = (Board::default(), Instant::now());
        for number in 0..=MAX_OPEN {
            board.opened(&number.to_string());
        }
        for number in 0..=MAX_REFUSED {
            let at = now + Duration::from_millis(u64::try_from(number).unwrap());
            board.refuse(number.to_string(), at);
        }
        assert_eq!((board.open.len(), board.refused.len()), (MAX_OPEN, MAX_REFUSED));
        assert!(board.crowded);
        assert!(!board.is_refused("0", now), "the oldest makes room");
    }
}

//! Chains that were replayed before. A hint: what is taken out is held against the stored place, so that a chain
//! that another replica has moved on, or whose transaction was rolled back, is replayed again.

use std::collections::HashMap;

use poa_common::TaskId;

use super::{Place, TaskChain};

/// Replayed chains, bounded by weight. Two generations: when the younger is full, the older goes.
#[derive(Debug)]
pub(crate) struct ChainCache {
    young: HashMap<TaskId, TaskChain>,
    old: HashMap<TaskId, TaskChain>,
    young_bytes: usize,
    generation_bytes: usize,
}

/// What a chain costs beside its statements.
const OVERHEAD_BYTES: usize = 1_024;

// === impl ChainCache ===

impl ChainCache {
    /// A cache of at most about `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, generation_bytes: bytes / 2 }
    }

    /// Takes out the chain of a task, if it ends at this place.
    pub(crate) fn take(&mut self, task_id: TaskId, place: Place) -> Option<TaskChain> {
        let young = self.young.remove(&task_id);
        if let Some(chain) = &young {
            self.young_bytes = self.young_bytes.saturating_sub(cost(chain));
        }
        let chain = young.or_else(|| self.old.remove(&task_id))?;
        (chain.end().map(|end| end.place) == Some(place)).then_some(chain)
    }

    /// Puts a chain in, in place of what is there of this task.
    pub(crate) fn put(&mut self, task_id: TaskId, chain: TaskChain) {
        self.old.remove(&task_id);
        self.young_bytes = self.young_bytes.saturating_add(cost(&chain));
        if let Some(before) = self.young.insert(task_id, chain) {
            self.young_bytes = self.young_bytes.saturating_sub(cost(&before));
        }
        if self.young_bytes > self.generation_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

fn cost(chain: &TaskChain) -> usize {
    chain.weight().saturating_add(OVERHEAD_BYTES)
}

//! What clients were told, in the order in which they were told it, and what may not follow from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use poa_chaos::EDGES;
use poa_sdk::Error;
use poa_sdk::api::task::task::State;
use tokio::time::Instant;

/// A write that a server said it has carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ack {
    Created,
    Claimed,
    Submitted,
    Accepted,
}

/// Shared by everybody who looks at one mesh.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: BTreeMap<String, Known>,
    acks: BTreeMap<Ack, usize>,
    completed: Vec<Instant>,
    /// What clients were refused with: code, reason, and how often.
    errors: BTreeMap<(String, String), usize>,
    violations: Vec<String>,
}

/// One task, as its requester and its agent were told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) states: Vec<State>,
    pub(crate) acks: Vec<Ack>,
}

// === impl Journal ===

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client was told of a task's state. What it was told before must lead there.
    pub(crate) fn saw(&self, task: &str, state: State) {
        let mut inner = self.lock();
        let known = inner.tasks.entry(task.to_owned()).or_default();
        let problem = known.saw(state);
        if state == State::Completed && known.states.iter().filter(|seen| **seen == state).count() == 1 {
            inner.completed.push(Instant::now());
        }
        inner.violations.extend(problem.map(|problem| format!("{task}: {problem}")));
    }

    /// A write was acknowledged.
    pub(crate) fn acknowledged(&self, task: &str, ack: Ack) {
        let mut inner = self.lock();
        inner.tasks.entry(task.to_owned()).or_default().acks.push(ack);
        *inner.acks.entry(ack).or_default() += 1;
    }

    /// A call was refused, or its outcome stayed open.
    pub(crate) fn failed(&self, error: &Error) {
        let code = error.code().map_or_else(|| error.to_string(), |code| format!("{code:?}"));
        *self.lock().errors.entry((code, error.reason().to_owned())).or_default() += 1;
    }

    /// Something that may never happen has happened.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        self.lock().violations.push(what.into());
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// How often calls were refused with this code.
    pub(crate) fn refused_with(&self, code: &str) -> usize {
        self.lock().errors.iter().filter(|((found, _), _)| found == code).map(|(_, count)| count).sum()
    }

    pub(crate) fn tasks(&self) -> BTreeMap<String, Known> {
        self.lock().tasks.clone()
    }

    pub(crate) fn acknowledgements(&self) -> usize {
        self.lock().acks.values().sum()
    }

    /// How many tasks have been completed since a moment.
    pub(crate) fn completed_since(&self, moment: Instant) -> usize {
        self.lock().completed.iter().filter(|at| **at >= moment).count()
    }

    /// The refusals as one line.
    pub(crate) fn errors(&self) -> String {
        let inner = self.lock();
        let each = inner.errors.iter().map(|((code, reason), count)| format!("{count} {code} {reason}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

// === impl Known ===

impl Known {
    /// Notes a state; answers with what is wrong with it.
    fn saw(&mut self, state: State) -> Option<String> {
        let before = self.states.last().copied();
        let problem = match before {
            None => None,
            Some(before) if before == state || leads_to(before, state) => None,
            Some(before) => Some(format!("{before:?} became {state:?}")),
        };
        let undone = self.acks.iter().find(|ack| !ack.allows(state));
        let undone = undone.map(|ack| format!("{ack:?} was acknowledged, and now it is {state:?}"));
        if before != Some(state) {
            self.states.push(state);
        }
        problem.or(undone)
    }
}

// === impl Ack ===

impl Ack {
    /// Whether a task of this load, where nothing is rejected or cancelled, may be in a state after the acknowledgement.
    fn allows(self, state: State) -> bool {
        match self {
            Self::Created | Self::Claimed => {
                !matches!(state, State::Refunding | State::Canceled | State::Expired | State::Rejected)
            }
            Self::Submitted => matches!(state, State::Submitted | State::Releasing | State::Completed),
            Self::Accepted => matches!(state, State::Releasing | State::Completed),
        }
    }
}

/// Whether legal changes lead from one state to another: not every state is seen by everybody.
fn leads_to(from: State, to: State) -> bool {
    let mut reached = vec![from];
    let mut next = 0;
    while let Some(here) = reached.get(next).copied() {
        let further = EDGES.iter().filter(|(start, _)| *start == here).map(|(_, end)| *end);
        let new: Vec<State> = further.filter(|end| !reached.contains(end)).collect();
        reached.extend(new);
        next += 1;
    }
    reached[1..].contains(&to)
}

#[test]
fn a_history_that_goes_backwards_or_forgets_is_found() {
    let journal = Journal::default();
    for state in [State::Open, State::Claimed, State::Open, State::Submitted, State::Completed] {
        journal.saw("a", state);
    }
    assert!(journal.violations().is_empty(), "{:?}", journal.violations());
    journal.saw("a", State::Releasing);
    assert_eq!(journal.violations().len(), 1, "what is over stays over");
    journal.saw("b", State::Submitted);
    journal.acknowledged("b", Ack::Submitted);
    journal.saw("b", State::Claimed);
    assert_eq!(journal.violations().len(), 2, "an acknowledged result is not forgotten");
}

//! Faults on demand, by method.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tonic::Status;

/// What a neighbour does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Does nothing, and says so.
    Unavailable,
    /// Does it, and the answer is lost.
    Lost,
    /// Does nothing and never answers.
    Hang,
}

/// The faults to come, by method.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    planned: Mutex<HashMap<&'static str, VecDeque<Fault>>>,
    down: Mutex<Vec<&'static str>>,
}

// === impl Faults ===

impl Faults {
    /// The next `times` calls of a method go wrong.
    pub(crate) fn plan(&self, method: &'static str, fault: Fault, times: usize) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.entry(method).or_default().extend(std::iter::repeat_n(fault, times));
    }

    /// A method answers UNAVAILABLE until it is up again.
    pub(crate) fn down(&self, method: &'static str) {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).push(method);
    }

    /// A method is up again.
    pub(crate) fn up(&self, method: &'static str) {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).retain(|down| *down != method);
    }

    /// Whether a method is down.
    pub(crate) fn is_down(&self, method: &str) -> bool {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).contains(&method)
    }

    /// Before a call's effect: answers whether its answer is to be lost.
    pub(crate) async fn before(&self, method: &'static str) -> Result<bool, Status> {
        if self.down.lock().unwrap_or_else(PoisonError::into_inner).contains(&method) {
            return Err(Status::unavailable("down"));
        }
        let fault = {
            let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            planned.get_mut(method).and_then(VecDeque::pop_front)
        };
        match fault {
            None => Ok(false),
            Some(Fault::Lost) => Ok(true),
            Some(Fault::Unavailable) => Err(Status::unavailable("planned")),
            Some(Fault::Hang) => std::future::pending().await,
        }
    }
}

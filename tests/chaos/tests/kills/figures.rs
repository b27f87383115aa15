//! What a run measured, printed in one block at its end.

use std::time::Duration;

use crate::points::{Action, Strike};
use crate::rig::Rig;

/// The figures of one test.
pub(crate) struct Figures {
    name: &'static str,
    struck: Vec<Strike>,
    /// From the restart of what was killed to rest.
    recoveries: Vec<(Duration, &'static str)>,
}

// === impl Figures ===

impl Figures {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, struck: Vec::new(), recoveries: Vec::new() }
    }

    /// Notes a strike, and how long it took to recover where that was measured.
    pub(crate) fn note(&mut self, strike: Strike, recovery: Option<Duration>) {
        self.struck.push(strike);
        self.recoveries.extend(recovery.map(|took| (took, strike.point)));
    }

    pub(crate) fn print(&mut self, rig: &Rig) {
        let count = |action| self.struck.iter().filter(|strike| strike.action == action).count();
        let (audits, stories) = (rig.audits(), rig.stories());
        let [kills, errors, hangs] = [Action::Kill, Action::Error, Action::Hang].map(count);
        let mut text = format!("\n== {}\n", self.name);
        text += &format!("kills {kills}, failures {errors}, stalls {hangs}; stories told {stories}; ");
        text += &format!("audits of the live ledger {audits}, all clean\n");
        self.recoveries.sort_unstable();
        if let (Some(p50), Some(p99), Some(worst)) = (self.at(50), self.at(99), self.recoveries.last()) {
            text += &format!("recovery p50 {p50:.2?}, p99 {p99:.2?}, worst {:.2?} at {}\n", worst.0, worst.1);
        }
        eprintln!("{text}");
    }

    /// The recovery at this percentile: the smallest that is not below so many in a hundred.
    fn at(&self, percent: usize) -> Option<Duration> {
        let rank = (self.recoveries.len() * percent).div_ceil(100);
        self.recoveries.get(rank.saturating_sub(1)).map(|(took, _)| *took)
    }
}

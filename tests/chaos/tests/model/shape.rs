//! The model of one task: all that it may be, given what was asked, what was answered and what was seen.
//!
//! An operation whose outcome nobody heard may have been carried out or not, now or later: the model keeps a branch for
//! each. What the platform does by itself makes branches, too, where its clocks allow it. A read narrows them to those that
//! explain it; where none does, a promise was broken.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use poa_proto::task::v1::task::State;

/// More branches than this say that the model is wrong, not the service.
const MAX_BRANCHES: usize = 20_000;

/// What is fixed of a task.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Whether the requester decides.
    pub(crate) by_word: bool,
    /// The one agent that may claim it.
    pub(crate) direct: Option<usize>,
    pub(crate) times: Times,
}

/// A task's times, in microseconds of the mesh clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) open: i64,
    pub(crate) work: i64,
    pub(crate) lease: i64,
    pub(crate) review: i64,
}

/// What was asked of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Claim { agent: usize, account: usize, number: u32 },
    Renew { account: usize },
    Release { account: usize },
    Submit { account: usize, number: u32, sha256: [u8; 32] },
    Accept,
    Reject,
    Cancel,
}

/// What is known of an operation's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may have been carried out, or may yet be.
    Open,
    /// It was carried out.
    Done,
    /// It certainly was not, and no copy of it is on its way.
    Refused,
}

/// An operation on a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The number of the operation.
    pub(crate) op: usize,
    pub(crate) verb: Verb,
    pub(crate) verdict: Verdict,
}

/// What a read shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: State,
    /// The holder of the claim and its number.
    pub(crate) claim: Option<(usize, u32)>,
    pub(crate) result: Option<[u8; 32]>,
    pub(crate) version: u64,
}

/// What the clocks allow at a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// All that is new since the last read happened after this moment, in microseconds of the mesh clock.
    pub(crate) after: i64,
    /// And before this one.
    pub(crate) before: i64,
    /// Whether the price of a task may not be covered, or its payer's token has ended.
    pub(crate) unfunded: bool,
}

/// One thing that a task may be. The moments are lower bounds of when a time began to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    state: i32,
    /// Whether a refund ends as EXPIRED.
    expires: bool,
    claims: u32,
    holder: Option<(usize, usize)>,
    result: Option<[u8; 32]>,
    opened: i64,
    claimed: i64,
    leased: i64,
    waits: i64,
    /// Which operations were carried out, by their place.
    used: BTreeSet<usize>,
}

/// A task and all that it may be.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    terms: Terms,
    asked: Vec<Asked>,
    branches: BTreeSet<Branch>,
    seen: Option<Seen>,
    /// The states of all branches of the last read, before they were narrowed.
    passed: BTreeSet<i32>,
    /// Agents whose acceptance may be refused: attestation may not know them yet.
    fresh: BTreeSet<usize>,
}

// === impl Shape ===

impl Shape {
    /// A task that was just created.
    pub(crate) fn new(terms: Terms) -> Self {
        let first = Branch {
            state: State::Funding.into(),
            expires: false,
            claims: 0,
            holder: None,
            result: None,
            opened: 0,
            claimed: 0,
            leased: 0,
            waits: 0,
            used: BTreeSet::new(),
        };
        Self {
            terms,
            asked: Vec::new(),
            branches: BTreeSet::from([first]),
            seen: None,
            passed: BTreeSet::new(),
            fresh: BTreeSet::new(),
        }
    }

    /// Notes an operation, or that an operation is asked once more.
    pub(crate) fn ask(&mut self, op: usize, verb: Verb) {
        match self.asked.iter_mut().find(|asked| asked.op == op) {
            Some(asked) if asked.verdict == Verdict::Refused => asked.verdict = Verdict::Open,
            Some(_) => {}
            None => self.asked.push(Asked { op, verb, verdict: Verdict::Open }),
        }
    }

    /// Notes an outcome. What was done stays done.
    pub(crate) fn answer(&mut self, op: usize, verdict: Verdict) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.op == op)
            && asked.verdict != Verdict::Done
        {
            asked.verdict = verdict;
        }
    }

    /// An agent that attestation may not have heard of yet.
    pub(crate) fn is_fresh(&mut self, agent: usize) {
        self.fresh.insert(agent);
    }

    /// The highest number of a claim that there may have been.
    pub(crate) fn claims(&self) -> u32 {
        self.branches.iter().map(|branch| branch.claims).max().unwrap_or_default()
    }

    /// What was seen last.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// Whether a refusal that names a state can be true: the task passed through it since the last read but one.
    pub(crate) fn may_have_been(&self, state: &str) -> bool {
        let passed = |state: State| self.passed.contains(&i32::from(state));
        let named = State::from_str_name(&format!("STATE_{state}"));
        // What is over by the clock counts as over, even where nobody has written so yet.
        let early = match named {
            Some(State::Expired) => passed(State::Open),
            Some(State::Releasing) => passed(State::Submitted),
            _ => false,
        };
        early || named.is_some_and(passed)
    }

    /// Narrows the model to what explains a read.
    ///
    /// # Errors
    /// Nothing does: what the model held for possible, and what was read.
    pub(crate) fn narrow(&mut self, seen: &Seen, clocks: Clocks) -> Result<(), String> {
        if let Some(before) = &self.seen
            && before.version > seen.version
        {
            return Err(format!("the task went back: {before:?}, then {seen:?}"));
        }
        let reached = self.closure(clocks)?;
        self.passed = reached.iter().map(|branch| branch.state).collect();
        let left: BTreeSet<Branch> =
            reached.iter().filter(|branch| self.explains(branch, seen)).cloned().collect();
        if left.is_empty() {
            return Err(self.nothing_explains(seen, clocks));
        }
        self.branches = left;
        self.seen = Some(seen.clone());
        Ok(())
    }

    /// All that the task may have become.
    fn closure(&self, clocks: Clocks) -> Result<BTreeSet<Branch>, String> {
        let mut reached = self.branches.clone();
        let mut work: Vec<Branch> = reached.iter().cloned().collect();
        while let Some(branch) = work.pop() {
            let mut next = self.by_itself(&branch, clocks);
            for (place, asked) in self.asked.iter().enumerate() {
                if asked.verdict != Verdict::Refused && !branch.used.contains(&place) {
                    next.extend(self.carried_out(&branch, place, asked.verb, clocks));
                }
            }
            for branch in next {
                if reached.insert(branch.clone()) {
                    work.push(branch);
                }
            }
            if reached.len() > MAX_BRANCHES {
                return Err(format!("the model holds {} branches", reached.len()));
            }
        }
        Ok(reached)
    }

    /// What the platform may do.
    fn by_itself(&self, branch: &Branch, clocks: Clocks) -> Vec<Branch> {
        let Times { open, work, lease, review } = self.terms.times;
        let over = |since: i64, span: i64| since.saturating_add(span) <= clocks.before;
        let go = |state: State| Branch { state: state.into(), ..branch.clone() };
        let mut next = Vec::new();
        match state_of(branch) {
            State::Funding => {
                next.push(Branch { opened: clocks.after, ..go(State::Open) });
                if clocks.unfunded {
                    next.push(go(State::Refunding));
                }
            }
            State::Open if over(branch.opened, open) => {
                next.push(Branch { expires: true, ..go(State::Refunding) });
            }
            State::Claimed => {
                if over(branch.leased, lease) || over(branch.claimed, work) {
                    next.push(Branch { holder: None, ..go(State::Open) });
                }
                // The acceptance was refused: the claim never was, and its number stays used.
                if branch.holder.is_some_and(|(agent, _)| self.fresh.contains(&agent)) {
                    let mut undone = Branch { holder: None, ..go(State::Open) };
                    undone.used.retain(|place| !matches!(self.asked[*place].verb, Verb::Claim { number, .. } if number == branch.claims));
                    next.push(undone);
                }
            }
            State::Submitted if !self.terms.by_word || over(branch.waits, review) => {
                next.push(go(State::Releasing));
            }
            State::Rejected if over(branch.waits, review) => {
                next.push(Branch { expires: true, ..go(State::Refunding) });
            }
            State::Releasing => next.push(go(State::Completed)),
            State::Refunding if branch.expires => next.push(go(State::Expired)),
            State::Refunding => next.push(go(State::Canceled)),
            // The model pays from balances alone.
            State::Unspecified
            | State::AwaitingFunds
            | State::Open
            | State::Submitted
            | State::Rejected
            | State::Completed
            | State::Canceled
            | State::Expired => {}
        }
        next
    }

    /// What an operation makes of a branch, if it can be carried out there.
    fn carried_out(&self, branch: &Branch, place: usize, verb: Verb, clocks: Clocks) -> Option<Branch> {
        let holds = |account: usize| branch.holder.is_some_and(|(_, holder)| holder == account);
        let now = clocks.after;
        let mut next = branch.clone();
        next.used.insert(place);
        let state = match (verb, state_of(branch)) {
            (Verb::Claim { agent, account, number }, State::Open)
                if number == branch.claims + 1 && self.terms.direct.is_none_or(|only| only == agent) =>
            {
                (next.claims, next.holder) = (number, Some((agent, account)));
                (next.claimed, next.leased) = (now, now);
                State::Claimed
            }
            (Verb::Renew { account }, State::Claimed) if holds(account) => {
                next.leased = now;
                State::Claimed
            }
            (Verb::Release { account }, State::Claimed) if holds(account) => {
                next.holder = None;
                State::Open
            }
            (Verb::Submit { account, number, sha256 }, State::Claimed | State::Rejected)
                if holds(account) && number == branch.claims =>
            {
                (next.result, next.waits) = (Some(sha256), now);
                State::Submitted
            }
            (Verb::Accept, State::Submitted) if self.terms.by_word => State::Releasing,
            (Verb::Reject, State::Submitted) if self.terms.by_word => {
                next.waits = now;
                State::Rejected
            }
            (Verb::Cancel, State::Funding | State::Open) => State::Refunding,
            (_, _) => return None,
        };
        next.state = state.into();
        Some(next)
    }

    fn explains(&self, branch: &Branch, seen: &Seen) -> bool {
        let claim = branch.holder.map(|(agent, _)| (agent, branch.claims));
        branch.state == i32::from(seen.state)
            && claim == seen.claim
            && branch.result == seen.result
            && self.asked.iter().enumerate().all(|(place, asked)| {
                let used = branch.used.contains(&place);
                match (asked.verdict, asked.verb) {
                    (Verdict::Open, _) => true,
                    (Verdict::Refused, _) => !used,
                    // These say yes where it is so already, whoever brought it about.
                    (Verdict::Done, Verb::Accept) => {
                        matches!(seen.state, State::Releasing | State::Completed)
                    }
                    (Verdict::Done, Verb::Cancel) => {
                        !branch.expires && matches!(seen.state, State::Refunding | State::Canceled)
                    }
                    (Verdict::Done, _) => used,
                }
            })
    }

    fn nothing_explains(&self, seen: &Seen, clocks: Clocks) -> String {
        let mut text = format!("nothing explains what was read: {seen:?}\n  {clocks:?}\n  {:?}", self.terms);
        if let Some(before) = &self.seen {
            let _never_fails = write!(text, "\n  it was {before:?}");
        }
        for branch in self.branches.iter().take(4) {
            let _never_fails =
                write!(text, "\n  it may have been {} {branch:?}", state_of(branch).as_str_name());
        }
        for asked in &self.asked {
            let _never_fails = write!(text, "\n  asked {asked:?}");
        }
        text
    }
}

fn state_of(branch: &Branch) -> State {
    State::try_from(branch.state).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCKS: Clocks = Clocks { after: 0, before: 10, unfunded: false };

    fn shape() -> Shape {
        let times = Times { open: 100, work: 100, lease: 50, review: 100 };
        Shape::new(Terms { by_word: true, direct: None, times })
    }

    fn seen(state: State, version: u64) -> Seen {
        Seen { state, claim: None, result: None, version }
    }

    #[test]
    fn an_unknown_outcome_allows_both_until_a_read_tells() {
        let mut shape = shape();
        shape.narrow(&seen(State::Open, 2), CLOCKS).unwrap();
        shape.ask(1, Verb::Cancel);
        shape.narrow(&seen(State::Open, 2), CLOCKS).unwrap();
        shape.narrow(&seen(State::Canceled, 4), CLOCKS).unwrap();
        assert!(shape.narrow(&seen(State::Open, 5), CLOCKS).is_err(), "there is no way back");
    }

    #[test]
    fn what_was_refused_must_not_have_happened_and_what_was_done_must_be_seen() {
        let mut refused = shape();
        refused.ask(1, Verb::Cancel);
        refused.answer(1, Verdict::Refused);
        assert!(refused.narrow(&seen(State::Canceled, 3), CLOCKS).is_err());
        let mut done = shape();
        done.ask(1, Verb::Cancel);
        done.answer(1, Verdict::Done);
        assert!(done.narrow(&seen(State::Open, 3), CLOCKS).is_err());
    }

    #[test]
    fn no_deadline_passes_before_its_time() {
        let mut shape = shape();
        shape.narrow(&seen(State::Open, 2), CLOCKS).unwrap();
        assert!(shape.narrow(&seen(State::Expired, 4), Clocks { before: 99, ..CLOCKS }).is_err());
        shape.narrow(&seen(State::Expired, 4), Clocks { before: 100, ..CLOCKS }).unwrap();
    }
}

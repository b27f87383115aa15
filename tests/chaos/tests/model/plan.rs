//! The schedule: which operations, which fate each meets on its way, and what happens to the services meanwhile. It comes
//! from the seed alone, so that a seed replays; what the services made of it is for the model to follow.

use std::time::Duration;

use crate::dice::Dice;

/// Accounts that give work. The second one is poor.
pub(crate) const REQUESTERS: [usize; 2] = [0, 1];
/// Accounts whose agents do it.
pub(crate) const WORKERS: [usize; 2] = [2, 3];
/// Agents that are there from the beginning, by their accounts.
pub(crate) const FIRST_AGENTS: [usize; 3] = [2, 2, 3];
/// How many may be registered on the way.
const MAX_AGENTS: usize = 8;
/// Tasks that are kept alive at a time.
const LIVE_TASKS: usize = 4;

/// One step: operations at the same time, and what befalls the services in the middle of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) ops: Vec<Planned>,
    pub(crate) event: Event,
    /// How long after the operations began.
    pub(crate) after: Duration,
}

/// An operation with its number, which is its name for all time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) id: usize,
    pub(crate) what: What,
    pub(crate) fate: Fate,
}

/// What somebody does. Tasks go by the number of the operation that created them, agents by the order of their
/// registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Create {
        requester: usize,
        kind: Kind,
        price_msat: i64,
    },
    Claim {
        task: usize,
        agent: usize,
    },
    ClaimNext {
        agent: usize,
    },
    Renew {
        task: usize,
        agent: usize,
    },
    Release {
        task: usize,
        agent: usize,
    },
    Submit {
        task: usize,
        agent: usize,
        good: bool,
    },
    Accept {
        task: usize,
    },
    Reject {
        task: usize,
    },
    Cancel {
        task: usize,
    },
    Deposit {
        account: usize,
        msat: i64,
    },
    Withdraw {
        account: usize,
        msat: i64,
    },
    Register {
        account: usize,
        agent: usize,
    },
    /// The very same request once more.
    Replay {
        op: usize,
    },
    /// The same request id with another payload.
    Alter {
        op: usize,
    },
}

/// How a task is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pattern decides at once.
    Pattern,
    /// A pattern must match, and the requester decides.
    PatternAndWord,
    /// The requester decides alone.
    Word,
    /// One agent is hired; its receipt decides.
    Direct(usize),
}

/// What becomes of a request on its way from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    /// It comes late, perhaps after its neighbours.
    Delay(u64),
    /// It never arrives.
    DropRequest,
    /// It arrives, and nobody hears the answer.
    DropAnswer,
    /// The client hangs up.
    GiveUp(u64),
    /// It arrives twice, the second time so many milliseconds later.
    Twice(u64),
}

/// What befalls the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nothing,
    /// Ended without a drain, and started at once.
    Crash(Service),
    /// Ended without a drain, and started after the next step.
    Down(Service),
    /// A second task service on the same database comes, or ends without a drain.
    Replica,
    /// Business time passes, in seconds.
    Pass(u64),
    /// The wall clock moves on, in seconds.
    Wall(u64),
}

/// The services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Service {
    Auth,
    Task,
    Escrow,
    Attestation,
}

/// What the planner believes of a task: as if every request that arrives were carried out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Open,
    Claimed(usize),
    Submitted(usize),
    Rejected(usize),
    Over,
}

struct Planner {
    dice: Dice,
    ops: Vec<(What, Fate)>,
    tasks: Vec<(usize, Kind, Belief)>,
    agents: Vec<usize>,
}

/// The first steps of a seed's schedule: fewer steps are a prefix of more.
pub(crate) fn plan(seed: u64, steps: usize) -> Vec<Step> {
    let dice = Dice::new(seed, "plan");
    let mut planner = Planner { dice, ops: Vec::new(), tasks: Vec::new(), agents: FIRST_AGENTS.to_vec() };
    (0..steps).map(|_| planner.step()).collect()
}

// === impl Service ===

impl Service {
    pub(crate) const ALL: [Self; 4] = [Self::Auth, Self::Task, Self::Escrow, Self::Attestation];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Task => "task",
            Self::Escrow => "escrow",
            Self::Attestation => "attestation",
        }
    }
}

// === impl Planner ===

impl Planner {
    fn step(&mut self) -> Step {
        let event = self.event();
        let after = Duration::from_millis(self.dice.below(120));
        if let Event::Pass(_) | Event::Wall(_) = event {
            return Step { ops: Vec::new(), event, after };
        }
        let count = self.dice.weighted(&[(45, 1_usize), (35, 2), (20, 3)]);
        let mut ops = vec![self.op(None)];
        while ops.len() < count {
            // Rivals: what happens to one task at the same time.
            let rival = if self.dice.chance(50) { self.task_of(ops[0].what) } else { None };
            ops.push(self.op(rival));
        }
        Step { ops, event, after }
    }

    fn event(&mut self) -> Event {
        match self.dice.below(100) {
            0..=9 => Event::Crash(self.dice.weighted(&[
                (40, Service::Task),
                (30, Service::Escrow),
                (20, Service::Attestation),
                (10, Service::Auth),
            ])),
            10..=13 => Event::Down(self.dice.pick(&Service::ALL)),
            14..=18 => Event::Replica,
            19..=23 => Event::Pass(self.dice.pick(&[20, 310, 650, 1_300, 2_500, 4_000])),
            24..=26 => Event::Wall(self.dice.pick(&[1, 30, 90, 700])),
            _ => Event::Nothing,
        }
    }

    fn op(&mut self, about: Option<usize>) -> Planned {
        let what = self.what(about);
        let fate = self.fate();
        let id = self.ops.len();
        self.ops.push((what, fate));
        if fate != Fate::DropRequest {
            self.believe(id, what);
        } else if let What::Register { account, .. } = what {
            // Its number is taken.
            self.agents.push(account);
        }
        Planned { id, what, fate }
    }

    fn fate(&mut self) -> Fate {
        match self.dice.below(100) {
            0..=7 => Fate::Delay(10 + self.dice.below(150)),
            8..=13 => Fate::DropRequest,
            14..=23 => Fate::DropAnswer,
            24..=29 => Fate::GiveUp(2 + self.dice.below(60)),
            30..=41 => {
                let slow = self.dice.chance(25);
                Fate::Twice(self.dice.below(if slow { 2_500 } else { 120 }))
            }
            _ => Fate::Pass,
        }
    }

    fn what(&mut self, about: Option<usize>) -> What {
        if let Some(task) = about {
            return self.rival(task);
        }
        let live: Vec<usize> =
            self.tasks.iter().filter(|task| task.2 != Belief::Over).map(|task| task.0).collect();
        let wanted = if live.len() < LIVE_TASKS { 30 } else { 4 };
        match self.dice.below(100) {
            0..=4 => return self.money(),
            5..=6 if self.agents.len() < MAX_AGENTS => {
                let account = self.dice.pick(&WORKERS);
                return What::Register { account, agent: self.agents.len() };
            }
            7..=17 if !self.ops.is_empty() => return self.replay(),
            18..=21 if !self.ops.is_empty() => return self.alter(),
            22..=29 if !self.tasks.is_empty() => {
                let task = self.tasks[self.dice.index(self.tasks.len())].0;
                return self.nonsense(task);
            }
            _ => {}
        }
        if live.is_empty() || self.dice.chance(wanted) {
            return self.create();
        }
        let task = self.dice.pick(&live);
        self.advance(task)
    }

    fn money(&mut self) -> What {
        if self.dice.chance(60) {
            let account = self.dice.pick(&[0, 1, 1, 2]);
            What::Deposit { account, msat: i64::try_from(20 + self.dice.below(200)).unwrap() * 1_000 }
        } else {
            let account = self.dice.pick(&[0, 2, 3]);
            What::Withdraw { account, msat: i64::try_from(1 + self.dice.below(60)).unwrap() * 1_000 }
        }
    }

    /// What a client does whose answer did not come, mostly.
    fn replay(&mut self) -> What {
        let recent = self.ops.len().saturating_sub(12);
        let lossy = |fate: Fate| {
            matches!(fate, Fate::DropRequest | Fate::DropAnswer | Fate::GiveUp(_) | Fate::Delay(_))
        };
        let lost: Vec<usize> = (recent..self.ops.len()).filter(|op| lossy(self.ops[*op].1)).collect();
        if !lost.is_empty() && self.dice.chance(75) {
            return What::Replay { op: self.dice.pick(&lost) };
        }
        What::Replay { op: self.dice.index(self.ops.len()) }
    }

    /// Of those whose requests are recorded, mostly.
    fn alter(&mut self) -> What {
        let recorded = |what: What| {
            matches!(
                what,
                What::Create { .. }
                    | What::Release { .. }
                    | What::Reject { .. }
                    | What::Deposit { .. }
                    | What::Register { .. }
            )
        };
        let of_those: Vec<usize> = (0..self.ops.len()).filter(|op| recorded(self.ops[*op].0)).collect();
        if of_those.is_empty() {
            return What::Alter { op: self.dice.index(self.ops.len()) };
        }
        What::Alter { op: self.dice.pick(&of_those) }
    }

    fn create(&mut self) -> What {
        let kind = match self.dice.below(100) {
            0..=34 => Kind::Pattern,
            35..=54 => Kind::PatternAndWord,
            55..=84 => Kind::Word,
            _ => Kind::Direct(self.agent()),
        };
        let requester = self.dice.weighted(&[(75, REQUESTERS[0]), (25, REQUESTERS[1])]);
        // Prices whose fee does not come out even, too.
        let price_msat = i64::try_from(1_000 + self.dice.below(60_000)).unwrap();
        What::Create { requester, kind, price_msat }
    }

    fn agent(&mut self) -> usize {
        self.dice.index(self.agents.len())
    }

    /// What is likely to bring a task forward.
    fn advance(&mut self, task: usize) -> What {
        let (_, kind, belief) = self.of(task);
        let any = self.agent();
        let roll = self.dice.below(100);
        match belief {
            Belief::Open => match (roll, kind) {
                (0..=9, _) => What::Cancel { task },
                (10..=24, _) => What::ClaimNext { agent: any },
                (_, Kind::Direct(agent)) => What::Claim { task, agent },
                (_, Kind::Pattern | Kind::PatternAndWord | Kind::Word) => What::Claim { task, agent: any },
            },
            Belief::Claimed(agent) => match roll {
                0..=9 => What::Renew { task, agent },
                10..=17 => What::Release { task, agent },
                18..=29 => What::Submit { task, agent, good: false },
                _ => What::Submit { task, agent, good: true },
            },
            Belief::Submitted(_) => match roll {
                0..=39 => What::Reject { task },
                _ => What::Accept { task },
            },
            Belief::Rejected(agent) => match roll {
                0..=14 => What::Submit { task, agent, good: false },
                _ => What::Submit { task, agent, good: true },
            },
            Belief::Over => self.nonsense(task),
        }
    }

    /// What collides with what another does to the task now.
    fn rival(&mut self, task: usize) -> What {
        let (_, _, belief) = self.of(task);
        let other = self.agent();
        match (belief, self.dice.below(4)) {
            (Belief::Open, 0) | (Belief::Claimed(_), 0) => What::Cancel { task },
            (Belief::Open | Belief::Claimed(_), _) => What::Claim { task, agent: other },
            (Belief::Submitted(agent), 0) => What::Submit { task, agent, good: true },
            (Belief::Submitted(_) | Belief::Rejected(_), 1) => What::Accept { task },
            (Belief::Submitted(_) | Belief::Rejected(_), 2) => What::Reject { task },
            (_, _) => self.advance(task),
        }
    }

    /// Anything, whether it makes sense or not.
    fn nonsense(&mut self, task: usize) -> What {
        let agent = self.agent();
        match self.dice.below(8) {
            0 => What::Claim { task, agent },
            1 => What::Renew { task, agent },
            2 => What::Release { task, agent },
            3 => What::Submit { task, agent, good: true },
            4 => What::Submit { task, agent, good: false },
            5 => What::Accept { task },
            6 => What::Reject { task },
            _ => What::Cancel { task },
        }
    }

    fn of(&self, task: usize) -> (usize, Kind, Belief) {
        *self.tasks.iter().find(|known| known.0 == task).unwrap()
    }

    fn task_of(&self, what: What) -> Option<usize> {
        match what {
            What::Claim { task, .. }
            | What::Renew { task, .. }
            | What::Release { task, .. }
            | What::Submit { task, .. }
            | What::Accept { task }
            | What::Reject { task }
            | What::Cancel { task } => Some(task),
            What::Create { .. }
            | What::ClaimNext { .. }
            | What::Deposit { .. }
            | What::Withdraw { .. }
            | What::Register { .. }
            | What::Replay { .. }
            | What::Alter { .. } => None,
        }
    }

    fn believe(&mut self, id: usize, what: What) {
        match what {
            What::Create { kind, .. } => {
                if !self.tasks.iter().any(|task| task.0 == id) {
                    self.tasks.push((id, kind, Belief::Open));
                }
            }
            What::Register { account, .. } => self.agents.push(account),
            What::Replay { op } => {
                let (again, fate) = self.ops[op];
                // A create that never arrived is new now, under its old number.
                if fate == Fate::DropRequest && !matches!(again, What::Replay { .. } | What::Register { .. })
                {
                    self.believe(op, again);
                }
            }
            What::ClaimNext { agent } => {
                let oldest = self.tasks.iter_mut().find(|task| {
                    task.2 == Belief::Open && !matches!(task.1, Kind::Direct(only) if only != agent)
                });
                if let Some(task) = oldest {
                    task.2 = Belief::Claimed(agent);
                }
            }
            What::Deposit { .. } | What::Withdraw { .. } | What::Alter { .. } => {}
            What::Claim { .. }
            | What::Renew { .. }
            | What::Release { .. }
            | What::Submit { .. }
            | What::Accept { .. }
            | What::Reject { .. }
            | What::Cancel { .. } => self.believe_of_task(what),
        }
    }

    fn believe_of_task(&mut self, what: What) {
        let Some(place) =
            self.task_of(what).and_then(|task| self.tasks.iter().position(|known| known.0 == task))
        else {
            return;
        };
        let (_, kind, belief) = self.tasks[place];
        self.tasks[place].2 = match (what, belief) {
            (What::Claim { agent, .. }, Belief::Open) if !matches!(kind, Kind::Direct(only) if only != agent) => {
                Belief::Claimed(agent)
            }
            (What::Release { agent, .. }, Belief::Claimed(by)) if agent == by => Belief::Open,
            (What::Submit { agent, good, .. }, Belief::Claimed(by) | Belief::Rejected(by)) if agent == by => {
                match kind {
                    Kind::Pattern if good => Belief::Over,
                    Kind::Direct(_) => Belief::Over,
                    Kind::PatternAndWord if good => Belief::Submitted(by),
                    Kind::Word => Belief::Submitted(by),
                    Kind::Pattern | Kind::PatternAndWord => belief,
                }
            }
            (What::Accept { .. }, Belief::Submitted(_)) => Belief::Over,
            (What::Reject { .. }, Belief::Submitted(by)) => Belief::Rejected(by),
            (What::Cancel { .. }, Belief::Open) => Belief::Over,
            (_, _) => belief,
        };
    }
}

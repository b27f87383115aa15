//! One run: a world, its schedule step by step, and its end.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use poa_common::AccountId;
use poa_proto::auth::v1::RegisterRequest;
use poa_proto::auth::v1::auth_service_client::AuthServiceClient;
use sqlx::PgConnection;

use crate::client::{Answer, Call, Heard, Sender, with};
use crate::house::House;
use crate::money::Book;
use crate::observe::pass;
use crate::plan::{Event, FIRST_AGENTS, Fate, Planned, Service, Step, What, plan};
use crate::report::{Figures, History, failure};
use crate::sabotage::Sabotage;
use crate::world::{Op, World};

/// What the first two accounts begin with, in msat: enough, and soon not enough.
const OPENING_MSAT: [(usize, i64); 2] = [(0, 3_000_000), (1, 40_000)];
/// Operations of the opening, which no fault meets, have numbers from here on.
const OPENING: usize = 1_000_000;
/// Claims of what ClaimNextTask set aside have the number of that operation and this.
const FOLLOWING: usize = 2_000_000;
/// How often the ledger is held against the tasks, in steps.
const LEDGER_EVERY: usize = 5;
/// Time that passes on the wall clock with each step.
const STEP_TAKES: Duration = Duration::from_secs(1);
/// How long a service that must be up may be waited for.
const SOON: Duration = Duration::from_secs(30);

/// Runs a seed for so many steps.
///
/// # Errors
/// A broken promise, with all that is needed to see it again.
pub(crate) async fn run(seed: u64, steps: usize, sabotage: Sabotage) -> Result<Figures, String> {
    let history = History::default();
    let at = Mutex::new(0);
    let playing = async {
        let began = Instant::now();
        let mut world = World::open(seed, history.clone()).await;
        world.figures.opening = began.elapsed();
        let outcome = world.play(plan(seed, steps), &at, sabotage).await;
        world.house.close();
        outcome.map(|()| Figures { seeds: 1, steps, took: began.elapsed(), ..world.figures.clone() })
    };
    // A panic of the run itself must name its seed, too.
    let outcome = AssertUnwindSafe(Box::pin(playing)).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(text.unwrap_or_else(|| "the run itself panicked".to_owned()))
    });
    let step = *at.lock().unwrap();
    outcome.map_err(|what| failure(seed, steps, step, &what, &history))
}

// === impl World ===

impl World {
    /// Starts the services, and lets accounts, agents and first deposits come in without a fault.
    async fn open(seed: u64, history: History) -> Self {
        let house = House::open(seed).await;
        let mut world = Self {
            house,
            history,
            figures: Figures::default(),
            accounts: Vec::new(),
            agents: BTreeMap::new(),
            ops: BTreeMap::new(),
            tasks: BTreeMap::new(),
            book: Book::default(),
            acceptances: HashMap::new(),
            late: Vec::new(),
            named: Vec::new(),
            read_at: 0,
            planned: Vec::new(),
            sabotaged: false,
        };
        for name in ["alice", "carol", "bob", "dave"] {
            let account = world.sign_up(name).await;
            world.accounts.push(account);
        }
        for (agent, account) in FIRST_AGENTS.into_iter().enumerate() {
            world.surely(OPENING + agent, What::Register { account, agent }).await;
        }
        for (place, (account, msat)) in OPENING_MSAT.into_iter().enumerate() {
            world.surely(OPENING + 10 + place, What::Deposit { account, msat }).await;
        }
        let end = Instant::now() + SOON;
        while world.book.deposits.values().any(|deposit| !deposit.settled) {
            assert!(Instant::now() < end, "the first deposits are not credited: {:?}", world.book);
            world.observe_deposits().await.unwrap();
        }
        // From here on the node has bad days.
        world.house.crash(Service::Escrow);
        world.house.start(Service::Escrow).await;
        world
    }

    async fn sign_up(&self, name: &str) -> AccountId {
        let request = RegisterRequest {
            request_id: self.uuid(),
            username: format!("{name}-of-the-model"),
            password: "correct horse battery staple".to_owned(),
            display_name: name.to_owned(),
        };
        let channel = self.house.look(Service::Auth).unwrap();
        let answer = AuthServiceClient::new(channel).register(with("", request)).await.unwrap();
        answer.into_inner().account.unwrap().account_id.parse().unwrap()
    }

    /// Carries an operation of the opening out.
    async fn surely(&mut self, id: usize, what: What) {
        let op = self.prepare(id, what).await.unwrap();
        self.ops.insert(id, op);
        let end = Instant::now() + SOON;
        while self.ops[&id].done.is_none() {
            assert!(Instant::now() < end, "the opening fails: {:?}", self.ops[&id]);
            self.carry(&[Planned { id, what, fate: Fate::Pass }], Event::Nothing, Duration::ZERO)
                .await
                .unwrap();
        }
    }

    async fn play(&mut self, steps: Vec<Step>, at: &Mutex<usize>, sabotage: Sabotage) -> Result<(), String> {
        let mut clock = self.house.sql(Service::Task).await;
        let mut down = None;
        let count = steps.len();
        self.planned = steps.iter().flat_map(|step| &step.ops).map(|planned| planned.what).collect();
        for (number, step) in steps.into_iter().enumerate() {
            *at.lock().unwrap() = number + 1;
            self.history.step(format!("step {}: {:?}, after {:?}", number + 1, step.event, step.after));
            self.house.clock.advance(STEP_TAKES);
            // The end starts what is down then.
            let back = down.take().filter(|service| step.event != Event::Down(*service));
            if let Event::Down(service) = step.event {
                down = Some(service);
            }
            self.carry_step(&step, &mut clock).await?;
            if let Some(service) = back.filter(|service| self.house.running(*service) == 0) {
                self.house.start(service).await;
                self.history.note(format!("{} is back", service.name()));
            }
            self.hear_late(false).await?;
            self.traffic_notes();
            // Where time has passed, or nobody reads, a defect could be explained.
            let is_seen = !matches!(step.event, Event::Pass(_)) && self.house.running(Service::Task) > 0;
            if number > count / 2 && !self.sabotaged && is_seen {
                self.sabotage(sabotage).await;
            }
            self.observe(&mut clock).await?;
            self.observe_deposits().await?;
            if number % LEDGER_EVERY == LEDGER_EVERY - 1 {
                self.observe_ledger().await?;
            }
        }
        self.history.step("the end: the network is healed, and the clock runs on".to_owned());
        let began = Instant::now();
        let outcome = self.finish(&mut clock).await;
        self.figures.end = began.elapsed();
        outcome
    }

    async fn carry_step(&mut self, step: &Step, clock: &mut PgConnection) -> Result<(), String> {
        match step.event {
            Event::Pass(seconds) => {
                // Without a task service nothing goes by the clock.
                if self.house.running(Service::Task) > 0 {
                    self.figures.jumps += 1;
                    pass(clock, Duration::from_secs(seconds)).await;
                }
                Ok(())
            }
            Event::Wall(seconds) => {
                self.house.clock.advance(Duration::from_secs(seconds));
                Ok(())
            }
            Event::Nothing | Event::Crash(_) | Event::Down(_) | Event::Replica => {
                self.carry(&step.ops, step.event, step.after).await
            }
        }
    }

    /// Carries operations out at the same time, with what befalls the services in the middle.
    async fn carry(&mut self, ops: &[Planned], event: Event, after: Duration) -> Result<(), String> {
        let mut first = Vec::new();
        for planned in ops {
            let Some((id, call, fate, alters)) = self.ready(planned).await else {
                self.history.note(format!("#{} {:?}: nothing to do it with", planned.id, planned.what));
                continue;
            };
            let account = self.ops[&id].account;
            let sender = Sender {
                door: self.house.door(call.service()),
                token: self.house.token(self.accounts[account]),
                turn: planned.id,
            };
            if alters {
                first.push((id, true, tokio::spawn(sender.launch(call, Fate::Pass).0)));
                continue;
            }
            let (primary, copy) = sender.launch(call, fate);
            self.sent(id, 1 + usize::from(copy.is_some()));
            first.push((id, false, tokio::spawn(primary)));
            if let Some(copy) = copy {
                self.late.push((id, tokio::spawn(copy)));
            }
            if !matches!(fate, Fate::Pass) {
                *self.figures.client_fates.entry(fate_name(fate)).or_default() += 1;
                self.history.note(format!("#{id} {:?} meets {fate:?}", planned.what));
            }
        }
        if event != Event::Nothing {
            tokio::time::sleep(after).await;
            self.befall(event).await;
        }
        for (id, alters, heard) in first {
            let heard = heard.await.map_err(|error| format!("#{id} panicked: {error}"))?;
            if alters {
                self.hear_altered(id, heard)?;
            } else {
                self.hear(id, heard.clone())?;
                self.follow(id, heard).await?;
            }
        }
        Ok(())
    }

    /// The operation of a plan's entry, its request, and whether that is an altered one.
    async fn ready(&mut self, planned: &Planned) -> Option<(usize, Call, Fate, bool)> {
        match planned.what {
            What::Replay { op } | What::Alter { op } => {
                let base = self.base(op);
                let known = self.ops.get(&base)?;
                if matches!(planned.what, What::Replay { .. }) {
                    return Some((base, known.call.clone(), planned.fate, false));
                }
                // What was not funded is forgotten, and may be asked anew.
                let lasting = !matches!(known.what, What::Create { .. })
                    || self.created_by(base).is_some_and(|(_, known)| known.claims > 0);
                let altered = known.call.altered().filter(|_| known.done.is_some() && lasting)?;
                self.figures.operations.entry(planned.what.name()).or_default()[0] += 1;
                Some((base, altered, planned.fate, true))
            }
            what => {
                if !self.ops.contains_key(&planned.id) {
                    let op = self.prepare(planned.id, what).await?;
                    self.ops.insert(planned.id, op);
                }
                Some((planned.id, self.ops[&planned.id].call.clone(), planned.fate, false))
            }
        }
    }

    /// The operation that a replay of a replay repeats.
    fn base(&self, op: usize) -> usize {
        let mut id = op;
        while let Some(What::Replay { op } | What::Alter { op }) = self.planned.get(id) {
            id = *op;
        }
        id
    }

    /// The same request id with another payload is refused, whatever else.
    fn hear_altered(&mut self, id: usize, heard: Heard) -> Result<(), String> {
        let what = self.ops[&id].what;
        self.history.note(format!("#{id} {what:?} with another payload: {heard:?}"));
        let counts = self.figures.operations.entry(What::Alter { op: 0 }.name()).or_default();
        match heard {
            Heard::No(refusal) if refusal.reason == "REQUEST_ID_REUSED" => counts[2] += 1,
            Heard::Nothing(_) => counts[3] += 1,
            Heard::Yes(_) | Heard::No(_) | Heard::Bug(_) => {
                return Err(format!("#{id} {what:?} was sent with another payload, and heard {heard:?}"));
            }
        }
        Ok(())
    }

    /// What a client does at once with an answer: it pays the invoice, it claims what was set aside for it.
    async fn follow(&mut self, id: usize, heard: Heard) -> Result<(), String> {
        match heard {
            Heard::Yes(Answer::Deposit(deposit)) => {
                let Some(known) = self.book.deposits.get_mut(&deposit.deposit_id) else { return Ok(()) };
                known.tried = true;
                let call =
                    Call::Pay(poa_proto::escrow::v1::PayInvoiceRequest { invoice: deposit.invoice.clone() });
                let sender = Sender {
                    door: self.house.door(Service::Escrow),
                    token: self.house.token(self.accounts[self.ops[&id].account]),
                    turn: 0,
                };
                if let (Heard::Yes(_), Some(known)) =
                    (sender.send(call).await, self.book.deposits.get_mut(&deposit.deposit_id))
                {
                    known.paid = true;
                }
                Ok(())
            }
            Heard::Yes(Answer::Next(offer)) => {
                let What::ClaimNext { agent } = self.ops[&id].what else { return Ok(()) };
                let own = self.agents[&agent].id.map(|id| id.to_string()).unwrap_or_default();
                if !offer.direct_agent_id.is_empty() && offer.direct_agent_id != own {
                    return Err(format!("#{id}: what is another's was set aside: {offer:?}"));
                }
                let Some(known) = self.tasks.get(&offer.task_id).cloned() else { return Ok(()) };
                let id = id + FOLLOWING;
                if self.ops.contains_key(&id) {
                    return Ok(());
                }
                let what = What::Claim { task: known.create, agent };
                let Some((call, account, verb)) = self.claim(&offer.task_id, &known, agent) else {
                    return Ok(());
                };
                let op = Op {
                    what,
                    call: call.clone(),
                    account,
                    verb,
                    first_sent: self.house.env.now(),
                    under_way: 0,
                    done: None,
                    refusal: None,
                    unsure: false,
                    hopeless: false,
                };
                self.ops.insert(id, op);
                self.sent(id, 1);
                let sender = Sender {
                    door: self.house.door(Service::Task),
                    token: self.house.token(self.accounts[account]),
                    turn: id,
                };
                let heard = sender.send(call).await;
                self.hear(id, heard)
            }
            Heard::Yes(_) | Heard::No(_) | Heard::Nothing(_) | Heard::Bug(_) => Ok(()),
        }
    }

    async fn befall(&mut self, event: Event) {
        match event {
            Event::Crash(service) => {
                if self.house.running(service) > 0 {
                    self.figures.crashes += 1;
                    self.house.crash(service);
                    self.house.start(service).await;
                }
            }
            Event::Down(service) => {
                self.figures.crashes += usize::from(self.house.running(service) > 0);
                while self.house.running(service) > 0 {
                    self.house.crash(service);
                }
            }
            Event::Replica => {
                self.figures.replicas += 1;
                match self.house.running(Service::Task) {
                    0 => {}
                    1 => self.house.start(Service::Task).await,
                    _ => self.house.crash(Service::Task),
                }
            }
            Event::Nothing | Event::Pass(_) | Event::Wall(_) => {}
        }
    }

    /// Writes what the network did into the history.
    pub(crate) fn traffic_notes(&mut self) {
        let traffic = Arc::clone(&self.house.traffic);
        for note in std::mem::take(&mut *traffic.notes.lock().unwrap()) {
            self.history.note(note);
        }
        self.figures.calls = traffic.calls.load(Ordering::Relaxed);
        self.figures.delayed = traffic.delayed.load(Ordering::Relaxed);
        self.figures.dropped_requests = traffic.dropped_requests.load(Ordering::Relaxed);
        self.figures.dropped_answers = traffic.dropped_answers.load(Ordering::Relaxed);
        self.figures.duplicates = traffic.duplicates.load(Ordering::Relaxed);
    }
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Pass => "pass",
        Fate::Delay(_) => "delayed",
        Fate::DropRequest => "request dropped",
        Fate::DropAnswer => "answer dropped",
        Fate::GiveUp(_) => "hung up",
        Fate::Twice(_) => "sent twice",
    }
}

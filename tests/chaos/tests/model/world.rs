//! A run: who takes part, what was asked, what was heard.

use std::collections::{BTreeMap, HashMap};

use ed25519_dalek::SigningKey;
use poa_common::{AccountId, AgentId, Timestamp};
use poa_proto::task::v1::Task;
use poa_proto::task::v1::task::State;
use proof_of_agent::{Author, DidKey, Nonce, Statement};
use tokio::task::JoinHandle;

use crate::client::{Answer, Call, Heard, Refusal};
use crate::house::House;
use crate::money::Book;
use crate::plan::{FIRST_AGENTS, Kind, What};
use crate::report::{Figures, History};
use crate::shape::{Shape, Verb, Verdict};

/// A run of the model.
pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) history: History,
    pub(crate) figures: Figures,
    pub(crate) accounts: Vec<AccountId>,
    /// By their numbers; without an id until auth has given one.
    pub(crate) agents: BTreeMap<usize, Agent>,
    pub(crate) ops: BTreeMap<usize, Op>,
    pub(crate) tasks: BTreeMap<String, Known>,
    pub(crate) book: Book,
    /// Acceptances that agents signed, by their digest: the agent, the claim's number and the statement.
    pub(crate) acceptances: HashMap<Vec<u8>, (usize, u32, Statement)>,
    /// Copies that are on their way, by the operation.
    pub(crate) late: Vec<(usize, JoinHandle<Heard>)>,
    /// Refusals of this step that name a state: to be held against the next read.
    pub(crate) named: Vec<(String, String, usize)>,
    /// When the last read began, on the mesh clock in microseconds.
    pub(crate) read_at: i64,
    /// The schedule's operations, by their numbers.
    pub(crate) planned: Vec<What>,
    /// Whether a defect was put in.
    pub(crate) sabotaged: bool,
}

/// An agent with its key.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) account: usize,
    pub(crate) key: SigningKey,
    pub(crate) id: Option<AgentId>,
}

/// An operation that was sent at least once.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) what: What,
    pub(crate) call: Call,
    pub(crate) account: usize,
    /// Of which task, and what it does to it.
    pub(crate) verb: Option<(String, Verb)>,
    pub(crate) first_sent: Timestamp,
    /// Copies whose end was not heard of.
    pub(crate) under_way: usize,
    pub(crate) done: Option<Answer>,
    pub(crate) refusal: Option<Refusal>,
    /// Whether the outcome of a copy is not known.
    pub(crate) unsure: bool,
    /// Whether it must be refused.
    pub(crate) hopeless: bool,
}

/// A task that was read at least once.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The operation that created it.
    pub(crate) create: usize,
    pub(crate) kind: Kind,
    pub(crate) requester: usize,
    pub(crate) shape: Shape,
    pub(crate) view: Task,
    pub(crate) terms: Vec<u8>,
    /// The highest claim number that may be used.
    pub(crate) claims: u32,
    /// Whether its price was back already when the last read began.
    pub(crate) gone: bool,
    /// Whether its end was held against the ledger.
    pub(crate) settled: bool,
}

// === impl World ===

impl World {
    /// An author of statements: an agent.
    pub(crate) fn author(&self, agent: &Agent) -> Author {
        Author::agent(DidKey::of(&agent.key), Nonce::new(self.house.env.random()))
    }

    /// The number of an agent.
    pub(crate) fn agent_numbered(&self, id: &str) -> Option<usize> {
        let found = self.agents.iter().find(|(_, agent)| agent.id.is_some_and(|own| own.to_string() == id));
        found.map(|(number, _)| *number)
    }

    /// The task that an operation created, the one that is alive where there are several: a request that could not be
    /// funded may be tried again.
    pub(crate) fn created_by(&self, create: usize) -> Option<(&String, &Known)> {
        let mut all: Vec<_> = self.tasks.iter().filter(|(_, known)| known.create == create).collect();
        all.sort_by_key(|(_, known)| matches!(known.view.state(), State::Refunding | State::Canceled));
        all.first().copied()
    }

    /// An operation is sent once more.
    pub(crate) fn sent(&mut self, id: usize, copies: usize) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        op.under_way += copies;
        self.figures.operations.entry(op.what.name()).or_default()[0] += copies;
        if let Some((task, verb)) = &op.verb
            && let Some(known) = self.tasks.get_mut(task)
        {
            known.shape.ask(id, *verb);
            if let Verb::Claim { agent, .. } = verb
                && *agent >= FIRST_AGENTS.len()
            {
                known.shape.is_fresh(*agent);
            }
        }
    }

    /// What a client heard of one copy of an operation.
    ///
    /// # Errors
    /// An answer that must not be.
    pub(crate) fn hear(&mut self, id: usize, heard: Heard) -> Result<(), String> {
        let name = self.ops[&id].what.name();
        let counts = self.figures.operations.entry(name).or_default();
        let what = self.ops[&id].what;
        let op = self.ops.get_mut(&id).ok_or("an answer to nothing")?;
        op.under_way = op.under_way.saturating_sub(1);
        match heard {
            Heard::Yes(answer) => {
                counts[1] += 1;
                self.history.note(format!("#{id} {what:?}: yes {}", told(&answer)));
                if op.hopeless {
                    return Err(format!("#{id} {what:?} was taken, and must not be: {answer:?}"));
                }
                if let Some(before) = &op.done {
                    same(before, &answer)
                        .map_err(|why| format!("#{id} {what:?} was answered anew: {why}"))?;
                }
                op.done = Some(answer.clone());
                self.took(id, answer)?;
            }
            Heard::No(refusal) => {
                counts[2] += 1;
                self.history.note(format!("#{id} {what:?}: no, {}", refusal.text));
                impossible(&refusal).map_err(|why| format!("#{id} {what:?}: {why}"))?;
                if let (Some((task, _)), Some(state)) = (&op.verb, &refusal.state) {
                    self.named.push((task.clone(), state.clone(), id));
                }
                op.refusal = Some(refusal);
            }
            Heard::Nothing(why) => {
                counts[3] += 1;
                self.history.note(format!("#{id} {what:?}: unknown, {why}"));
                op.unsure = true;
            }
            Heard::Bug(why) => return Err(format!("#{id} {what:?}: {why}")),
        }
        self.judge(id);
        Ok(())
    }

    /// Tells the model what is certain of an operation.
    fn judge(&mut self, id: usize) {
        let op = &self.ops[&id];
        let verdict = if op.done.is_some() {
            Verdict::Done
        } else if op.is_refused() {
            Verdict::Refused
        } else {
            Verdict::Open
        };
        if let Some((task, _)) = &op.verb
            && let Some(known) = self.tasks.get_mut(task)
        {
            known.shape.answer(id, verdict);
        }
    }

    /// Keeps what an answer brings.
    fn took(&mut self, id: usize, answer: Answer) -> Result<(), String> {
        match answer {
            Answer::Agent(agent) => {
                let What::Register { agent: number, .. } = self.ops[&id].what else { return Ok(()) };
                let id = agent.agent_id.parse().map_err(|_| format!("not an id: {}", agent.agent_id))?;
                if let Some(agent) = self.agents.get_mut(&number) {
                    agent.id = Some(id);
                }
            }
            Answer::Deposit(deposit) => {
                let account = self.ops[&id].account;
                self.book.deposits.entry(deposit.deposit_id.clone()).or_insert_with(|| {
                    crate::money::Deposit {
                        account,
                        msat: deposit.amount_msat,
                        tried: false,
                        paid: false,
                        settled: false,
                    }
                });
            }
            Answer::Withdrawal(_) | Answer::Task(_) | Answer::Next(_) | Answer::Paid => {}
        }
        Ok(())
    }

    /// Hears of the copies that have arrived meanwhile.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub(crate) async fn hear_late(&mut self, wait: bool) -> Result<(), String> {
        let late = std::mem::take(&mut self.late);
        for (id, copy) in late {
            if wait || copy.is_finished() {
                let heard = copy.await.map_err(|error| format!("a copy of #{id} panicked: {error}"))?;
                let named = self.named.len();
                self.hear(id, heard)?;
                // By now the task may be anywhere.
                self.named.truncate(named);
            } else {
                self.late.push((id, copy));
            }
        }
        Ok(())
    }
}

// === impl Op ===

impl Op {
    /// Whether it was certainly not carried out, and will not be.
    pub(crate) fn is_refused(&self) -> bool {
        self.done.is_none() && !self.unsure && self.under_way == 0 && self.refusal.is_some()
    }

    pub(crate) fn was_refused_for(&self, reason: &str) -> bool {
        self.is_refused() && self.refusal.as_ref().is_some_and(|refusal| refusal.reason == reason)
    }
}

/// The same request must be answered with the same thing.
fn same(before: &Answer, now: &Answer) -> Result<(), String> {
    let id = |answer: &Answer| match answer {
        Answer::Task(task) => task.task_id.clone(),
        Answer::Next(task) => task.task_id.clone(),
        Answer::Deposit(deposit) => format!("{} {}", deposit.deposit_id, deposit.invoice),
        Answer::Withdrawal(withdrawal) => withdrawal.withdrawal_id.clone(),
        Answer::Paid => String::new(),
        Answer::Agent(agent) => agent.agent_id.clone(),
    };
    if id(before) == id(now) { Ok(()) } else { Err(format!("first {}, then {}", id(before), id(now))) }
}

/// Nobody here sends what could be refused for these reasons.
fn impossible(refusal: &Refusal) -> Result<(), String> {
    match refusal.reason.as_str() {
        "FIELDS_INVALID" | "SIGNATURE_INVALID" | "SCOPE_MISSING" | "AUDIENCE_MISMATCH"
        | "REQUEST_ID_REUSED" => Err(format!("refused without a reason: {}", refusal.text)),
        _ => Ok(()),
    }
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Task(task) => format!("{} {}", short(&task.task_id), task.state().as_str_name()),
        Answer::Next(task) => format!("{} is set aside", short(&task.task_id)),
        Answer::Deposit(deposit) => deposit.deposit_id.clone(),
        Answer::Withdrawal(withdrawal) => withdrawal.withdrawal_id.clone(),
        Answer::Paid => "paid".to_owned(),
        Answer::Agent(agent) => agent.agent_id.clone(),
    }
}

/// The end of an id, which tells it from others.
pub(crate) fn short(id: &str) -> &str {
    &id[id.len().saturating_sub(6)..]
}

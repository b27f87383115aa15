//! Appends statements, many in one transaction.
//!
//! The log's head row is locked first, so that whoever appends, here or in another replica, sees all that was
//! appended before; an index is given in the same transaction as the statement. A task stands in a batch once:
//! its statements follow each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use poa_common::{AccountId, AgentId, Env, Msat, TaskId, Timestamp, TypedId as _};
use poa_storage::batch::{BatchHandler, Replies};
use poa_storage::{Database, Tx};
use proof_of_agent::reputation::{Facts, Record, bucket};
use proof_of_agent::{Author, Digest, Envelope, Kind, Nonce, Statement, WorkReceived};
use sqlx::PgConnection;

use crate::domain::{Agent, AgentKey, ChainCache, ChainEnd, Refusal, Signed, Submission, TaskChain, admit};
use crate::error::Error;
use crate::failpoint::{Failpoint, before_commit};
use crate::keys::PlatformKeys;
use crate::store;
use crate::store::statements::Stored;

/// Memory for chains that were replayed before, in bytes: some ten thousand tasks of usual size.
const CACHE_BYTES: usize = 64 * 1_024 * 1_024;

/// How far an agent's clock may be from ours: days are what the log's public records count in.
const CLOCK_ALLOWANCE: Duration = Duration::from_secs(48 * 60 * 60);

/// Decides and writes batches of statements.
#[derive(Debug)]
pub(crate) struct Appender {
    env: Env,
    keys: Arc<PlatformKeys>,
    cache: Mutex<ChainCache>,
}

/// A statement that is in its chain and has its place in the log.
#[derive(Clone, Debug)]
pub(crate) struct Appended {
    /// The statement.
    pub(crate) statement: Stored,
    /// The platform's receipt of it, where it was a submission.
    pub(crate) receipt: Option<Stored>,
    /// Whether it was appended before, by an earlier call.
    pub(crate) is_replay: bool,
}

/// What decisions of one batch share.
struct Batch {
    next_index: u64,
    now: Timestamp,
    agents: HashMap<AgentId, Agent>,
    /// What the requesters of these tasks have paid in fees for the work of others.
    fees_paid: HashMap<AccountId, Msat>,
    /// What this batch adds to that.
    new_fees: HashMap<AccountId, Msat>,
    /// The entries of the log that it writes.
    entries: Vec<(u64, Vec<u8>)>,
}

// === impl Appender ===

impl Appender {
    pub(crate) fn new(env: Env, keys: Arc<PlatformKeys>) -> Self {
        Self { env, keys, cache: Mutex::new(ChainCache::new(CACHE_BYTES)) }
    }

    /// Decides one statement: its rows, where the chain has taken it.
    fn decide(
        &self,
        batch: &mut Batch,
        chain: &mut TaskChain,
        submission: &Submission,
    ) -> Result<Appended, Error> {
        let statement = &submission.signed.statement;
        let key = match &submission.agent {
            Some(signer) => Some(admit(signer, statement.kind(), batch.agents.get(&signer.agent_id))?),
            None => None,
        };
        if let Some(accepted) = statement.body().as_terms_accepted() {
            check_clock(accepted.accepted_time, batch.now)?;
        }
        let sequence = chain.len();
        let facts = chain.facts(statement);
        chain.append(statement.clone())?;
        let log_index = batch.next_index;
        let receipt = self.receipt(batch, chain, submission, key, log_index)?;
        batch.next_index = log_index + if receipt.is_some() { 2 } else { 1 };
        let record = facts.and_then(|facts| self.record(batch, chain, statement, facts));
        batch.entries.push((log_index, submission.signed.entry.with_record(record).encode()));
        if let Some(receipt) = &receipt {
            batch.entries.push((log_index + 1, receipt.entry.encode()));
        }
        let place = |signed: &Signed, step: u8| Stored {
            id: self.env.new_id(),
            task_id: submission.task_id,
            sequence: sequence + usize::from(step),
            kind: signed.statement.kind(),
            digest: signed.statement.digest(),
            envelope: signed.envelope.clone(),
            log_index: log_index + u64::from(step),
            created_at: batch.now,
        };
        Ok(Appended {
            statement: place(&submission.signed, 0),
            receipt: receipt.as_ref().map(|signed| place(signed, 1)),
            is_replay: false,
        })
    }

    /// The public record of a statement: what the chain says, whose task it was, and what that requester had paid before. Fees
    /// that it pays now count from the next record on.
    fn record(
        &self,
        batch: &mut Batch,
        chain: &TaskChain,
        statement: &Statement,
        facts: Facts,
    ) -> Option<Record> {
        let requester = chain.requester()?;
        let paid = batch.fees_paid.get(&requester).copied().unwrap_or(Msat::ZERO);
        let fee = statement.body().as_settlement().map_or(Msat::ZERO, |settlement| settlement.fee_msat);
        if fee > Msat::ZERO && !facts.self_dealing {
            for fees in [&mut batch.fees_paid, &mut batch.new_fees] {
                let sum = fees.entry(requester).or_insert(Msat::ZERO);
                *sum = sum.checked_add(fee).unwrap_or(*sum);
            }
        }
        let requester = self.keys.pseudonym(requester, facts.agent);
        Some(Record { facts, requester, standing: bucket(paid) })
    }

    /// The platform's receipt of a submission, appended to the chain.
    fn receipt(
        &self,
        batch: &Batch,
        chain: &mut TaskChain,
        submission: &Submission,
        key: Option<AgentKey>,
        log_index: u64,
    ) -> Result<Option<Signed>, Error> {
        let statement = &submission.signed.statement;
        let (Kind::WorkSubmitted, Some(signer), Some(key)) = (statement.kind(), &submission.agent, key)
        else {
            return Ok(None);
        };
        let account = chain.payee().ok_or_else(|| Error::bug("a submission without a claim"))?;
        let received = WorkReceived {
            agent: signer.agent_id,
            account,
            agent_key: signer.key,
            key_event: key.event,
            agent_key_state: key.state,
            submission_log_index: log_index,
            received_time: batch.now,
        };
        let author = Author::platform(self.keys.receipt_key(), Nonce::new(self.env.random()));
        let receipt = statement.successor(author, received).map_err(Error::bug)?;
        let envelope = self.keys.sign(&receipt).map_err(Error::bug)?;
        chain.append(receipt)?;
        Ok(Some(Signed::open(&envelope).map_err(Error::bug)?))
    }

    /// The chains of these tasks: from the cache where it has them as they are stored, else replayed.
    async fn chains(
        &self,
        tx: &mut Tx,
        tasks: &[TaskId],
        ends: &HashMap<TaskId, ChainEnd>,
    ) -> Result<HashMap<TaskId, TaskChain>, Error> {
        let mut chains = HashMap::with_capacity(tasks.len());
        let mut missing = Vec::new();
        {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            for task in tasks {
                match ends.get(task) {
                    None => {
                        chains.insert(*task, TaskChain::new(self.keys.receipt_keys()));
                    }
                    Some(end) => match cache.take(*task, end.place) {
                        Some(chain) => {
                            chains.insert(*task, chain);
                        }
                        None => missing.push(*task),
                    },
                }
            }
        }
        if !missing.is_empty() {
            for (task, envelopes) in store::statements::envelopes(tx, &missing).await? {
                let chain = replay(&envelopes, &self.keys)?;
                if chain.end() != ends.get(&task).copied() {
                    let message = format!("the chain of {task} does not end where its row says");
                    return Err(poa_storage::Error::Corrupt(message).into());
                }
                chains.insert(task, chain);
            }
        }
        Ok(chains)
    }

    fn keep(&self, task: TaskId, chain: TaskChain) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(task, chain);
    }
}

impl BatchHandler for Appender {
    type Command = Arc<Submission>;
    type Reply = Appended;
    type Error = Error;

    async fn apply(
        &self,
        tx: &mut Tx,
        commands: &[Arc<Submission>],
    ) -> Result<Replies<Appended, Error>, Error> {
        let next_index = store::log::lock_head(tx).await?;
        let tasks: Vec<TaskId> = commands.iter().map(|command| command.task_id).collect();
        let ends = store::chains::ends(tx, &tasks).await?;
        // A task without a chain has nothing to repeat.
        let begun: Vec<(TaskId, Digest)> = commands
            .iter()
            .filter(|command| ends.contains_key(&command.task_id))
            .map(|command| (command.task_id, command.digest()))
            .collect();
        let mut answered = answered(tx.conn(), &begun).await?;
        let open: Vec<&Arc<Submission>> =
            commands.iter().filter(|command| !answered.contains_key(&command.task_id)).collect();
        let agents: Vec<AgentId> =
            open.iter().filter_map(|command| command.agent.map(|signer| signer.agent_id)).collect();
        let agents = store::agents::find(tx.conn(), &agents).await?;
        let tasks: Vec<TaskId> = open.iter().map(|command| command.task_id).collect();
        let mut chains = self.chains(tx, &tasks, &ends).await?;

        let requesters: Vec<AccountId> = ends.values().map(|end| end.requester).collect();
        let fees_paid = store::requesters::fees_paid(tx, &requesters).await?;
        let mut batch = Batch {
            next_index,
            now: self.env.now(),
            agents,
            fees_paid,
            new_fees: HashMap::new(),
            entries: Vec::new(),
        };
        let mut moved = Vec::new();
        let mut replies: Replies<Appended, Error> = Vec::with_capacity(commands.len());
        for command in commands {
            if let Some(before) = answered.remove(&command.task_id) {
                replies.push(Ok(before));
                continue;
            }
            let mut chain = chains
                .remove(&command.task_id)
                .ok_or_else(|| Error::bug("two statements of one task in a batch"))?;
            let decided = self.decide(&mut batch, &mut chain, command);
            // A submission without its receipt leaves a chain that is not the stored one: the cache sees that.
            if let (Ok(_), Some(end)) = (&decided, chain.end()) {
                moved.push((command.task_id, end));
            }
            self.keep(command.task_id, chain);
            replies.push(decided);
        }
        if !moved.is_empty() {
            let appended = replies.iter().filter_map(|reply| reply.as_ref().ok());
            let rows: Vec<&Stored> = appended
                .filter(|appended| !appended.is_replay)
                .flat_map(|appended| std::iter::once(&appended.statement).chain(&appended.receipt))
                .collect();
            store::statements::insert(tx, &rows).await?;
            store::log::insert_entries(tx, &batch.entries).await?;
            if !batch.new_fees.is_empty() {
                store::requesters::add_fees(tx, &batch.new_fees).await?;
            }
            store::chains::store(tx, &moved).await?;
            store::log::set_head(tx, batch.next_index).await?;
            before_commit(Failpoint::AppendBeforeCommit).await?;
        }
        Ok(replies)
    }

    async fn recover(&self, db: &Database, command: &Arc<Submission>) -> Result<Option<Appended>, Error> {
        let mut connection = db.read().acquire().await?;
        let wanted = [(command.task_id, command.digest())];
        Ok(answered(&mut connection, &wanted).await?.remove(&command.task_id))
    }

    fn conflict_key(&self, command: &Arc<Submission>) -> Option<uuid::Uuid> {
        Some(command.task_id.uuid())
    }
}

/// An agent's clock dates its claim, and with it what the log says of it for ever. It may be wrong, and not by days.
fn check_clock(accepted: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if (now - accepted).unsigned_abs() <= CLOCK_ALLOWANCE {
        Ok(())
    } else {
        Err(Refusal::chain(
            "acceptedTime",
            "the claim is dated more than two days from now: set the agent's clock",
        ))
    }
}

/// The statements that were appended before, with the answer that they got then, by task.
async fn answered(
    connection: &mut PgConnection,
    wanted: &[(TaskId, Digest)],
) -> Result<HashMap<TaskId, Appended>, Error> {
    let mut answered = HashMap::new();
    if wanted.is_empty() {
        return Ok(answered);
    }
    for statement in store::statements::by_digest(&mut *connection, wanted).await? {
        let receipt = if statement.kind == Kind::WorkSubmitted {
            store::statements::next_in_chain(&mut *connection, &statement).await?
        } else {
            None
        };
        answered.insert(statement.task_id, Appended { statement, receipt, is_replay: true });
    }
    Ok(answered)
}

/// A stored chain. The signatures were verified when it was appended.
fn replay(envelopes: &[Vec<u8>], keys: &PlatformKeys) -> Result<TaskChain, Error> {
    let corrupt = |error: &dyn std::error::Error| {
        Error::from(poa_storage::Error::Corrupt(format!("a stored statement: {error}")))
    };
    let mut chain = TaskChain::new(keys.receipt_keys());
    for envelope in envelopes {
        let envelope = Envelope::from_json(envelope).map_err(|error| corrupt(&error))?;
        let statement = Statement::parse(envelope.payload()).map_err(|error| corrupt(&error))?;
        chain.append(statement).map_err(|error: Refusal| corrupt(&error))?;
    }
    Ok(chain)
}

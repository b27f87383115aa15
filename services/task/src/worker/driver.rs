//! Drives one task: step by step, each state committed before the next call.
//!
//! Two drivers on one task do no harm: every call is idempotent, and an outcome counts only if the step is still the
//! task's next one when it is written, under the task's lock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use poa_common::{Env, TaskId, TypedId as _};
use poa_proto::attestation::v1::{AppendStatementResponse, Attestation};
use poa_storage::Database;
use poa_storage::secret::SealKey;
use proof_of_agent::chain::receipt_path;
use proof_of_agent::statement::Kind;
use proof_of_agent::{DecisionKind, Digest, Envelope, Statement};

use super::mesh_clock::MeshClock;
use super::peers::{CallError, Peers, Refusal};
use crate::domain::{DomainError, Moment, Next, Paper, Pen, Saga, Step, next_step, statement_of_payload};
use crate::error::Error;
use crate::{metrics, store};

/// Steps of one drive: a task that takes more goes round in a circle.
const MAX_STEPS: usize = 24;
/// The first wait after a step that failed; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait after a step that failed.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// From this failure on a task's trouble is an error in the log, not a warning.
const LOUD_AFTER: i32 = 5;

/// Drives tasks.
pub(crate) struct Driver {
    pub(crate) env: Env,
    pub(crate) db: Database,
    pub(crate) clock: MeshClock,
    pub(crate) pen: Pen,
    pub(crate) tokens: SealKey,
    pub(crate) peers: Peers,
    /// The tasks that this process is driving, and by how many.
    pub(crate) active: Mutex<HashMap<TaskId, usize>>,
}

/// Counts one who drives a task.
struct Active<'a> {
    driver: &'a Driver,
    task: TaskId,
}

/// What a step came to.
#[derive(Clone, Debug)]
enum Outcome {
    Held,
    Appended {
        envelope: Vec<u8>,
        countersignature: Option<Box<(Statement, Vec<u8>)>>,
    },
    Captured(poa_common::TransferId),
    Refunded(Option<poa_common::TransferId>),
    Refused(Refusal),
    /// A step that calls nobody.
    Due,
}

/// Why a drive stopped before the task came to rest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// A call without an answer to go on with.
    #[error("{0}")]
    Call(String),
    /// Escrow or attestation refused what must not be refused: a bug, or two that disagree.
    #[error("refused where no refusal is possible, {0}")]
    Refused(String),
    /// The database, or a task that contradicts itself.
    #[error("{}", chain(.0))]
    Own(#[from] Error),
    /// Too many steps at once.
    #[error("the task does not come to rest")]
    Restless,
}

// === impl Driver ===

impl Driver {
    /// Now, on both clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment { mesh: self.clock.now(), wall: self.env.now() }
    }

    /// Drives a task until it waits for somebody or has ended. Answers with the last refusal on the way. After a
    /// failure the task is due again later, and the failure is logged.
    pub(crate) async fn drive(&self, task: TaskId) -> Result<Option<Refusal>, DriveError> {
        let active = Active::new(self, task);
        let outcome = self.steps(task).await;
        drop(active);
        if let Err(error) = &outcome {
            self.back_off(task, error).await;
        }
        outcome
    }

    /// Whether this process is driving a task right now.
    pub(crate) fn is_driving(&self, task: TaskId) -> bool {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&task)
    }

    async fn steps(&self, task: TaskId) -> Result<Option<Refusal>, DriveError> {
        let mut refusal = None;
        let (mut saga, peeked) = match store::peek(&self.db, task).await.map_err(Error::from)? {
            Some(peeked) => (Some(peeked.saga), peeked.due),
            None => (None, None),
        };
        for _ in 0..MAX_STEPS {
            let Some(current) = saga else {
                return Ok(refusal);
            };
            let step = match next_step(&current, self.now()) {
                Next::Step(step) => step,
                Next::Wait(due) => {
                    if let Some(peeked) = peeked {
                        store::postpone(&self.db, task, peeked, due).await.map_err(Error::from)?;
                    }
                    return Ok(refusal);
                }
                Next::End => return Ok(refusal),
            };
            let outcome = self.perform(step, &current).await?;
            if let Outcome::Refused(refused) = &outcome {
                metrics::step(step.as_str(), "refused");
                refusal = Some(refused.clone());
            } else {
                metrics::step(step.as_str(), "done");
            }
            let said = refusal.as_ref().map(Refusal::detail).unwrap_or_default();
            saga = self.commit(task, step, outcome).await?;
            if saga.is_none() {
                return Err(DriveError::Refused(format!("{}: {said}", step.as_str())));
            }
            // A commit writes the next deadline; a task that waits needs no second look.
            if let Some(saga) = &saga
                && !matches!(next_step(saga, self.now()), Next::Step(_))
            {
                return Ok(refusal);
            }
        }
        Err(DriveError::Restless)
    }

    /// Calls whom a step calls. Nothing is written.
    async fn perform(&self, step: Step, saga: &Saga) -> Result<Outcome, DriveError> {
        let outcome = match step {
            Step::HoldFunds => self.hold(saga).await.map(|()| Outcome::Held),
            Step::Append(seq) => self.append(saga, seq).await,
            Step::Capture => {
                let chain = self.release_chain(saga).await?;
                self.peers.capture(saga, chain).await.map(Outcome::Captured)
            }
            Step::Refund => self.peers.refund(saga).await.map(Outcome::Refunded),
            Step::AbandonFunding
            | Step::LapseClaim
            | Step::ExpireOffer
            | Step::Release
            | Step::AcceptBySilence
            | Step::ExpireRejected => Ok(Outcome::Due),
        };
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(CallError::Refused(refusal)) => Ok(Outcome::Refused(refusal)),
            Err(CallError::Unknown(why)) => {
                metrics::step(step.as_str(), "failed");
                Err(DriveError::Call(format!("{}: {why}", step.as_str())))
            }
        }
    }

    async fn hold(&self, saga: &Saga) -> Result<(), CallError> {
        let sealed = saga.status.token.as_ref().map(|token| token.sealed.as_slice()).unwrap_or_default();
        let token = self.tokens.open(saga.offer.task.uuid().as_bytes(), sealed).ok();
        let token = token.and_then(|token| String::from_utf8(token).ok());
        let token = token.ok_or_else(|| CallError::Unknown("the payer's token does not open".to_owned()))?;
        let terms = saga.statements.first().and_then(|entry| entry.paper.as_ref()).map(Paper::bytes);
        self.peers.hold(saga, terms.unwrap_or_default(), &token).await
    }

    async fn append(&self, saga: &Saga, seq: u32) -> Result<Outcome, CallError> {
        let entry = saga.statements.iter().find(|entry| entry.seq == seq);
        let entry = entry.ok_or_else(|| CallError::Unknown("no such statement".to_owned()))?;
        let answer = self.peers.append(saga, entry).await?;
        logged(answer, entry.digest, entry.kind).map_err(CallError::Unknown)
    }

    /// The envelopes that escrow is shown: what leads to the decision, without claims that lapsed.
    async fn release_chain(&self, saga: &Saga) -> Result<Vec<Vec<u8>>, DriveError> {
        let papers = store::papers(self.db.read(), saga.offer.task).await.map_err(Error::from)?;
        let mut statements = Vec::with_capacity(papers.len());
        for paper in &papers {
            let payload = match paper {
                Paper::Payload(payload) => payload.clone(),
                Paper::Envelope(envelope) => Envelope::from_json(envelope)
                    .map_err(|error| DriveError::Own(Error::internal(error)))?
                    .payload()
                    .to_vec(),
            };
            statements.push(statement_of_payload(&payload).map_err(Error::from)?);
        }
        let path = receipt_path(&statements);
        Ok(path
            .into_iter()
            .filter_map(|place| papers.get(place))
            .map(|paper| paper.bytes().to_vec())
            .collect())
    }

    /// Writes what a step came to, if it is still the task's next one. Answers with the task as it is then, or with
    /// `None` where the outcome is a refusal that nothing may be made of.
    async fn commit(&self, task: TaskId, step: Step, outcome: Outcome) -> Result<Option<Saga>, Error> {
        let at = self.now();
        let (pen, env) = (self.pen.clone(), self.env.clone());
        self.db
            .transact_with((outcome, pen, env), move |(outcome, pen, env), tx| {
                Box::pin(async move {
                    let Some(before) = store::load(tx, task).await? else {
                        return Ok(None);
                    };
                    if next_step(&before, at) != Next::Step(step) {
                        return Ok(Some(before));
                    }
                    let mut saga = before.clone();
                    if apply(&mut saga, step, outcome, pen, at)? {
                        store::save(tx, &before, &saga, at, env).await?;
                        return Ok::<_, Error>(Some(saga));
                    }
                    Ok(None)
                })
            })
            .await
    }

    async fn back_off(&self, task: TaskId, error: &DriveError) {
        let now = self.clock.now();
        let attempts = store::back_off(&self.db, task, now, FIRST_BACKOFF, MAX_BACKOFF).await.unwrap_or(0);
        if attempts < LOUD_AFTER {
            tracing::warn!(%task, attempts, %error, "a task's step failed, it will be tried again");
        } else {
            tracing::error!(%task, attempts, %error, "a task does not get on");
        }
    }
}

// === impl Active ===

impl<'a> Active<'a> {
    fn new(driver: &'a Driver, task: TaskId) -> Self {
        let mut active = driver.active.lock().unwrap_or_else(PoisonError::into_inner);
        *active.entry(task).or_default() += 1;
        Self { driver, task }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        let mut active = self.driver.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = active.get_mut(&self.task) {
            *count -= 1;
            if *count == 0 {
                active.remove(&self.task);
            }
        }
    }
}

/// Changes the task as the outcome has it. `Ok(false)`: refused where no refusal is possible.
fn apply(saga: &mut Saga, step: Step, outcome: &Outcome, pen: &Pen, at: Moment) -> Result<bool, DomainError> {
    match (step, outcome) {
        (Step::HoldFunds, Outcome::Held) => saga.funded(),
        (Step::HoldFunds, Outcome::Refused(refusal)) => saga.refuse_funding(&refusal.note(), at)?,
        (Step::Append(seq), Outcome::Appended { envelope, countersignature }) => {
            saga.appended(seq, envelope.clone(), countersignature.as_deref().cloned(), pen, at)?;
        }
        (Step::Append(seq), Outcome::Refused(refusal)) => {
            return saga.statement_refused(seq, &refusal.note(), at);
        }
        (Step::Capture, Outcome::Captured(transfer)) => saga.captured(*transfer, pen, at)?,
        (Step::Refund, Outcome::Refunded(transfer)) => saga.refunded(*transfer, pen, at)?,
        (Step::AbandonFunding, _) => {
            saga.abandon_funding("the requester's token ended before the price was held", at)?;
        }
        (Step::LapseClaim, _) => saga.lapse(at)?,
        (Step::ExpireOffer, _) => saga.expire("nobody delivered in time", pen, at)?,
        (Step::Release, _) => saga.approve(DecisionKind::CriteriaMet, pen, at)?,
        (Step::AcceptBySilence, _) => saga.approve(DecisionKind::DeadlinePassed, pen, at)?,
        (Step::ExpireRejected, _) => saga.expire("no other result came in time", pen, at)?,
        (Step::HoldFunds | Step::Append(_) | Step::Capture | Step::Refund, _) => return Ok(false),
    }
    Ok(true)
}

/// What attestation says it logged must be what we asked it to.
fn logged(answer: AppendStatementResponse, digest: Digest, kind: Kind) -> Result<Outcome, String> {
    let (statement, envelope) = read(answer.attestation)?;
    if statement.digest() != digest {
        return Err("attestation logged another statement".to_owned());
    }
    let countersignature = match kind {
        Kind::WorkSubmitted => {
            let (statement, envelope) = read(answer.countersignature)?;
            if statement.kind() != Kind::WorkReceived || statement.context().predecessor != Some(digest) {
                return Err("attestation countersigned another statement".to_owned());
            }
            Some(Box::new((statement, envelope)))
        }
        Kind::TermsOffered | Kind::TermsAccepted | Kind::WorkReceived | Kind::Decision | Kind::Settlement => {
            None
        }
    };
    Ok(Outcome::Appended { envelope, countersignature })
}

fn read(attestation: Option<Attestation>) -> Result<(Statement, Vec<u8>), String> {
    let envelope =
        attestation.map(|attestation| attestation.envelope).ok_or("attestation answered nothing")?;
    let statement = Envelope::from_json(&envelope)
        .and_then(|envelope| envelope.open())
        .map_err(|error| format!("attestation answered what is no statement: {error}"))?;
    Ok((statement, envelope))
}

/// An error and its causes on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

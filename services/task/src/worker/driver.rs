//! Drives one task: step by step, each state committed before the next call. An outcome that adds nothing to what is
//! committed is written with the next one (docs/adr/0010).
//!
//! Two drivers on one task do no harm: every call is idempotent, and an outcome counts only if the step is still the
//! task's next one when it is written, under the task's lock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use poa_common::{Env, TaskId, TypedId as _};
use poa_storage::Database;
use poa_storage::secret::SealKey;
use proof_of_agent::Envelope;
use proof_of_agent::chain::receipt_path;

use super::mesh_clock::MeshClock;
use super::outcome::{Outcome, apply, logged, of_refusal};
use super::peers::{CallError, Peers, Refusal};
use crate::domain::{
    Entry, MeshTime, Moment, Next, Paper, Pen, Saga, Standing, State, Step, next_step, statement_of_payload,
};
use crate::error::Error;
use crate::{failpoint, metrics, store};

/// Steps of one drive: a task that takes more goes round in a circle.
const MAX_STEPS: usize = 24;
/// The first wait after a step that failed; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait after a step that failed.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How long after a step whose answer is not there yet it is asked for again: news of it come sooner by escrow's events.
const PENDING_PAUSE: Duration = Duration::from_secs(2);
/// Stands for the payer's token where escrow needs it no more.
const SPENT_TOKEN: &str = "spent";
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
    /// How long one drive may take.
    pub(crate) limit: Duration,
    /// The tasks that this process is driving, and by how many.
    pub(crate) active: Mutex<HashMap<TaskId, usize>>,
}

/// Counts one who drives a task.
struct Active<'a> {
    driver: &'a Driver,
    task: TaskId,
}

/// How far a drive has come.
struct Course {
    /// The task as it will be once what is unwritten is written.
    saga: Saga,
    /// The numbers of its statements that are pending in the database.
    pending: Vec<u32>,
    /// What the last steps came to.
    unwritten: Vec<(Step, Outcome)>,
    /// Whether this drive has written something.
    has_moved: bool,
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
    /// It took longer than a drive may. What it has begun to write goes on without it, and the next drive finds it.
    #[error("the drive did not end and is given up")]
    Stalled,
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
    /// failure the task is due again later, and the failure is logged. `written` is the task as it was just committed,
    /// where its caller did that.
    pub(crate) async fn drive(
        &self,
        task: TaskId,
        written: Option<Saga>,
    ) -> Result<Option<Refusal>, DriveError> {
        let active = Active::new(self, task);
        let steps = tokio::time::timeout(self.limit, self.steps(task, written));
        let outcome = steps.await.unwrap_or(Err(DriveError::Stalled));
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

    async fn steps(&self, task: TaskId, written: Option<Saga>) -> Result<Option<Refusal>, DriveError> {
        let (saga, peeked) = match written {
            // Its commit has written when it is due.
            Some(saga) => (saga, None),
            None => match store::peek(&self.db, task).await.map_err(Error::from)? {
                Some(peeked) => (peeked.saga, peeked.due),
                None => return Ok(None),
            },
        };
        let mut refusal = None;
        let mut course = Course::from(saga);
        for _ in 0..MAX_STEPS {
            let step = match next_step(&course.saga, self.now()) {
                Next::Step(step) => step,
                // A commit writes the next deadline, so that only a task without a step needs one written.
                Next::Wait(due) if !course.has_moved => {
                    if let Some(peeked) = peeked {
                        store::postpone(&self.db, task, peeked, due).await.map_err(Error::from)?;
                    }
                    return Ok(refusal);
                }
                Next::Wait(_) | Next::End => return Ok(refusal),
            };
            let outcome = match self.perform(step, &course.saga).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    self.commit(course).await?;
                    return Err(error);
                }
            };
            metrics::step(step.as_str(), outcome.as_str());
            // What is asked for next has its time: the requester is to pay.
            let mut rests = false;
            match &outcome {
                Outcome::Refused(refused) => refusal = Some(refused.clone()),
                Outcome::Pending => {
                    self.pause(course, peeked).await?;
                    return Ok(refusal);
                }
                Outcome::Awaiting(_) => rests = true,
                Outcome::Held(_)
                | Outcome::Unpaid { .. }
                | Outcome::Appended { .. }
                | Outcome::Secured
                | Outcome::Captured(_)
                | Outcome::Refunded(_)
                | Outcome::Lost
                | Outcome::Due => {}
            }
            course.unwritten.push((step, outcome));
            if let Some(ahead) = course.ahead(&self.pen, self.now()) {
                course.saga = ahead;
                continue;
            }
            let said = refusal.as_ref().map(Refusal::detail).unwrap_or_default();
            let Some(saga) = self.commit(course).await? else {
                return Err(DriveError::Refused(format!("{}: {said}", step.as_str())));
            };
            if rests {
                return Ok(refusal);
            }
            course = Course { has_moved: true, ..Course::from(saga) };
        }
        self.commit(course).await?;
        Err(DriveError::Restless)
    }

    /// Leaves a task whose next answer is not there yet for a while.
    async fn pause(&self, course: Course, peeked: Option<MeshTime>) -> Result<(), Error> {
        // What a commit has written is due again soon enough.
        let written = course.has_moved || !course.unwritten.is_empty();
        let task = course.saga.offer.task;
        self.commit(course).await?;
        if let (false, Some(peeked)) = (written, peeked) {
            let due = self.clock.now().after(PENDING_PAUSE);
            store::postpone(&self.db, task, peeked, due).await?;
        }
        Ok(())
    }

    /// Calls whom a step calls. Nothing is written.
    async fn perform(&self, step: Step, saga: &Saga) -> Result<Outcome, DriveError> {
        let outcome = match step {
            Step::HoldFunds => self.hold(saga).await,
            Step::Append(seq) => self.append(saga, seq).await,
            Step::Capture => {
                let chain = self.release_chain(saga).await?;
                self.peers.capture(saga, chain).await
            }
            Step::Secure => self.peers.secure(saga).await,
            Step::Refund => self.peers.refund(saga).await,
            Step::AbandonFunding
            | Step::LapseClaim
            | Step::ExpireOffer
            | Step::Release
            | Step::AcceptBySilence
            | Step::ExpireRejected
            | Step::GiveUp
            | Step::EndLost => Ok(Outcome::Due),
        };
        match outcome {
            // It was told before.
            Ok(Outcome::Awaiting(_)) if saga.status.state == State::AwaitingFunds => Ok(Outcome::Pending),
            Ok(outcome) => Ok(outcome),
            Err(CallError::Refused(refusal)) => Ok(of_refusal(step, saga, refusal)),
            Err(CallError::Unknown(why)) => {
                metrics::step(step.as_str(), "failed");
                Err(DriveError::Call(format!("{}: {why}", step.as_str())))
            }
        }
    }

    async fn hold(&self, saga: &Saga) -> Result<Outcome, CallError> {
        let token = match &saga.status.token {
            Some(token) => {
                let opened = self.tokens.open(saga.offer.task.uuid().as_bytes(), &token.sealed).ok();
                let opened = opened.and_then(|token| String::from_utf8(token).ok());
                opened.ok_or_else(|| CallError::Unknown("the payer's token does not open".to_owned()))?
            }
            // It has served: what escrow knows of the hold, it says without one.
            None => SPENT_TOKEN.to_owned(),
        };
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
        let mut papers = store::papers(self.db.read(), saga.offer.task).await.map_err(Error::from)?;
        // What was logged a moment ago may not be written yet.
        for (stored, entry) in papers.iter_mut().zip(&saga.statements) {
            if let Some(paper) = &entry.paper {
                stored.clone_from(paper);
            }
        }
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

    /// Writes what the steps came to, each if it is still the task's next one. Answers with the task as it is then, or
    /// with `None` where an outcome is a refusal that nothing may be made of.
    async fn commit(&self, course: Course) -> Result<Option<Saga>, Error> {
        if course.unwritten.is_empty() {
            return Ok(Some(course.saga));
        }
        let (at, task) = (self.now(), course.saga.offer.task);
        let (pen, env) = (self.pen.clone(), self.env.clone());
        let (saga, counted) = self
            .db
            .transact_with((course.unwritten, pen, env), move |(outcomes, pen, env), tx| {
                Box::pin(async move {
                    let Some(before) = store::load(tx, task).await? else {
                        return Ok((None, Vec::new()));
                    };
                    let mut saga = before.clone();
                    let mut possible = true;
                    let mut counted = Vec::with_capacity(outcomes.len());
                    for (step, outcome) in outcomes {
                        // Another driver or a verb was quicker: what it made of the task counts.
                        if next_step(&saga, at) != Next::Step(*step) {
                            break;
                        }
                        possible = apply(&mut saga, *step, outcome, pen, at)?;
                        if !possible {
                            break;
                        }
                        counted.push(*step);
                    }
                    if !counted.is_empty() {
                        store::save(tx, &before, &saga, at, env).await?;
                        failpoint::before_commit_of(&counted).await?;
                    }
                    Ok::<_, Error>((possible.then_some(saga), counted))
                })
            })
            .await?;
        failpoint::committed_of(&counted).await?;
        Ok(saga)
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

// === impl Course ===

impl From<Saga> for Course {
    /// A task as it was read.
    fn from(saga: Saga) -> Self {
        let pending = saga.statements.iter().filter(|entry| entry.standing == Standing::Pending);
        let pending = pending.map(|entry| entry.seq).collect();
        Self { saga, pending, unwritten: Vec::new(), has_moved: false }
    }
}

impl Course {
    /// The task with the last outcome in it, where the next call may be made before that is written: one commit less.
    /// Whoever begins again from what is written must then make the very same calls, so the outcome must be no refusal,
    /// leave the state as it is written, and add no statement that the next call would need.
    fn ahead(&self, pen: &Pen, at: Moment) -> Option<Saga> {
        let (step, outcome) = self.unwritten.last()?;
        let mut ahead = self.saga.clone();
        // A lock leaves no transfer behind by which a refund could tell that the terms may be logged: it is written first.
        if matches!(outcome, Outcome::Refused(_) | Outcome::Held(Some(_)))
            || !apply(&mut ahead, *step, outcome, pen, at).ok()?
        {
            return None;
        }
        let calls = match next_step(&ahead, at) {
            Next::Step(step) => step.calls(),
            Next::Wait(_) | Next::End => false,
        };
        let known = |entry: &Entry| entry.standing == Standing::Appended || self.pending.contains(&entry.seq);
        let same = ahead.status.state == self.saga.status.state && ahead.statements.iter().all(known);
        (calls && same).then_some(ahead)
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

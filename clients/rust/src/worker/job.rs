//! One task from the claim to the result.

use std::sync::Arc;
use std::time::Duration;

use poa_common::Timestamp;
use poa_proto::task::v1::{
    ClaimTaskRequest, Content as Body, OpenTask, ReleaseClaimRequest, SubmitResultRequest, Task, content,
};
use proof_of_agent::{Content, Digest, Statement};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;

use super::insist::{insist, is_unknown};
use super::{Handler, Job, Output, Refusal, Shared, WorkerEvent, terms};
use crate::client::new_request_id;
use crate::error::Error;
use crate::key::WorkDone;

/// Bytes of an input or a result inside of a message.
const MAX_INLINE_BYTES: usize = 128 * 1024;
/// How long a handler that was told to stop may take before it is dropped.
const GRACE: Duration = Duration::from_secs(5);
/// How long a claim or a release is insisted on: about as long as a server takes to start again.
const OUTCOME_WITHIN: Duration = Duration::from_secs(30);
/// How long a result is insisted on: the lease, which is renewed meanwhile, ends it before.
const HAND_IN_WITHIN: Duration = Duration::from_secs(3_600);
/// Characters of a reason that is sent: the contract takes 1,000 bytes, a character has up to four.
const MAX_REASON_CHARS: usize = 250;

/// A claimed task, ready to be worked on.
pub(super) struct Claimed<H> {
    shared: Arc<Shared<H>>,
    open: OpenTask,
    task: Task,
    expected_input: Content,
    acceptance: Statement,
    lease: Duration,
    abort: CancellationToken,
}

/// A task that this worker is not to take again soon.
pub(super) type Left = Option<String>;

/// How the work on a task ended.
enum Ended {
    HandedIn(WorkerEvent),
    Refused(String),
    Lost(String),
}

// === impl Ended ===

impl Ended {
    fn shutting_down() -> Self {
        Self::Refused("the agent is shutting down".to_owned())
    }
}

// === impl Claimed ===

impl<H: Handler> Claimed<H> {
    /// Checks and signs the terms, and claims the task.
    pub(super) async fn claim(
        shared: &Arc<Shared<H>>,
        open: OpenTask,
        abort: CancellationToken,
    ) -> Result<Self, Error> {
        let (accepted, checked) = terms::acceptance(&open, &shared.config.trust_root, &shared.agent)?;
        if checked.terms.input.size > u64::try_from(MAX_INLINE_BYTES).unwrap_or(u64::MAX) {
            return Err(Error::Contract(
                "the input is kept elsewhere, which this agent does not fetch".to_owned(),
            ));
        }
        let (acceptance, envelope) =
            shared.key.accept(shared.session.client().env(), &open.terms, &accepted)?;
        let env = shared.session.client().env();
        let request = ClaimTaskRequest {
            request_id: new_request_id(env),
            task_id: open.task_id.clone(),
            agent_id: accepted.agent.to_string(),
            acceptance: envelope.to_json(),
        };
        let task = insist(env, OUTCOME_WITHIN, || shared.session.claim_task(request.clone())).await?;
        let lease = Duration::from_secs(u64::from(checked.terms.claim_seconds));
        let expected_input = checked.terms.input;
        Ok(Self { shared: Arc::clone(shared), open, task, expected_input, acceptance, lease, abort })
    }

    /// Works on the task and hands in the result, or gives the claim back.
    pub(super) async fn run(mut self) -> Left {
        let task_id = self.open.task_id.clone();
        let started = self.shared.session.client().env().now();
        let worked = match take_input(self.task.input.take(), &self.expected_input) {
            Ok((input, media_type)) => {
                self.shared.report(WorkerEvent::Claimed {
                    task_id: task_id.clone(),
                    title: self.open.title.clone(),
                    payee_msat: self.open.payee_msat,
                    input_bytes: input.len(),
                });
                self.work(input, media_type).await
            }
            Err(refusal) => Err(Ended::Refused(refusal.reason)),
        };
        let ended = match worked {
            Ok(output) => self.hand_in(output, started).await,
            Err(ended) => ended,
        };
        match ended {
            Ended::HandedIn(event) => {
                self.shared.report(event);
                None
            }
            Ended::Refused(reason) => {
                self.give_back(reason).await;
                Some(task_id)
            }
            Ended::Lost(reason) => {
                self.shared.report(WorkerEvent::Lost { task_id: task_id.clone(), reason });
                Some(task_id)
            }
        }
    }

    /// Runs the handler, with the lease kept alive beside it.
    async fn work(&self, input: Vec<u8>, media_type: String) -> Result<Output, Ended> {
        let cancel = CancellationToken::new();
        let job = Job {
            task: self.open.clone(),
            input,
            media_type,
            acceptance: self.acceptance.digest(),
            agent_key: self.acceptance.context().signer,
            cancel: cancel.clone(),
        };
        let shared = Arc::clone(&self.shared);
        // A task of its own, so that a panic in the handler ends this job alone.
        let mut handler =
            AbortOnDropHandle::new(tokio::spawn(async move { shared.handler.handle(job).await }));
        let ended = tokio::select! {
            finished = &mut handler => return finish(finished),
            lost = self.keep_lease() => Ended::Lost(lost),
            () = self.abort.cancelled() => Ended::shutting_down(),
        };
        cancel.cancel();
        // Whatever it still says, the claim is gone or about to go.
        let _ = tokio::time::timeout(GRACE, &mut handler).await;
        Err(ended)
    }

    /// Renews the lease at a third of its length until the claim is gone; answers with the reason.
    async fn keep_lease(&self) -> String {
        let period = (self.lease / 3).max(Duration::from_secs(1));
        loop {
            tokio::time::sleep(period).await;
            let error = match self.shared.session.renew_claim(&self.open.task_id).await {
                Ok(_) => continue,
                Err(error) => error,
            };
            // It may come back before the lease ends, and if it does not, the mesh clock stands still with it.
            if is_unknown(&error) || matches!(error.code(), Some(Code::Internal) | None) {
                tracing::warn!(%error, task_id = %self.open.task_id, "the lease was not renewed");
            } else {
                return error.to_string();
            }
        }
    }

    /// Signs the receipt and submits the result. What is done is not thrown away because the server is gone for a moment:
    /// it is handed in for as long as the claim is held.
    async fn hand_in(&self, output: Output, started: Timestamp) -> Ended {
        let submitted = tokio::select! {
            submitted = self.submit(output, started) => submitted,
            lost = self.keep_lease() => return Ended::Lost(lost),
            () = self.abort.cancelled() => return Ended::shutting_down(),
        };
        match submitted {
            Ok(event) => Ended::HandedIn(event),
            Err(error) if matches!(error.reason(), "CLAIM_NOT_HELD" | "TASK_STATE") => {
                Ended::Lost(error.to_string())
            }
            Err(error) => Ended::Refused(format!("the result was refused: {error}")),
        }
    }

    async fn submit(&self, output: Output, started: Timestamp) -> Result<WorkerEvent, Error> {
        let env = self.shared.session.client().env();
        let content = Content::of(&output.bytes, output.media_type.clone());
        let output_sha256 = content.sha256.to_string();
        let output_bytes = output.bytes.len();
        let work = WorkDone {
            output: content,
            started,
            finished: env.now(),
            build: self.shared.config.build.clone(),
            evidence: output.evidence.as_deref().map(Digest::of),
        };
        let envelope = self.shared.key.submit(env, &self.acceptance, &self.acceptance, work)?;
        let request = SubmitResultRequest {
            request_id: new_request_id(env),
            task_id: self.open.task_id.clone(),
            result: Some(Body {
                media_type: output.media_type,
                body: Some(content::Body::Inline(output.bytes)),
            }),
            submission: envelope.to_json(),
        };
        let session = &self.shared.session;
        let task = insist(env, HAND_IN_WITHIN, || session.submit_result(request.clone())).await?;
        if let Some(evidence) = output.evidence {
            self.show_evidence(&task.task_id, &evidence).await;
        }
        let state = task.state().as_str_name().trim_start_matches("STATE_").to_owned();
        Ok(WorkerEvent::Submitted { task_id: task.task_id, output_bytes, output_sha256, state })
    }

    /// Hands in the evidence that the receipt names. The work is done and paid for without it: where it is not taken, the
    /// receipt shows less.
    async fn show_evidence(&self, task_id: &str, evidence: &[u8]) {
        let session = &self.shared.session;
        let show = || session.submit_tee_evidence(task_id, evidence);
        if let Err(error) = insist(session.client().env(), OUTCOME_WITHIN, show).await {
            let error = format!("the evidence for {task_id} was not taken: {error}");
            self.shared.report(WorkerEvent::Trouble { error });
        }
    }

    async fn give_back(&self, reason: String) {
        let task_id = self.open.task_id.clone();
        let sent: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let session = &self.shared.session;
        let request = ReleaseClaimRequest {
            request_id: new_request_id(session.client().env()),
            task_id: task_id.clone(),
            reason: sent,
        };
        let release = || session.release(request.clone());
        self.shared.report(match insist(session.client().env(), OUTCOME_WITHIN, release).await {
            Ok(_) => WorkerEvent::Released { task_id, reason },
            Err(error) => WorkerEvent::Lost { task_id, reason: format!("{reason}; not given back: {error}") },
        });
    }
}

/// The inline input, if it is the one that the terms name.
fn take_input(input: Option<Body>, expected: &Content) -> Result<(Vec<u8>, String), Refusal> {
    let (bytes, media_type) = match input {
        Some(Body { body: Some(content::Body::Inline(bytes)), media_type }) => (bytes, media_type),
        // An empty input is a body that is not there.
        Some(Body { body: None, media_type }) => (Vec::new(), media_type),
        Some(Body { body: Some(content::Body::Remote(_)), .. }) => {
            return Err(Refusal::new("the input is kept elsewhere, which this agent does not fetch"));
        }
        None => (Vec::new(), String::new()),
    };
    if !expected.is_of(&bytes) {
        return Err(Refusal::new("the input is not the one that the terms name"));
    }
    Ok((bytes, media_type))
}

fn finish(finished: Result<Result<Output, Refusal>, tokio::task::JoinError>) -> Result<Output, Ended> {
    match finished {
        Ok(Ok(output)) if output.bytes.len() > MAX_INLINE_BYTES => {
            Err(Ended::Refused(format!("the result has more than {MAX_INLINE_BYTES} bytes")))
        }
        Ok(Ok(output)) if output.evidence.as_ref().is_some_and(|bytes| bytes.len() > MAX_INLINE_BYTES) => {
            Err(Ended::Refused(format!("the evidence has more than {MAX_INLINE_BYTES} bytes")))
        }
        Ok(Ok(output)) => Ok(output),
        Ok(Err(refusal)) => Err(Ended::Refused(refusal.reason)),
        Err(_) => Err(Ended::Refused("the agent's handler failed unexpectedly".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(bytes: &[u8]) -> Option<Body> {
        let body = Some(content::Body::Inline(bytes.to_vec()));
        Some(Body { media_type: "text/plain".to_owned(), body })
    }

    #[test]
    fn only_the_input_that_the_terms_name_is_worked_on() {
        let expected = Content::of(b"one two", "text/plain");
        assert_eq!(take_input(inline(b"one two"), &expected).unwrap().0, b"one two");
        assert!(take_input(inline(b"one too"), &expected).is_err());
        assert!(take_input(None, &expected).is_err());
        assert!(take_input(None, &Content::of(b"", "text/plain")).is_ok());
    }

    #[test]
    fn an_oversized_result_is_refused_before_it_is_sent() {
        let output = |length| Output::new(vec![0; length], "");
        assert!(finish(Ok(Ok(output(MAX_INLINE_BYTES)))).is_ok());
        assert!(matches!(finish(Ok(Ok(output(MAX_INLINE_BYTES + 1)))), Err(Ended::Refused(_))));
    }

    #[test]
    fn a_result_does_not_name_evidence_that_no_receipt_could_carry() {
        let output = |length| Output { evidence: Some(vec![0; length]), ..Output::new(*b"done", "") };
        assert!(finish(Ok(Ok(output(MAX_INLINE_BYTES)))).is_ok());
        assert!(matches!(finish(Ok(Ok(output(MAX_INLINE_BYTES + 1)))), Err(Ended::Refused(_))));
    }
}

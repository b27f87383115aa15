//! One claim and one submission, for whoever is the loop themselves.

use futures_util::StreamExt as _;
use poa_common::Timestamp;
use poa_proto::auth::v1::Agent;
use poa_proto::task::v1::{ClaimTaskRequest, Content as Body, OpenTask, SubmitResultRequest, Task, content};
use proof_of_agent::{Content, Digest, Envelope, Kind, Statement, TrustRoot};

use super::{Output, terms};
use crate::calls::{FeedFilter, FeedUpdate};
use crate::client::Session;
use crate::error::Error;
use crate::key::{AgentKey, Build, SigningError, WorkDone};
use crate::stream::Patience;

/// How long the feed's snapshot may take.
const SNAPSHOT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Claims one task for an agent: finds it in the feed, checks and signs its terms. `Ok(None)`: the task is not open, or
/// not to this agent.
pub async fn claim(
    session: &Session,
    key: &AgentKey,
    agent: &Agent,
    trust_root: &TrustRoot,
    task_id: &str,
) -> Result<Option<Task>, Error> {
    let Some(open) = find_open(session, agent, task_id).await? else {
        return Ok(None);
    };
    let (accepted, _) = terms::acceptance(&open, trust_root, agent)?;
    let (_, envelope) = key.accept(session.client().env(), &open.terms, &accepted)?;
    let request = ClaimTaskRequest {
        request_id: String::new(),
        task_id: open.task_id.clone(),
        agent_id: agent.agent_id.clone(),
        acceptance: envelope.to_json(),
    };
    session.claim_task(request).await.map(Some)
}

/// Looks for a task in the feed's first snapshot.
async fn find_open(session: &Session, agent: &Agent, task_id: &str) -> Result<Option<OpenTask>, Error> {
    let capability = session.task(task_id).await?.capability;
    let filter =
        FeedFilter { capabilities: vec![capability], min_payee_msat: 0, agent_id: agent.agent_id.clone() };
    let mut feed = Box::pin(session.feed(filter, Patience::Within(SNAPSHOT_PATIENCE)));
    while let Some(update) = feed.next().await {
        if let FeedUpdate::Snapshot { tasks, last, .. } = update? {
            let found = tasks.into_iter().find(|open| open.task_id == task_id);
            if found.is_some() || last {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// The acceptance of the claim that a task is under now.
pub async fn acceptance(session: &Session, task_id: &str) -> Result<Statement, Error> {
    accepted(&statements(session, task_id).await?).cloned()
}

/// Submits the result of a claimed task with a signed receipt, and its evidence, if it has one. The work counts from the
/// acceptance where `started` is not given.
///
/// The result is submitted before the evidence, and cannot be taken back: after an error of the evidence it stands, and
/// [`Session::submit_tee_evidence`] can be called again.
pub async fn submit(
    session: &Session,
    key: &AgentKey,
    task_id: &str,
    output: Output,
    started: Option<Timestamp>,
    build: Option<Build>,
) -> Result<Task, Error> {
    let chain = statements(session, task_id).await?;
    let acceptance = accepted(&chain)?;
    let last = chain.last().unwrap_or(acceptance);
    let accepted_time = acceptance.body().as_terms_accepted().map(|accepted| accepted.accepted_time);
    let now = session.client().env().now();
    let work = WorkDone {
        output: Content::of(&output.bytes, output.media_type.clone()),
        started: started.or(accepted_time).unwrap_or(now),
        finished: now,
        build,
        evidence: output.evidence.as_deref().map(Digest::of),
    };
    let envelope = key.submit(session.client().env(), acceptance, last, work)?;
    let body = Body { media_type: output.media_type, body: Some(content::Body::Inline(output.bytes)) };
    let request = SubmitResultRequest {
        request_id: String::new(),
        task_id: task_id.to_owned(),
        result: Some(body),
        submission: envelope.to_json(),
    };
    let task = session.submit_result(request).await?;
    if let Some(evidence) = output.evidence {
        session.submit_tee_evidence(task_id, &evidence).await?;
    }
    Ok(task)
}

fn accepted(chain: &[Statement]) -> Result<&Statement, Error> {
    let acceptance = chain.iter().rfind(|statement| statement.kind() == Kind::TermsAccepted);
    acceptance.ok_or_else(|| Error::Contract("the task has no claim: claim it first".to_owned()))
}

/// The verified statements of a task's chain, in order.
async fn statements(session: &Session, task_id: &str) -> Result<Vec<Statement>, Error> {
    let open = |envelope: &[u8]| Envelope::from_json(envelope).and_then(|envelope| envelope.open());
    let chain = session.attestations(task_id).await?;
    let opened = chain.iter().map(|attestation| open(&attestation.envelope));
    Ok(opened.collect::<Result<Vec<_>, _>>().map_err(SigningError::from)?)
}

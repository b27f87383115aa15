//! SubmitTeeEvidence: what shows in which machine a result was made.

use poa_common::{AccountId, TaskId};
use poa_proto::attestation::v1::{SubmitTeeEvidenceRequest, SubmitTeeEvidenceResponse};
use proof_of_agent::chain::MAX_STATEMENTS;
use proof_of_agent::{
    AgentVersion, Digest, Envelope, Kind, NoticeStatement, Statement, TrustLevel, WorkReceived,
    WorkSubmitted, verify_evidence,
};
use tonic::Request;

use super::Service;
use crate::domain::Refusal;
use crate::error::Error;
use crate::store;

/// The last result of a task that the platform has received.
struct Submitted {
    work: WorkSubmitted,
    received: WorkReceived,
}

pub(super) async fn handle(
    service: &Service,
    request: Request<SubmitTeeEvidenceRequest>,
) -> Result<SubmitTeeEvidenceResponse, Error> {
    let account = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "task" };
    let task: TaskId = message.task_id.parse().map_err(|_| absent())?;
    let submitted = last_result(service, task, account).await?.ok_or_else(absent)?;
    let digest = Digest::of(&message.evidence);
    if submitted.work.tee_evidence_digest != Some(digest) {
        let detail = "the last submission does not name this evidence as its teeEvidenceDigest";
        return Err(Refusal::chain("teeEvidenceDigest", detail).into());
    }
    let version = published(service, &submitted).await?.ok_or_else(|| {
        Refusal::chain("agentVersion", "the submission names no build that the agent had published before")
    })?;
    let trust_level =
        if version.source_ref.is_some() { TrustLevel::Tee } else { TrustLevel::Key }.as_str().to_owned();
    let trust_root = service.keys.trust_root().clone();
    let (evidence, held) = tokio::task::spawn_blocking(move || {
        let evidence = message.evidence;
        let held = verify_evidence(&evidence, &submitted.work, &submitted.received, &version, &trust_root);
        (evidence, held)
    })
    .await
    .map_err(Error::bug)?;
    held.map_err(|error| Error::field("evidence", error))?;
    let input = (task, digest, evidence, service.env.now());
    service
        .db
        .transact_with(input, |(task, digest, evidence, now), tx| {
            Box::pin(async move {
                Ok::<_, Error>(store::evidence::insert(tx, *task, *digest, evidence, *now).await?)
            })
        })
        .await?;
    Ok(SubmitTeeEvidenceResponse { task_id: task.to_string(), trust_level })
}

/// None where there is no result, or somebody else is paid for it.
async fn last_result(
    service: &Service,
    task: TaskId,
    account: AccountId,
) -> Result<Option<Submitted>, Error> {
    let stored = store::statements::of_task(service.db.read(), task, 0, MAX_STATEMENTS).await?;
    let (mut work, mut received) = (None, None);
    for stored in stored {
        let envelope = Envelope::from_json(&stored.envelope).map_err(Error::bug)?;
        let statement = Statement::parse(envelope.payload()).map_err(Error::bug)?;
        if statement.kind() == Kind::TermsAccepted {
            (work, received) = (None, None);
        }
        if let Some(submitted) = statement.body().as_work_submitted() {
            work = Some(submitted.clone());
        }
        if let Some(receipt) = statement.body().as_work_received() {
            received = Some(receipt.clone());
        }
    }
    let result = work.zip(received).map(|(work, received)| Submitted { work, received });
    Ok(result.filter(|result| result.received.account == account))
}

/// The version that names the submission's build, where it was in the log before the submission.
async fn published(service: &Service, submitted: &Submitted) -> Result<Option<AgentVersion>, Error> {
    let (work, received) = (&submitted.work, &submitted.received);
    let Some(build) = work.build_digest else { return Ok(None) };
    let before = received.submission_log_index;
    let stated = store::notices::version_of_build(service.db.read(), work.agent, build, before).await?;
    let Some(stated) = stated else { return Ok(None) };
    let envelope = Envelope::from_json(&stated.envelope).map_err(Error::bug)?;
    let statement = NoticeStatement::<AgentVersion>::open(&envelope).map_err(Error::bug)?;
    Ok(Some(statement.notice().clone()))
}

//! AppendStatement: a statement enters its chain and the log.

use std::sync::Arc;
use std::time::Duration;

use poa_common::{AccountId, AgentId, FieldViolation, ServiceError as _, TaskId, Violations};
use poa_proto::attestation::v1::append_statement_request::Statement;
use poa_proto::attestation::v1::{AppendStatementRequest, AppendStatementResponse};
use tokio::time::Instant;

use super::Service;
use super::convert::{self, Reached};
use crate::domain::{Refusal, Submission};
use crate::error::Error;
use crate::failpoint::{Failpoint, committed};
use crate::worker::appender::Appended;
use crate::{metrics, store};

/// How long a statement of an unknown agent waits for the agent's registration to arrive. Auth publishes its
/// events within 250 ms.
const AGENT_PATIENCE: Duration = Duration::from_secs(1);
/// How long task leaves one who drives a task alone, before another one may send the same statement again. Patience must
/// end before: else the second call is still waiting, and may be let in, when the first one was refused.
const DRIVE_LEASE: Duration = Duration::from_millis(1_500);
const _: () = assert!(AGENT_PATIENCE.as_millis() < DRIVE_LEASE.as_millis(), "patience ends within a drive");

pub(super) async fn handle(
    service: &Service,
    message: AppendStatementRequest,
) -> Result<AppendStatementResponse, Error> {
    poa_chassis::validate(&message)?;
    let submission = read(service, message)?;
    let appended = match append(service, Arc::new(submission)).await {
        Ok(appended) => appended,
        Err(error) => {
            metrics::refused(error.reason());
            return Err(error);
        }
    };
    // What is new is in no published tree yet: one question less on the busiest path.
    let reached = if appended.is_replay {
        service.reached().await?
    } else {
        service.sequencer.appended();
        for row in std::iter::once(&appended.statement).chain(&appended.receipt) {
            metrics::appended(row.kind);
        }
        Reached::default()
    };
    let show = |stored| convert::attestation(stored, reached);
    Ok(AppendStatementResponse {
        attestation: Some(show(appended.statement)?),
        countersignature: appended.receipt.map(show).transpose()?,
    })
}

/// Reads the request, names all fields that are not as they should be, and signs what is the platform's.
fn read(service: &Service, message: AppendStatementRequest) -> Result<Submission, Error> {
    let mut violations = Violations::default();
    let task_id: Option<TaskId> = violations.parse("task_id", &message.task_id);
    let account_id: Option<AccountId> = match &message.statement {
        Some(Statement::Envelope(_)) => violations.parse("account_id", &message.account_id),
        Some(Statement::PlatformPayload(_)) => {
            if !message.account_id.is_empty() {
                violations.add("account_id", "must be empty for a statement of the platform");
            }
            None
        }
        None => {
            violations.add("envelope", "an envelope or a platform_payload is required");
            None
        }
    };
    let keys = &service.keys;
    match (message.statement, task_id, account_id) {
        (Some(Statement::Envelope(envelope)), Some(task), Some(account)) => {
            Ok(Submission::of_agent(task, &envelope, account, keys)?)
        }
        (Some(Statement::PlatformPayload(payload)), Some(task), None) if violations.is_empty() => {
            Ok(Submission::of_platform(task, &payload, keys)?)
        }
        (_, _, _) => {
            let violations: Vec<FieldViolation> = violations.into_vec();
            Err(poa_chassis::Error::FieldsInvalid(violations).into())
        }
    }
}

/// Appends, and waits a little where the agent's registration may be on its way.
async fn append(service: &Service, submission: Arc<Submission>) -> Result<Appended, Error> {
    let deadline = Instant::now() + AGENT_PATIENCE;
    loop {
        match service.appender.submit(Arc::clone(&submission)).await {
            Err(Error::Refused(Refusal::AgentUnknown { agent })) => {
                wait_for(service, agent, deadline).await?;
            }
            Err(refused) => return Err(refused),
            Ok(appended) => {
                committed(Failpoint::AppendCommitted).await?;
                return Ok(appended);
            }
        }
    }
}

/// Waits until an agent is known.
///
/// # Errors
/// At the deadline: the agent does not exist where its events were followed to their end, else auth is behind.
async fn wait_for(service: &Service, agent: AgentId, deadline: Instant) -> Result<(), Error> {
    let mut progress = service.agents.clone();
    loop {
        progress.mark_unchanged();
        if store::agents::is_known(service.db.read(), agent).await? {
            return Ok(());
        }
        let changed = tokio::time::timeout_at(deadline, progress.changed()).await;
        // The follower ends with the server only.
        if let Ok(Ok(())) = changed {
            continue;
        }
        return if progress.borrow().caught_up {
            Err(Refusal::AgentUnknown { agent }.into())
        } else {
            Err(poa_chassis::Error::DependencyUnavailable { dependency: "auth" }.into())
        };
    }
}

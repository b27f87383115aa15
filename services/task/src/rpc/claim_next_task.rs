//! ClaimNextTask.

use poa_chassis::Principal;
use poa_common::{Msat, TaskId, TypedId as _, Violations};
use poa_proto::task::v1::{ClaimNextTaskRequest, ClaimNextTaskResponse};
use poa_storage::Tx;
use poa_storage::idempotency::{self, Keep};
use uuid::Uuid;

use super::convert::{estimate, open_task};
use super::{Recorded, parse, recorded};
use crate::domain::{MeshTime, Moment};
use crate::error::Error;
use crate::methods::CLAIM_NEXT_TASK;
use crate::service::Service;
use crate::store::{self, Filter};

/// Tasks that are set aside for one account at a time, whichever agents it names: enough for a fleet that claims what it
/// gets, and too few to keep the market from others.
const MAX_RESERVATIONS: u32 = 8;
/// Bytes of a recorded answer: the task's id and the reservation's end.
const ANSWER_BYTES: usize = 24;

pub(super) async fn handle(
    service: &Service,
    principal: Principal,
    request: ClaimNextTaskRequest,
) -> Result<ClaimNextTaskResponse, Error> {
    let recorded = recorded(service, &principal, CLAIM_NEXT_TASK, &request.request_id, &request)?;
    let mut found = Violations::default();
    for (place, capability) in request.capabilities.iter().enumerate() {
        parse::capability(&mut found, &format!("capabilities[{place}]"), capability);
    }
    parse::refuse(found)?;
    let agent = parse::id("agent", &request.agent_id)?;
    if !principal.may_act_as(agent) {
        return Err(Error::NotFound { resource: "agent" });
    }
    let filter = Filter {
        account: principal.account_id,
        agent,
        capabilities: request.capabilities,
        min_payee: Msat::new(request.min_payee_msat),
    };
    let at = service.now();
    let until = at.mesh.after(parse::seconds(service.config.claims.reservation_seconds));
    let (task, until) = service
        .db
        .transact_idempotent(filter, move |filter, tx| Box::pin(reserve(tx, filter, recorded, at, until)))
        .await?;
    let rows = store::open_rows(service.db.read(), &[task]).await?;
    let row = rows.first().ok_or(Error::NoOpenTask)?;
    let now = service.now();
    Ok(ClaimNextTaskResponse {
        task: Some(open_task(row, now)?),
        reserve_expire_time: Some(estimate(until, now)),
    })
}

async fn reserve(
    tx: &mut Tx,
    filter: &Filter,
    recorded: Recorded,
    at: Moment,
    until: MeshTime,
) -> Result<(TaskId, MeshTime), Error> {
    if let Some(answer) = recorded.begin(tx).await? {
        return read(&answer).ok_or_else(|| Error::internal("a recorded reservation does not parse"));
    }
    let held = store::reservations(tx, filter.account, at.mesh).await?;
    if let Some(first) = held.first()
        && u32::try_from(held.len()).is_ok_and(|count| count >= MAX_RESERVATIONS)
    {
        return Err(Error::Reservations { limit: MAX_RESERVATIONS, retry_after: at.mesh.until(*first) });
    }
    let task = store::reserve(tx, filter, at.mesh, until).await?.ok_or(Error::NoOpenTask)?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    answer.extend_from_slice(task.uuid().as_bytes());
    answer.extend_from_slice(&until.micros().to_be_bytes());
    idempotency::record(tx, recorded.key, &answer, Keep::SevenDays).await?;
    Ok((task, until))
}

fn read(answer: &[u8]) -> Option<(TaskId, MeshTime)> {
    let (task, until) = answer.split_at_checked(16)?;
    let task = TaskId::from_uuid(Uuid::from_slice(task).ok()?);
    Some((task, MeshTime::from_micros(i64::from_be_bytes(until.try_into().ok()?))))
}

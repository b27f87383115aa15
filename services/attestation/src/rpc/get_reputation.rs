//! GetReputation: what the public records of the log come to for an agent.

use poa_common::AgentId;
use poa_proto::attestation::v1::{GetReputationRequest, GetReputationResponse, Reputation};
use proof_of_agent::reputation::{self, FORMULA_VERSION, Record, day_of};
use proof_of_agent::tlog::LogEntry;

use super::Service;
use super::convert::count;
use crate::error::Error;
use crate::store;

pub(super) async fn handle(
    service: &Service,
    message: &GetReputationRequest,
) -> Result<GetReputationResponse, Error> {
    poa_chassis::validate(message)?;
    let agent: AgentId =
        message.agent_id.parse().map_err(|_| Error::field("agent_id", "is not the id of an agent"))?;
    let tree_size = service.newest_checkpoint().await?.size;
    let day = day_of(service.env.now());
    let entries = store::log::records(service.db.read(), agent, tree_size).await?;
    let mut records: Vec<Record> = Vec::with_capacity(entries.len());
    for entry in &entries {
        records.extend(LogEntry::decode(entry).map_err(Error::bug)?.record);
    }
    let found = reputation::Reputation::of(&records, day);
    Ok(GetReputationResponse {
        reputation: Some(Reputation {
            agent_id: agent.to_string(),
            formula_version: i32::try_from(FORMULA_VERSION).map_err(Error::bug)?,
            tree_size: count(tree_size)?,
            day: i32::try_from(day).map_err(Error::bug)?,
            score: count(found.score)?,
            quality_basis_points: count(found.quality)?,
            experience_msat: count(found.experience_msat)?,
            completed: count(found.completed)?,
            accepted: count(found.accepted)?,
            paid_in_part: count(found.paid_in_part)?,
            rejected: count(found.rejected)?,
            lapsed: count(found.lapsed)?,
            disputed: count(found.disputed)?,
            on_time: count(found.on_time)?,
            requesters: count(found.requesters)?,
            repeat_requesters: count(found.repeat_requesters)?,
            self_dealing: count(found.self_dealing)?,
        }),
    })
}

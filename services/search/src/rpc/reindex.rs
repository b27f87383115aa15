//! Reindex: the index from nothing, at an operator's wish.

use poa_proto::search::v1::ReindexResponse;

use super::Service;
use crate::error::Error;
use crate::index::Index;
use crate::metrics::Cause;

pub(super) async fn handle<I: Index>(service: &Service<I>) -> Result<ReindexResponse, Error> {
    let dropped = service.keeper.rebuild(Cause::Operator, None).await?.unwrap_or_default();
    Ok(ReindexResponse { dropped_agents: dropped.agents, dropped_tasks: dropped.tasks })
}

//! GetConsistencyProof: a tree is the beginning of a larger one.

use poa_proto::attestation::v1::{GetConsistencyProofRequest, GetConsistencyProofResponse};
use proof_of_agent::tlog;

use super::Service;
use super::convert::{count, hashes, place};
use crate::error::Error;
use crate::store;

pub(super) async fn handle(
    service: &Service,
    message: &GetConsistencyProofRequest,
) -> Result<GetConsistencyProofResponse, Error> {
    poa_chassis::validate(message)?;
    let published = service.newest_checkpoint().await?.size;
    let first = place("first_size", message.first_size)?;
    let second = match place("second_size", message.second_size)? {
        0 => published,
        asked if asked <= published => asked,
        _ => return Err(Error::field("second_size", format!("the published tree has {published} leaves"))),
    };
    if first > second {
        return Err(Error::field("first_size", format!("is larger than the tree of {second} leaves")));
    }
    let wanted = tlog::nodes_needed_for_consistency(first, second).map_err(Error::bug)?;
    let nodes = store::log::nodes(service.db.read(), wanted).await?;
    let proof = tlog::consistency_proof(first, second, &nodes).map_err(Error::bug)?;
    Ok(GetConsistencyProofResponse { hashes: hashes(&proof), second_size: count(second)? })
}

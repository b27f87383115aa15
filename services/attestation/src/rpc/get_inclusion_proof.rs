//! GetInclusionProof: a leaf is in the tree of a size.

use poa_proto::attestation::v1::{GetInclusionProofRequest, GetInclusionProofResponse};
use proof_of_agent::tlog::{self, Node};

use super::Service;
use super::convert::{count, hashes, place};
use crate::error::Error;
use crate::store;

pub(super) async fn handle(
    service: &Service,
    message: &GetInclusionProofRequest,
) -> Result<GetInclusionProofResponse, Error> {
    poa_chassis::validate(message)?;
    let published = service.newest_checkpoint().await?.size;
    let size = match place("tree_size", message.tree_size)? {
        0 => published,
        asked if asked <= published => asked,
        _ => return Err(Error::field("tree_size", format!("the published tree has {published} leaves"))),
    };
    let index = place("log_index", message.log_index)?;
    if index >= size {
        return Err(Error::NotFound { resource: "leaf" });
    }
    let leaf = Node { level: 0, index };
    let mut wanted = tlog::nodes_needed_for_inclusion(index, size).map_err(Error::bug)?;
    wanted.push(leaf);
    let nodes = store::log::nodes(service.db.read(), wanted).await?;
    let proof = tlog::inclusion_proof(index, size, &nodes).map_err(Error::bug)?;
    let leaf_hash = nodes.get(&leaf).ok_or_else(|| Error::bug("a published leaf is missing"))?;
    Ok(GetInclusionProofResponse {
        hashes: hashes(&proof),
        leaf_hash: leaf_hash.to_vec(),
        tree_size: count(size)?,
    })
}

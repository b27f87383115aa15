//! GetTile: a part of the tree, or of the entries under it, that never changes.

use poa_proto::attestation::v1::{GetTileRequest, GetTileResponse};
use proof_of_agent::tlog::{Node, Tile, TileKind, write_entries};

use super::Service;
use crate::error::Error;
use crate::store;

pub(super) async fn handle(service: &Service, message: &GetTileRequest) -> Result<GetTileResponse, Error> {
    poa_chassis::validate(message)?;
    let tile = Tile::parse(&message.path).ok_or_else(|| Error::field("path", "is not the path of a tile"))?;
    // A tile that the published tree does not have all of is none yet: it would have to change.
    if !tile.is_in_tree(service.newest_checkpoint().await?.size) {
        return Err(Error::NotFound { resource: "tile" });
    }
    let data = match tile.kind {
        TileKind::Entries => entries(service, &tile).await?,
        TileKind::Hashes(_) => hashes(service, &tile).await?,
    };
    Ok(GetTileResponse { data })
}

async fn entries(service: &Service, tile: &Tile) -> Result<Vec<u8>, Error> {
    let width = usize::try_from(tile.width).map_err(Error::bug)?;
    let entries = store::log::entries(service.db.read(), tile.start(), width).await?;
    if entries.len() == width {
        Ok(write_entries(entries.iter().map(Vec::as_slice)))
    } else {
        Err(Error::bug("a published entry is missing"))
    }
}

async fn hashes(service: &Service, tile: &Tile) -> Result<Vec<u8>, Error> {
    let wanted: Vec<Node> = tile.nodes().collect();
    let nodes = store::log::nodes(service.db.read(), wanted.iter().copied()).await?;
    let mut data = Vec::with_capacity(wanted.len().saturating_mul(32));
    for node in &wanted {
        let hash = nodes.get(node).ok_or_else(|| Error::bug("a published node is missing"))?;
        data.extend_from_slice(hash.as_bytes());
    }
    Ok(data)
}

//! GetCheckpoint: the newest signed checkpoint.

use poa_proto::attestation::v1::GetCheckpointResponse;

use super::Service;
use crate::error::Error;

pub(super) async fn handle(service: &Service) -> Result<GetCheckpointResponse, Error> {
    let checkpoint = match service.witnessed_checkpoint().await? {
        Some(witnessed) => witnessed,
        // Before the witnesses have seen a first one, those who look are told what there is.
        None => service.newest_checkpoint().await?,
    };
    Ok(GetCheckpointResponse { checkpoint: checkpoint.note })
}

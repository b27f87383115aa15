//! GetCheckpoint: the newest signed checkpoint.

use poa_proto::attestation::v1::GetCheckpointResponse;

use super::Service;
use crate::error::Error;

pub(super) async fn handle(service: &Service) -> Result<GetCheckpointResponse, Error> {
    Ok(GetCheckpointResponse { checkpoint: service.newest_checkpoint().await?.note })
}

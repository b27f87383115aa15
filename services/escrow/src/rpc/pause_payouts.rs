//! PausePayouts.

use poa_proto::escrow::v1::{PausePayoutsRequest, PausePayoutsResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<PausePayoutsRequest>,
) -> Result<PausePayoutsResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

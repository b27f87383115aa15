//! SetPayoutDestination.

use poa_proto::escrow::v1::{SetPayoutDestinationRequest, SetPayoutDestinationResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<SetPayoutDestinationRequest>,
) -> Result<SetPayoutDestinationResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

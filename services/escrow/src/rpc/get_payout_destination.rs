//! GetPayoutDestination.

use poa_proto::escrow::v1::{GetPayoutDestinationRequest, GetPayoutDestinationResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<GetPayoutDestinationRequest>,
) -> Result<GetPayoutDestinationResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

//! SecureEscrow.

use poa_proto::escrow::v1::{SecureEscrowRequest, SecureEscrowResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<SecureEscrowRequest>,
) -> Result<SecureEscrowResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

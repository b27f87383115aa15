//! GetReconciliation.

use poa_proto::escrow::v1::{GetReconciliationRequest, GetReconciliationResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<GetReconciliationRequest>,
) -> Result<GetReconciliationResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

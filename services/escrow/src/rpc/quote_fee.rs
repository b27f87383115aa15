//! QuoteFee.

use poa_proto::escrow::v1::{QuoteFeeRequest, QuoteFeeResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<QuoteFeeRequest>,
) -> Result<QuoteFeeResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

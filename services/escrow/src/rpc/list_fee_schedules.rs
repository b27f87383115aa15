//! ListFeeSchedules.

use poa_proto::escrow::v1::{ListFeeSchedulesRequest, ListFeeSchedulesResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<ListFeeSchedulesRequest>,
) -> Result<ListFeeSchedulesResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

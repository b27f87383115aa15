//! SetFeeSchedule.

use poa_proto::escrow::v1::{SetFeeScheduleRequest, SetFeeScheduleResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<SetFeeScheduleRequest>,
) -> Result<SetFeeScheduleResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

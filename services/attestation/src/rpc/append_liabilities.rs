//! AppendLiabilities.

use poa_proto::attestation::v1::{AppendLiabilitiesRequest, AppendLiabilitiesResponse};

use super::Service;
use crate::error::Error;

pub(super) async fn handle(
    _service: &Service,
    _message: AppendLiabilitiesRequest,
) -> Result<AppendLiabilitiesResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

//! GetBalanceProof.

use poa_proto::escrow::v1::{GetBalanceProofRequest, GetBalanceProofResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<GetBalanceProofRequest>,
) -> Result<GetBalanceProofResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

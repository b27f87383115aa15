//! ReplaceWithdrawalInvoice.

use poa_proto::escrow::v1::{ReplaceWithdrawalInvoiceRequest, ReplaceWithdrawalInvoiceResponse};
use tonic::Request;

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<ReplaceWithdrawalInvoiceRequest>,
) -> Result<ReplaceWithdrawalInvoiceResponse, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

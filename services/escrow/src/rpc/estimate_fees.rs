//! EstimateFees.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{EstimateFeesRequest, EstimateFeesResponse};
use tonic::Request;

use super::convert;
use crate::domain::fee::split;
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;

pub(super) fn handle(
    service: &Service,
    request: &Request<EstimateFeesRequest>,
) -> Result<EstimateFeesResponse, Error> {
    let _signed_in = account(request)?;
    let message = request.get_ref();
    validate(message)?;
    let fee = service.config.fee_basis_points;
    let parts = split(convert::msat(message.price_msat), fee).map_err(Refusal::from)?;
    Ok(EstimateFeesResponse {
        fee_msat: parts.fee.get(),
        payee_msat: parts.payee.get(),
        // At most 10,000, so it always fits.
        change_time: None,
        next_fee_basis_points: 0,
        fee_basis_points: i32::try_from(fee.get()).unwrap_or(0),
    })
}

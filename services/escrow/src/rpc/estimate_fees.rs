//! EstimateFees: the caller's own fee now, and the next one that is known.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{EstimateFeesRequest, EstimateFeesResponse};
use tonic::Request;

use super::convert;
use crate::domain::fee::split;
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    request: Request<EstimateFeesRequest>,
) -> Result<EstimateFeesResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let now = service.env.now();
    let fees = service.fees.read(&service.db, account, now).await?;
    let fee = fees.at(now);
    let parts = split(convert::msat(message.price_msat), fee).map_err(Refusal::from)?;
    let change = fees.next_change(now);
    Ok(EstimateFeesResponse {
        fee_msat: parts.fee.get(),
        payee_msat: parts.payee.get(),
        fee_basis_points: convert::basis_points(fee),
        change_time: change.map(|change| convert::timestamp(change.time)),
        next_fee_basis_points: change.map(|change| convert::basis_points(change.fee)).unwrap_or_default(),
    })
}

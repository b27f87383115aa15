//! QuoteFee: the fee that the terms of a task must name.

use poa_chassis::validate;
use poa_common::AccountId;
use poa_proto::escrow::v1::{QuoteFeeRequest, QuoteFeeResponse};
use tonic::Request;

use super::convert;
use crate::domain::fee::split;
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    request: Request<QuoteFeeRequest>,
) -> Result<QuoteFeeResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let payer: AccountId = convert::id("payer_id", &message.payer_id)?;
    let now = service.env.now();
    let fees = service.fees.read(&service.db, payer, now).await?;
    let fee = fees.at(now);
    let parts = split(convert::msat(message.price_msat), fee).map_err(Refusal::from)?;
    Ok(QuoteFeeResponse {
        fee_msat: parts.fee.get(),
        payee_msat: parts.payee.get(),
        fee_basis_points: convert::basis_points(fee),
        // Seconds, so it always fits.
        valid_ms: i32::try_from(fees.quote_life(now).as_millis()).unwrap_or(0),
    })
}

//! PausePayouts: once it is answered, no new payment is begun.

use poa_chassis::validate;
use poa_proto::escrow::v1::{PausePayoutsRequest, PausePayoutsResponse};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::payout_switch;

pub(super) async fn handle(
    service: &Service,
    request: Request<PausePayoutsRequest>,
) -> Result<PausePayoutsResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    // The contract has it given.
    let paused = message.paused.unwrap_or_default();
    let switch = payout_switch::set(&service.db, paused, &message.reason, service.env.now()).await?;
    metrics::payouts_paused(switch.paused);
    tracing::warn!(
        paused = switch.paused,
        reason = switch.reason,
        "an operator has set whether payouts go on"
    );
    // What has waited goes out at once.
    service.reserved.notify_one();
    Ok(PausePayoutsResponse { payouts: Some(convert::payout_switch(&switch)) })
}

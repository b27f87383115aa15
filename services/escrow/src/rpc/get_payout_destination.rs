//! GetPayoutDestination: where the caller is paid out to now.

use poa_chassis::account;
use poa_proto::escrow::v1::{GetPayoutDestinationRequest, GetPayoutDestinationResponse};
use tonic::Request;

use super::convert;
use crate::domain::destination::Destination;
use crate::error::Error;
use crate::service::Service;
use crate::store::payout_destinations;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetPayoutDestinationRequest>,
) -> Result<GetPayoutDestinationResponse, Error> {
    let account = account(&request)?;
    let now = service.env.now();
    let known = payout_destinations::find(&service.db, account).await?;
    let known = known.unwrap_or_else(|| Destination::none(account, now)).at(now);
    Ok(GetPayoutDestinationResponse { destination: Some(convert::destination(&known)) })
}

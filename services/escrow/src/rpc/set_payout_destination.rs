//! SetPayoutDestination: the first address counts at once, every other one waits.

use std::time::Duration;

use poa_chassis::{account, validate};
use poa_common::TypedId as _;
use poa_proto::escrow::v1::{PayoutDestination, SetPayoutDestinationRequest, SetPayoutDestinationResponse};
use poa_storage::idempotency::Key;
use prost::Message as _;
use tonic::Request;

use super::convert;
use crate::domain::destination::Destination;
use crate::error::Error;
use crate::service::Service;
use crate::store::payout_destinations::{self, Change};

/// Under which its requests are known.
const METHOD: &str = "poa.escrow.v1.EscrowService/SetPayoutDestination";

pub(super) async fn handle(
    service: &Service,
    request: Request<SetPayoutDestinationRequest>,
) -> Result<SetPayoutDestinationResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let address = match message.lightning_address.as_str() {
        "" if message.automatic_threshold_msat > 0 => {
            return Err(Error::field("automatic_threshold_msat", "needs a Lightning address"));
        }
        "" => None,
        text => Some(convert::address(text)?),
    };
    let threshold = convert::msat(message.automatic_threshold_msat);
    let delay = Duration::from_secs(u64::from(service.config.payouts.change_delay_seconds));
    let now = service.env.now();
    let key = Key {
        principal: account.uuid(),
        method: METHOD,
        request_id: convert::request_id(&message.request_id)?,
    };
    let change = Change {
        account,
        key,
        fingerprint: convert::fingerprint(&message),
        now,
        decide: move |known: Destination| known.set(address.as_ref(), threshold, delay, now),
        answer: |changed| convert::destination(changed).encode_to_vec(),
    };
    let answer = payout_destinations::change(&service.db, change).await?;
    tracing::info!(account_id = %account, "payout destination set");
    let corrupt = |error: prost::DecodeError| poa_storage::Error::Corrupt(error.to_string());
    let destination = PayoutDestination::decode(answer.as_slice()).map_err(corrupt)?;
    Ok(SetPayoutDestinationResponse { destination: Some(destination) })
}

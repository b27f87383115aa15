//! One withdrawal per request id, however often and however concurrently it is asked for.

use poa_common::AccountId;
use poa_proto::escrow::v1 as pb;
use uuid::Uuid;

use super::convert;
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::Withdrawal;
use crate::error::Error;
use crate::service::Service;
use crate::store::withdrawals;

/// Shows what the request has made before, or makes it: the invoice may have expired since the first time, and an address is
/// asked once.
pub(super) async fn withdrawal(
    service: &Service,
    account: AccountId,
    request: (Uuid, [u8; 32]),
    make: impl Future<Output = Result<Withdrawal, Error>>,
) -> Result<pb::Withdrawal, Error> {
    if let Some(known) = known(service, account, request).await? {
        return Ok(known);
    }
    match make.await {
        Ok(made) => Ok(convert::withdrawal(&made)),
        // The same request may have been carried out meanwhile, and what it has done be what is refused now.
        Err(refused) => known(service, account, request).await?.ok_or(refused),
    }
}

async fn known(
    service: &Service,
    account: AccountId,
    request: (Uuid, [u8; 32]),
) -> Result<Option<pb::Withdrawal>, Error> {
    match withdrawals::find_request(&service.db, account, request.0).await? {
        Some(known) if known.request != request => Err(Refusal::RequestIdReused.into()),
        known => Ok(known.as_ref().map(convert::withdrawal)),
    }
}

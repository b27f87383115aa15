//! ListFeeSchedules: what is in force or will be.

use poa_chassis::validate;
use poa_common::{AccountId, Timestamp, TypedId as _};
use poa_proto::escrow::v1::{ListFeeSchedulesRequest, ListFeeSchedulesResponse};
use tonic::Request;
use uuid::Uuid;

use super::{convert, pages};
use crate::domain::fee_schedule::Schedule;
use crate::error::Error;
use crate::service::Service;
use crate::store::fees::{self, Place};

const METHOD: &str = "poa.escrow.v1.EscrowAdminService/ListFeeSchedules";

pub(super) async fn handle(
    service: &Service,
    request: Request<ListFeeSchedulesRequest>,
) -> Result<ListFeeSchedulesResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    // Operators have no account: the pages are anybody's who may list.
    let pages = pages::Pages::new(service, AccountId::from_uuid(Uuid::nil()), METHOD);
    let position = pages.open::<{ Place::BYTES }>(&message.page_token)?;
    let after = position.map(|bytes| Place::from_bytes(&bytes).ok_or(Error::PageTokenInvalid)).transpose()?;
    let size = pages::size(message.page_size);
    let now = service.env.now();
    let mut rows = fees::list(&service.db, after.unwrap_or(Place::START), now, size + 1).await?;
    let everybodys = |row: &Schedule| row.account.is_none() && row.start <= now;
    if after.is_none() && !rows.first().is_some_and(everybodys) {
        // Where none is set for everybody the configured fee holds.
        let fee = Some(service.fees.configured());
        rows.insert(0, Schedule { account: None, fee, start: Timestamp::UNIX_EPOCH });
    }
    let next_page_token = pages.cut(&mut rows, size, |row| Place::of(row).to_bytes());
    Ok(ListFeeSchedulesResponse {
        schedules: rows.iter().map(convert::fee_schedule).collect(),
        next_page_token,
    })
}

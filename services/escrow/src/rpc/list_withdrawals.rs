//! ListWithdrawals.

use poa_chassis::{account, validate};
use poa_common::TypedId as _;
use poa_proto::escrow::v1::{ListWithdrawalsRequest, ListWithdrawalsResponse};
use tonic::Request;
use uuid::Uuid;

use super::{convert, pages};
use crate::error::Error;
use crate::service::Service;
use crate::store::withdrawals;

const METHOD: &str = "poa.escrow.v1.EscrowService/ListWithdrawals";

pub(super) async fn handle(
    service: &Service,
    request: Request<ListWithdrawalsRequest>,
) -> Result<ListWithdrawalsResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let pages = pages::Pages::new(service, account, METHOD);
    let before = pages.open(&message.page_token)?.map_or(Uuid::max(), Uuid::from_bytes);
    let size = pages::size(message.page_size);
    let mut rows = withdrawals::before(&service.db, account, before, size + 1).await?;
    let next_page_token = pages.cut(&mut rows, size, |row| row.id.uuid().as_bytes().to_vec());
    Ok(ListWithdrawalsResponse {
        withdrawals: rows.iter().map(convert::withdrawal).collect(),
        next_page_token,
    })
}

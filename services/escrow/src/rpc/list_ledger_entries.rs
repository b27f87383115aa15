//! ListLedgerEntries.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{ListLedgerEntriesRequest, ListLedgerEntriesResponse};
use tonic::Request;

use super::{convert, pages};
use crate::error::Error;
use crate::service::Service;
use crate::store::entries;

const METHOD: &str = "poa.escrow.v1.EscrowService/ListLedgerEntries";

pub(super) async fn handle(
    service: &Service,
    request: Request<ListLedgerEntriesRequest>,
) -> Result<ListLedgerEntriesResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let pages = pages::Pages::new(service, account, METHOD);
    let before = pages.open(&message.page_token)?.map_or(i64::MAX, i64::from_be_bytes);
    let size = pages::size(message.page_size);
    let mut rows = entries::before(&service.db, account, before, size + 1).await?;
    let next_page_token = pages.cut(&mut rows, size, |entry| entry.sequence.to_be_bytes().to_vec());
    Ok(ListLedgerEntriesResponse { entries: rows.iter().map(convert::entry).collect(), next_page_token })
}

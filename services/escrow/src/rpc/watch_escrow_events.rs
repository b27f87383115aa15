//! WatchEscrowEvents.

use futures_util::stream::BoxStream;
use poa_proto::escrow::v1::{WatchEscrowEventsRequest, WatchEscrowEventsResponse};
use tonic::{Request, Status};

use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    _service: &Service,
    _request: Request<WatchEscrowEventsRequest>,
) -> Result<BoxStream<'static, Result<WatchEscrowEventsResponse, Status>>, Error> {
    Err(Error::NotFound { resource: "unfinished" })
}

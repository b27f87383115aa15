//! ListAttestations: the chain of a task of the caller's, page by page.

use poa_common::{TaskId, TypedId as _};
use poa_proto::attestation::v1::{ListAttestationsRequest, ListAttestationsResponse};
use proof_of_agent::Digest;
use tonic::Request;

use super::{Service, convert};
use crate::error::Error;
use crate::store;
use crate::store::statements::Stored;

/// Statements of a page where the caller does not say.
const DEFAULT_PAGE: usize = 50;
/// Bytes of a page's envelopes, beyond which it ends early: some clients take no more than 4 MiB.
const PAGE_BYTES: usize = 1_024 * 1_024;

pub(super) async fn handle(
    service: &Service,
    request: Request<ListAttestationsRequest>,
) -> Result<ListAttestationsResponse, Error> {
    let account = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "task" };
    let task: TaskId = message.task_id.parse().map_err(|_| absent())?;
    if !store::chains::may_read(service.db.read(), task, account).await? {
        return Err(absent());
    }
    let arguments = Digest::of_parts(&[b"ListAttestations", task.uuid().as_bytes()]);
    let opened = service.pages.open(account.uuid(), arguments.as_bytes(), &message.page_token)?;
    let from = opened.map_or(Ok(0), |position| sequence(&position))?;
    let size = match message.page_size {
        0 => DEFAULT_PAGE,
        size => usize::try_from(size).map_err(Error::bug)?,
    };

    let reached = service.reached().await?;
    // One more tells whether there is another page.
    let mut chain = store::statements::of_task(service.db.read(), task, from, size + 1).await?;
    let shown = fitting(&chain, size);
    let next = chain.get(shown).map(|next| i32::try_from(next.sequence)).transpose().map_err(Error::bug)?;
    chain.truncate(shown);
    let attestations =
        chain.into_iter().map(|stored| convert::attestation(stored, reached)).collect::<Result<_, _>>()?;
    let next_page_token = next.map_or_else(String::new, |next| {
        service.pages.seal(account.uuid(), arguments.as_bytes(), &next.to_be_bytes())
    });
    Ok(ListAttestationsResponse { attestations, next_page_token })
}

/// The place in the chain at which a page begins.
fn sequence(position: &[u8]) -> Result<i32, Error> {
    position.try_into().map(i32::from_be_bytes).map_err(Error::bug)
}

/// How many of the statements fit the page: at least one.
fn fitting(chain: &[Stored], size: usize) -> usize {
    let mut bytes = 0;
    let fit = chain.iter().take(size).take_while(|stored| {
        bytes += stored.envelope.len();
        bytes <= PAGE_BYTES
    });
    fit.count().max(1)
}

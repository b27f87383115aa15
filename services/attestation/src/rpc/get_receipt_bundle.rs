//! GetReceiptBundle: a task's receipt as one file.

use poa_common::TaskId;
use poa_proto::attestation::v1::{GetReceiptBundleRequest, GetReceiptBundleResponse};
use proof_of_agent::chain::{MAX_STATEMENTS, receipt_path};
use proof_of_agent::tlog;
use proof_of_agent::{Bundle, BundleEntry, Envelope, Statement};
use tonic::Request;

use super::Service;
use crate::error::Error;
use crate::store;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetReceiptBundleRequest>,
) -> Result<GetReceiptBundleResponse, Error> {
    let account = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "task" };
    let task: TaskId = message.task_id.parse().map_err(|_| absent())?;
    if !store::chains::may_read(service.db.read(), task, account).await? {
        return Err(absent());
    }
    // The checkpoint first: the tree under it is complete, whatever is appended meanwhile.
    let checkpoint = service.newest_checkpoint().await?;
    let stored = store::statements::of_task(service.db.read(), task, 0, MAX_STATEMENTS).await?;
    let envelopes = stored
        .iter()
        .map(|stored| Envelope::from_json(&stored.envelope))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::bug)?;
    let statements = envelopes
        .iter()
        .map(|envelope| Statement::parse(envelope.payload()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::bug)?;
    let path = receipt_path(&statements);

    let size = checkpoint.size;
    let indices = || path.iter().map(|place| stored[*place].log_index);
    let mut wanted = Vec::new();
    for index in indices().filter(|index| *index < size) {
        wanted.extend(tlog::nodes_needed_for_inclusion(index, size).map_err(Error::bug)?);
    }
    let nodes = store::log::nodes(service.db.read(), wanted).await?;
    let mut entries = Vec::with_capacity(path.len());
    for (place, log_index) in path.iter().zip(indices()) {
        // What the published tree does not reach yet has no proof, and the bundle shows that.
        let proof = if log_index < size {
            tlog::inclusion_proof(log_index, size, &nodes).map_err(Error::bug)?
        } else {
            Vec::new()
        };
        entries.push(BundleEntry { envelope: envelopes[*place].clone(), log_index, proof });
    }
    let logged = indices().all(|index| index < size);
    let bundle = Bundle::new(service.keys.network(), task, entries, checkpoint.note);
    Ok(GetReceiptBundleResponse { bundle: bundle.to_json().map_err(Error::bug)?, logged })
}

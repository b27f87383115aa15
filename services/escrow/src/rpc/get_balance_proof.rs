//! GetBalanceProof: that the caller's balance is in what the platform has last stated that it owes.

use poa_chassis::{account, validate};
use poa_proto::escrow::v1::{BalanceProof, GetBalanceProofRequest, GetBalanceProofResponse};
use proof_of_agent::liabilities::{Parts, path};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::service::Service;
use crate::store::liabilities::{self, PART, Progress};

pub(super) async fn handle(
    service: &Service,
    request: Request<GetBalanceProofRequest>,
) -> Result<GetBalanceProofResponse, Error> {
    let account = account(&request)?;
    validate(&request.into_inner())?;
    let absent = || Error::NotFound { resource: "balance_proof" };
    let snapshot = liabilities::newest_published(&service.db).await?.ok_or_else(absent)?;
    let Progress::Published(answer) = snapshot.progress else { return Err(absent()) };
    let (checkpoint, log_proof) = answer.checkpoint.ok_or_else(absent)?;
    let leaf = liabilities::leaf_of(&service.db, snapshot.id, account).await?.ok_or_else(absent)?;
    let (part, parts) = liabilities::neighbours(&service.db, snapshot.id, leaf.index).await?;
    let place = |number: u64| usize::try_from(number).map_err(poa_storage::Error::other);
    let below = path(&part, place(leaf.index % PART)?).map_err(poa_storage::Error::other)?;
    let above = path(&parts, place(leaf.index / PART)?).map_err(poa_storage::Error::other)?;
    let proof = proof_of_agent::BalanceProof::new(Parts {
        network: service.node.network,
        snapshot: snapshot.id,
        account: leaf.account,
        balance: leaf.balance,
        salt: leaf.salt,
        leaf_index: leaf.index,
        path: [below, above].concat(),
        envelope: answer.envelope,
        log_index: answer.log_index,
        log_proof,
        checkpoint,
    });
    Ok(GetBalanceProofResponse {
        proof: Some(BalanceProof {
            document: proof.to_json().map_err(poa_storage::Error::other)?,
            balance_msat: leaf.balance.get(),
            snapshot_time: Some(convert::timestamp(snapshot.time)),
            liabilities_msat: snapshot.liabilities.get(),
        }),
    })
}

//! GetAttestation: one statement of a task of the caller's.

use poa_common::AttestationId;
use poa_proto::attestation::v1::{GetAttestationRequest, GetAttestationResponse};
use tonic::Request;

use super::{Service, convert};
use crate::error::Error;
use crate::store;

pub(super) async fn handle(
    service: &Service,
    request: Request<GetAttestationRequest>,
) -> Result<GetAttestationResponse, Error> {
    let account = poa_chassis::account(&request)?;
    let message = request.into_inner();
    poa_chassis::validate(&message)?;
    let absent = || Error::NotFound { resource: "attestation" };
    // What is no id names nothing.
    let id: AttestationId = message.attestation_id.parse().map_err(|_| absent())?;
    let stored = store::statements::readable(service.db.read(), id, account).await?.ok_or_else(absent)?;
    let reached = service.reached().await?;
    Ok(GetAttestationResponse { attestation: Some(convert::attestation(stored, reached)?) })
}

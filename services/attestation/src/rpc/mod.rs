//! The service's methods, a file each.

mod append_liabilities;
mod append_statement;
mod convert;
mod get_attestation;
mod get_checkpoint;
mod get_consistency_proof;
mod get_inclusion_proof;
mod get_log_entries;
mod get_receipt_bundle;
mod get_reputation;
mod get_tile;
mod list_attestations;
mod submit_tee_evidence;
mod watch_attestation_events;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use poa_chassis::{Latch, status};
use poa_common::Env;
use poa_proto::attestation::v1::attestation_internal_service_server::AttestationInternalService;
use poa_proto::attestation::v1::attestation_service_server::AttestationService;
use poa_proto::attestation::v1::{
    AppendLiabilitiesRequest, AppendLiabilitiesResponse, AppendStatementRequest, AppendStatementResponse,
    GetAttestationRequest, GetAttestationResponse, GetCheckpointRequest, GetCheckpointResponse,
    GetConsistencyProofRequest, GetConsistencyProofResponse, GetInclusionProofRequest,
    GetInclusionProofResponse, GetLogEntriesRequest, GetLogEntriesResponse, GetReceiptBundleRequest,
    GetReceiptBundleResponse, GetReputationRequest, GetReputationResponse, GetTileRequest, GetTileResponse,
    ListAttestationsRequest, ListAttestationsResponse, SubmitTeeEvidenceRequest, SubmitTeeEvidenceResponse,
    WatchAttestationEventsRequest, WatchAttestationEventsResponse,
};
use poa_storage::Database;
use poa_storage::batch::Handle;
use poa_storage::page::Sealer;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::keys::PlatformKeys;
use crate::store;
use crate::store::checkpoints::Published;
use crate::worker::appender::Appender;
use crate::worker::follower::Progress;
use crate::worker::sequencer::Nudge;

/// What the methods work with.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) env: Env,
    pub(crate) db: Database,
    pub(crate) keys: Arc<PlatformKeys>,
    pub(crate) appender: Handle<Appender>,
    pub(crate) sequencer: Nudge,
    pub(crate) agents: watch::Receiver<Progress>,
    pub(crate) pages: Sealer,
    /// Readiness falls with the service.
    pub(crate) ready: Latch,
}

// === impl Service ===

impl Service {
    /// The newest checkpoint, whoever has seen it. The log is opened with one, so that there always is one.
    async fn newest_checkpoint(&self) -> Result<Published, Error> {
        let newest = self.checkpoint_seen_by(0).await?;
        newest.ok_or_else(|| Error::bug("the log has no checkpoint"))
    }

    /// The newest checkpoint that enough witnesses have seen; none before they have seen one.
    async fn witnessed_checkpoint(&self) -> Result<Option<Published>, Error> {
        self.checkpoint_seen_by(self.keys.trust_root().trusted().witnesses.quorum).await
    }

    /// How far the log has come.
    async fn reached(&self) -> Result<convert::Reached, Error> {
        let tree = self.newest_checkpoint().await?.size;
        let quorum = self.keys.trust_root().trusted().witnesses.quorum;
        let seen = if quorum > 0 { self.witnessed_checkpoint().await? } else { None };
        Ok(convert::Reached { tree, witnessed: seen.map_or(0, |seen| seen.size) })
    }

    async fn checkpoint_seen_by(&self, quorum: u32) -> Result<Option<Published>, Error> {
        let witnesses = self.keys.witnesses();
        Ok(store::checkpoints::newest(self.db.read(), self.keys.origin(), &witnesses, quorum).await?)
    }
}

fn answer<T>(answer: Result<T, Error>) -> Result<Response<T>, Status> {
    answer.map(Response::new).map_err(status)
}

#[tonic::async_trait]
impl AttestationInternalService for Service {
    async fn append_statement(
        &self,
        request: Request<AppendStatementRequest>,
    ) -> Result<Response<AppendStatementResponse>, Status> {
        answer(append_statement::handle(self, request.into_inner()).await)
    }

    async fn append_liabilities(
        &self,
        request: Request<AppendLiabilitiesRequest>,
    ) -> Result<Response<AppendLiabilitiesResponse>, Status> {
        answer(append_liabilities::handle(self, request.into_inner()).await)
    }

    type WatchAttestationEventsStream = BoxStream<'static, Result<WatchAttestationEventsResponse, Status>>;

    async fn watch_attestation_events(
        &self,
        request: Request<WatchAttestationEventsRequest>,
    ) -> Result<Response<Self::WatchAttestationEventsStream>, Status> {
        answer(watch_attestation_events::handle(self, request.into_inner()).await)
    }
}

#[tonic::async_trait]
impl AttestationService for Service {
    async fn get_attestation(
        &self,
        request: Request<GetAttestationRequest>,
    ) -> Result<Response<GetAttestationResponse>, Status> {
        answer(get_attestation::handle(self, request).await)
    }

    async fn list_attestations(
        &self,
        request: Request<ListAttestationsRequest>,
    ) -> Result<Response<ListAttestationsResponse>, Status> {
        answer(list_attestations::handle(self, request).await)
    }

    async fn get_receipt_bundle(
        &self,
        request: Request<GetReceiptBundleRequest>,
    ) -> Result<Response<GetReceiptBundleResponse>, Status> {
        answer(get_receipt_bundle::handle(self, request).await)
    }

    async fn submit_tee_evidence(
        &self,
        request: Request<SubmitTeeEvidenceRequest>,
    ) -> Result<Response<SubmitTeeEvidenceResponse>, Status> {
        answer(submit_tee_evidence::handle(self, request).await)
    }

    async fn get_checkpoint(
        &self,
        _request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        answer(get_checkpoint::handle(self).await)
    }

    async fn get_log_entries(
        &self,
        request: Request<GetLogEntriesRequest>,
    ) -> Result<Response<GetLogEntriesResponse>, Status> {
        answer(get_log_entries::handle(self, &request.into_inner()).await)
    }

    async fn get_tile(&self, request: Request<GetTileRequest>) -> Result<Response<GetTileResponse>, Status> {
        answer(get_tile::handle(self, &request.into_inner()).await)
    }

    async fn get_reputation(
        &self,
        request: Request<GetReputationRequest>,
    ) -> Result<Response<GetReputationResponse>, Status> {
        answer(get_reputation::handle(self, &request.into_inner()).await)
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        answer(get_inclusion_proof::handle(self, &request.into_inner()).await)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        answer(get_consistency_proof::handle(self, &request.into_inner()).await)
    }
}

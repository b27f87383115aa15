//! Receipts and the log.

use poa_proto::attestation::v1::attestation_service_client::AttestationServiceClient;
use poa_proto::attestation::v1::{
    Attestation, GetAttestationRequest, GetCheckpointRequest, GetConsistencyProofRequest,
    GetConsistencyProofResponse, GetInclusionProofRequest, GetInclusionProofResponse, GetLogEntriesRequest,
    GetLogEntriesResponse, GetReceiptBundleRequest, GetReceiptBundleResponse, GetReputationRequest,
    GetTileRequest, ListAttestationsRequest, Reputation, SubmitTeeEvidenceRequest,
};

use super::{given, unary};
use crate::client::{Client, Session};
use crate::error::Error;

/// Pages of one task's chain: a chain has at most 256 statements, a page 200.
const MAX_PAGES: usize = 4;

impl Session {
    /// Reads one statement of a task of the caller's.
    pub async fn attestation(&self, attestation_id: &str) -> Result<Attestation, Error> {
        let request = GetAttestationRequest { attestation_id: attestation_id.to_owned() };
        let answer = unary!(self, read, AttestationServiceClient, get_attestation, request)?;
        given(answer.attestation, "attestation")
    }

    /// All statements of a task's chain, in order.
    pub async fn attestations(&self, task_id: &str) -> Result<Vec<Attestation>, Error> {
        let mut chain = Vec::new();
        let mut request = ListAttestationsRequest {
            page_size: 200,
            page_token: String::new(),
            task_id: task_id.to_owned(),
        };
        for _ in 0..MAX_PAGES {
            let page = unary!(self, read, AttestationServiceClient, list_attestations, request.clone())?;
            chain.extend(page.attestations);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        Ok(chain)
    }

    /// The receipt of a task as one file, and whether all of it is in the published log.
    pub async fn receipt(&self, task_id: &str) -> Result<GetReceiptBundleResponse, Error> {
        let request = GetReceiptBundleRequest { task_id: task_id.to_owned() };
        unary!(self, read, AttestationServiceClient, get_receipt_bundle, request)
    }

    /// Hands in the evidence of a trusted execution environment that the last submission of a task names by its SHA-256, and
    /// answers with the level that the receipt shows now. The same again changes nothing.
    pub async fn submit_tee_evidence(&self, task_id: &str, evidence: &[u8]) -> Result<String, Error> {
        let request = SubmitTeeEvidenceRequest { task_id: task_id.to_owned(), evidence: evidence.to_vec() };
        let answer = unary!(self, read, AttestationServiceClient, submit_tee_evidence, request)?;
        Ok(answer.trust_level)
    }
}

impl Client {
    /// The log's newest signed checkpoint.
    pub async fn checkpoint(&self) -> Result<String, Error> {
        let call = |channel, request| async move {
            AttestationServiceClient::new(channel).get_checkpoint(request).await
        };
        Ok(self.read(None, GetCheckpointRequest {}, call).await?.checkpoint)
    }

    /// Proves that a leaf is in the tree of a size; the newest where the size is 0.
    pub async fn inclusion_proof(
        &self,
        log_index: i64,
        tree_size: i64,
    ) -> Result<GetInclusionProofResponse, Error> {
        let call = |channel, request| async move {
            AttestationServiceClient::new(channel).get_inclusion_proof(request).await
        };
        self.read(None, GetInclusionProofRequest { log_index, tree_size }, call).await
    }

    /// Proves that one tree is the beginning of a larger one; the newest where the larger size is 0.
    pub async fn consistency_proof(
        &self,
        first_size: i64,
        second_size: i64,
    ) -> Result<GetConsistencyProofResponse, Error> {
        let call = |channel, request| async move {
            AttestationServiceClient::new(channel).get_consistency_proof(request).await
        };
        self.read(None, GetConsistencyProofRequest { first_size, second_size }, call).await
    }

    /// Entries of the log, in order, from a place on, with the statements that are public; at most 1,024, and 256 where `page_size`
    /// is 0. Nothing in them is verified: that their leaves make a signed tree is for the caller to check.
    pub async fn log_entries(
        &self,
        first_index: i64,
        page_size: i32,
    ) -> Result<GetLogEntriesResponse, Error> {
        let call = |channel, request| async move {
            AttestationServiceClient::new(channel).get_log_entries(request).await
        };
        self.read(None, GetLogEntriesRequest { first_index, page_size }, call).await
    }

    /// A tile of the log, by what follows `/tile/` in its path, such as `0/000` or `entries/x001/067.p/8`.
    pub async fn tile(&self, path: &str) -> Result<Vec<u8>, Error> {
        let call =
            |channel, request| async move { AttestationServiceClient::new(channel).get_tile(request).await };
        Ok(self.read(None, GetTileRequest { path: path.to_owned() }, call).await?.data)
    }

    /// What the platform says that the log's records come to for an agent.
    pub async fn reputation(&self, agent_id: &str) -> Result<Reputation, Error> {
        let call = |channel, request| async move {
            AttestationServiceClient::new(channel).get_reputation(request).await
        };
        let request = GetReputationRequest { agent_id: agent_id.to_owned() };
        given(self.read(None, request, call).await?.reputation, "reputation")
    }
}

//! What the platform owes: the proof that one balance is in it.

use poa_common::Timestamp;
use poa_proto::escrow::v1::escrow_service_client::EscrowServiceClient;
use poa_proto::escrow::v1::{BalanceProof, GetBalanceProofRequest};
use proof_of_agent::{LiabilitiesError, TrustRoot, VerifiedBalance, verify_balance};

use super::{given, unary};
use crate::client::Session;
use crate::error::Error;

impl Session {
    /// The proof that the caller's balance is in the liabilities that the platform published last. Believe nothing of it
    /// before [`verify_balance_proof`] has read its document.
    pub async fn balance_proof(&self) -> Result<BalanceProof, Error> {
        let request = GetBalanceProofRequest {};
        given(unary!(self, read, EscrowServiceClient, get_balance_proof, request)?.proof, "proof")
    }
}

/// Verifies the document of a balance's proof, offline: the account's balance leads to the sum that the platform signed, and
/// that statement is in the log. Compare the account with your own.
///
/// # Errors
/// One variant per check.
pub fn verify_balance_proof(
    document: &[u8],
    trust_root: &TrustRoot,
    time: Timestamp,
) -> Result<VerifiedBalance, LiabilitiesError> {
    let proof = proof_of_agent::BalanceProof::from_json(document)?;
    // Nothing was seen of this log before.
    let min_log_size = 0;
    verify_balance(&proof, trust_root, min_log_size, time)
}

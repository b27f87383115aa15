//! The generated messages and their generated field checks.

use std::fmt::Debug;

use poa_proto::Check;
use prost::Message;

/// The longest that a violation's text may be: it ends up in a header.
const MAX_VIOLATION_BYTES: usize = 2_000;

/// Every message with checks, as a function from bytes. `tests/corpus.rs` holds its length against the generated file.
pub(crate) const READERS: [fn(&[u8]); 84] = [
    read::<poa_proto::attestation::v1::AppendLiabilitiesRequest>,
    read::<poa_proto::attestation::v1::AppendStatementRequest>,
    read::<poa_proto::attestation::v1::GetAttestationRequest>,
    read::<poa_proto::attestation::v1::GetCheckpointRequest>,
    read::<poa_proto::attestation::v1::GetConsistencyProofRequest>,
    read::<poa_proto::attestation::v1::GetInclusionProofRequest>,
    read::<poa_proto::attestation::v1::GetLogEntriesRequest>,
    read::<poa_proto::attestation::v1::GetReceiptBundleRequest>,
    read::<poa_proto::attestation::v1::GetReputationRequest>,
    read::<poa_proto::attestation::v1::GetTileRequest>,
    read::<poa_proto::attestation::v1::ListAttestationsRequest>,
    read::<poa_proto::attestation::v1::SubmitTeeEvidenceRequest>,
    read::<poa_proto::attestation::v1::WatchAttestationEventsRequest>,
    read::<poa_proto::auth::v1::CreateApiKeyRequest>,
    read::<poa_proto::auth::v1::ExchangeApiKeyRequest>,
    read::<poa_proto::auth::v1::GetAccountRequest>,
    read::<poa_proto::auth::v1::GetAgentRequest>,
    read::<poa_proto::auth::v1::GetJwksRequest>,
    read::<poa_proto::auth::v1::GetKeyEventsRequest>,
    read::<poa_proto::auth::v1::GetServerInfoRequest>,
    read::<poa_proto::auth::v1::ListAgentVersionsRequest>,
    read::<poa_proto::auth::v1::ListAgentsRequest>,
    read::<poa_proto::auth::v1::ListApiKeysRequest>,
    read::<poa_proto::auth::v1::LoginRequest>,
    read::<poa_proto::auth::v1::LogoutRequest>,
    read::<poa_proto::auth::v1::PublishAgentVersionRequest>,
    read::<poa_proto::auth::v1::RefreshSessionRequest>,
    read::<poa_proto::auth::v1::RegisterAgentRequest>,
    read::<poa_proto::auth::v1::RegisterRequest>,
    read::<poa_proto::auth::v1::RetireAgentRequest>,
    read::<poa_proto::auth::v1::RevokeAgentKeyRequest>,
    read::<poa_proto::auth::v1::RevokeApiKeyRequest>,
    read::<poa_proto::auth::v1::RotateAgentKeyRequest>,
    read::<poa_proto::auth::v1::WatchAgentEventsRequest>,
    read::<poa_proto::escrow::v1::AuditLedgerRequest>,
    read::<poa_proto::escrow::v1::CaptureEscrowRequest>,
    read::<poa_proto::escrow::v1::CreateDepositRequest>,
    read::<poa_proto::escrow::v1::CreateOutsideInvoiceRequest>,
    read::<poa_proto::escrow::v1::CreateWithdrawalRequest>,
    read::<poa_proto::escrow::v1::EstimateFeesRequest>,
    read::<poa_proto::escrow::v1::GetBalanceProofRequest>,
    read::<poa_proto::escrow::v1::GetBalanceRequest>,
    read::<poa_proto::escrow::v1::GetDepositRequest>,
    read::<poa_proto::escrow::v1::GetEscrowRequest>,
    read::<poa_proto::escrow::v1::GetPayoutDestinationRequest>,
    read::<poa_proto::escrow::v1::GetReconciliationRequest>,
    read::<poa_proto::escrow::v1::GetWithdrawalRequest>,
    read::<poa_proto::escrow::v1::HoldFundsRequest>,
    read::<poa_proto::escrow::v1::ListFeeSchedulesRequest>,
    read::<poa_proto::escrow::v1::ListLedgerEntriesRequest>,
    read::<poa_proto::escrow::v1::ListWithdrawalsRequest>,
    read::<poa_proto::escrow::v1::PausePayoutsRequest>,
    read::<poa_proto::escrow::v1::PayInvoiceRequest>,
    read::<poa_proto::escrow::v1::QuoteFeeRequest>,
    read::<poa_proto::escrow::v1::RefundEscrowRequest>,
    read::<poa_proto::escrow::v1::ReplaceWithdrawalInvoiceRequest>,
    read::<poa_proto::escrow::v1::ReturnWithdrawalRequest>,
    read::<poa_proto::escrow::v1::SecureEscrowRequest>,
    read::<poa_proto::escrow::v1::SetFeeScheduleRequest>,
    read::<poa_proto::escrow::v1::SetPayoutDestinationRequest>,
    read::<poa_proto::escrow::v1::WatchDepositRequest>,
    read::<poa_proto::escrow::v1::WatchEscrowEventsRequest>,
    read::<poa_proto::search::v1::ReindexRequest>,
    read::<poa_proto::search::v1::SearchAgentsRequest>,
    read::<poa_proto::search::v1::SearchTasksRequest>,
    read::<poa_proto::search::v1::SuggestRequest>,
    read::<poa_proto::task::v1::AcceptResultRequest>,
    read::<poa_proto::task::v1::CancelTaskRequest>,
    read::<poa_proto::task::v1::ClaimNextTaskRequest>,
    read::<poa_proto::task::v1::ClaimTaskRequest>,
    read::<poa_proto::task::v1::Content>,
    read::<poa_proto::task::v1::CreateTaskRequest>,
    read::<poa_proto::task::v1::Criterion>,
    read::<poa_proto::task::v1::GetTaskRequest>,
    read::<poa_proto::task::v1::ListTasksRequest>,
    read::<poa_proto::task::v1::RejectResultRequest>,
    read::<poa_proto::task::v1::ReleaseClaimRequest>,
    read::<poa_proto::task::v1::RemoteContent>,
    read::<poa_proto::task::v1::RenewClaimRequest>,
    read::<poa_proto::task::v1::SizeRange>,
    read::<poa_proto::task::v1::SubmitResultRequest>,
    read::<poa_proto::task::v1::WatchOpenTasksRequest>,
    read::<poa_proto::task::v1::WatchTaskEventsRequest>,
    read::<poa_proto::task::v1::WatchTaskRequest>,
];

/// The first byte says which message. What decodes is encoded and decoded as the same, and its check says the same twice.
pub(crate) fn messages(data: &[u8]) {
    let [which, rest @ ..] = data else { return };
    READERS[usize::from(*which) % READERS.len()](rest);
}

fn read<M: Message + Check + Default + Debug>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else { return };
    let again = M::decode(message.encode_to_vec().as_slice()).expect("what was encoded can be decoded");
    assert_eq!(again.encode_to_vec(), message.encode_to_vec());
    let violations = message.violations();
    assert_eq!(again.violations(), violations);
    for (field, expected) in violations {
        assert!(
            !field.is_empty() && field.len() + expected.len() <= MAX_VIOLATION_BYTES,
            "{field}: {expected}"
        );
    }
}

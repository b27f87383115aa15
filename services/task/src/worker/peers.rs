//! Calls to escrow and attestation, and what their refusals mean.

use std::time::Duration;

use poa_chassis::client::{self, PeerChannel, retry};
use poa_chassis::{BuildError, failure};
use poa_common::{AccountId, Msat};
use poa_proto::attestation::v1::append_statement_request::Statement as Appended;
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::{AppendStatementRequest, AppendStatementResponse};
use poa_proto::escrow::v1::escrow_internal_service_client::EscrowInternalServiceClient;
use poa_proto::escrow::v1::{
    CaptureEscrowRequest, HoldFundsRequest, QuoteFeeRequest, QuoteFeeResponse, RefundEscrowRequest,
    SecureEscrowRequest,
};
use tonic::{Code, Status};

use super::answers;
use super::outcome::Outcome;
use crate::domain::{Entry, Paper, Saga};
use crate::error::{Error, NoHoldInvoice};
use crate::failpoint::{self, Failpoint};

/// What we call escrow's refusal of terms that it would have held a moment before: the fee alone can have changed.
pub(crate) const FEE_CHANGED: &str = "FEE_CHANGED";

/// The other services.
#[derive(Clone)]
pub(crate) struct Peers {
    escrow: EscrowInternalServiceClient<PeerChannel>,
    attestation: AttestationInternalServiceClient<PeerChannel>,
    timeout: Duration,
}

/// A definite no: nothing was done, and asking again changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    reason: String,
    message: String,
    metadata: std::collections::HashMap<String, String>,
}

/// Why a call has no answer to go on with.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A definite no.
    Refused(Refusal),
    /// Anything else: whether it was done is not known, so it is asked again.
    Unknown(String),
}

// === impl Peers ===

impl Peers {
    /// Clients of the other services; they connect when first used.
    pub(crate) fn new(peers: &client::Peers, timeout: Duration) -> Result<Self, BuildError> {
        Ok(Self {
            escrow: EscrowInternalServiceClient::new(peers.identified("escrow")?),
            attestation: AttestationInternalServiceClient::new(peers.identified("attestation")?),
            timeout,
        })
    }

    /// Where escrow's events come from.
    pub(super) fn escrow(&self) -> EscrowInternalServiceClient<PeerChannel> {
        self.escrow.clone()
    }

    /// Asks escrow what a task of a price costs an account.
    pub(crate) async fn quote(&self, payer: AccountId, price: Msat) -> Result<QuoteFeeResponse, CallError> {
        let request = QuoteFeeRequest { payer_id: payer.to_string(), price_msat: price.get() };
        self.call(Failpoint::QUOTE, || {
            let (mut escrow, request) = (self.escrow.clone(), request.clone());
            async move { escrow.quote_fee(request).await }
        })
        .await
    }

    /// Asks escrow to hold a task's price, or how the hold invoice stands that it has made for it.
    pub(super) async fn hold(&self, saga: &Saga, terms: &[u8], token: &str) -> Result<Outcome, CallError> {
        let request = HoldFundsRequest {
            escrow_id: saga.offer.escrow.to_string(),
            task_id: saga.offer.task.to_string(),
            payer_id: saga.offer.requester.to_string(),
            amount_msat: saga.offer.price.get(),
            terms: terms.to_vec(),
            payer_token: token.to_owned(),
        };
        let answer = self
            .call(Failpoint::HOLD, || {
                let (mut escrow, request) = (self.escrow.clone(), request.clone());
                async move { escrow.hold_funds(request).await }
            })
            .await?;
        answers::held(&answer, saga.offer.rail)
    }

    /// Asks escrow to take what the hold invoice locks into the ledger.
    pub(super) async fn secure(&self, saga: &Saga) -> Result<Outcome, CallError> {
        let request = SecureEscrowRequest {
            escrow_id: saga.offer.escrow.to_string(),
            task_id: saga.offer.task.to_string(),
        };
        let answer = self
            .call(Failpoint::SECURE, || {
                let (mut escrow, request) = (self.escrow.clone(), request.clone());
                async move { escrow.secure_escrow(request).await }
            })
            .await?;
        answers::secured(&answer)
    }

    /// Asks escrow to pay what the chain allows; answers with the transfer.
    pub(super) async fn capture(&self, saga: &Saga, chain: Vec<Vec<u8>>) -> Result<Outcome, CallError> {
        let request = CaptureEscrowRequest { escrow_id: saga.offer.escrow.to_string(), chain };
        let answer = self
            .call(Failpoint::CAPTURE, || {
                let (mut escrow, request) = (self.escrow.clone(), request.clone());
                async move { escrow.capture_escrow(request).await }
            })
            .await?;
        answers::captured(&answer)
    }

    /// Asks escrow to give the price back; answers with the transfer, or `None` where nothing was held.
    pub(super) async fn refund(&self, saga: &Saga) -> Result<Outcome, CallError> {
        let request = RefundEscrowRequest {
            escrow_id: saga.offer.escrow.to_string(),
            task_id: saga.offer.task.to_string(),
        };
        let answer = self
            .call(Failpoint::REFUND, || {
                let (mut escrow, request) = (self.escrow.clone(), request.clone());
                async move { escrow.refund_escrow(request).await }
            })
            .await?;
        answers::refunded(&answer)
    }

    /// Asks attestation to log a statement.
    pub(crate) async fn append(
        &self,
        saga: &Saga,
        entry: &Entry,
    ) -> Result<AppendStatementResponse, CallError> {
        let statement = match &entry.paper {
            Some(Paper::Payload(payload)) => Appended::PlatformPayload(payload.clone()),
            Some(Paper::Envelope(envelope)) => Appended::Envelope(envelope.clone()),
            None => return Err(CallError::Unknown("a pending statement without its bytes".to_owned())),
        };
        let signed_by_agent = matches!(statement, Appended::Envelope(_));
        let account = entry.account.filter(|_| signed_by_agent);
        let request = AppendStatementRequest {
            task_id: saga.offer.task.to_string(),
            statement: Some(statement),
            account_id: account.map(|account| account.to_string()).unwrap_or_default(),
        };
        self.call(Failpoint::APPEND, || {
            let (mut attestation, request) = (self.attestation.clone(), request.clone());
            async move { attestation.append_statement(request).await }
        })
        .await
    }

    async fn call<T, F, Fut>(&self, points: (Failpoint, Failpoint), call: F) -> Result<T, CallError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let calling = failpoint::call(points, Status::unavailable, retry(call));
        match tokio::time::timeout(self.timeout, calling).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(CallError::of(&status)),
            Err(_elapsed) => Err(CallError::Unknown("no answer in time".to_owned())),
        }
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peers")
    }
}

// === impl CallError ===

impl CallError {
    fn of(status: &Status) -> Self {
        let said = failure(status);
        let definite = match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound => {
                !said.reason.is_empty()
            }
            // A quota has room again later, and the requester decides whether to wait for it; a rate limit is our own.
            Code::ResourceExhausted => said.reason == "QUOTA_EXCEEDED",
            // Refused credentials too: they may be our own, at a moment when clocks differ. A payer's token ends soon.
            _ => false,
        };
        if definite {
            let (reason, message, metadata) = (said.reason, said.message, said.metadata);
            return Self::Refused(Refusal { reason, message, metadata });
        }
        Self::Unknown(format!("{:?}: {}", status.code(), status.message()))
    }
}

// === impl Refusal ===

impl Refusal {
    /// What is refused, by its name in the contract.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// The same refusal under another name.
    pub(super) fn called(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }

    /// All that was said, for the log.
    pub(crate) fn detail(&self) -> String {
        format!("{} {:?}: {}", self.reason, self.metadata, self.message)
    }

    /// Why, for people.
    pub(crate) fn note(&self) -> String {
        match self.reason.as_str() {
            "INSUFFICIENT_FUNDS" => "the available balance does not cover the price".to_owned(),
            "HOLD_INVOICE_UNAVAILABLE" => "a hold invoice cannot fund this task".to_owned(),
            "QUOTA_EXCEEDED" => "too much is held by hold invoices already".to_owned(),
            FEE_CHANGED => "the platform's fee changed before the price was held".to_owned(),
            "AGENT_NOT_ACTIVE" => "the agent is not active".to_owned(),
            "SIGNATURE_INVALID" => "the agent's signature does not hold".to_owned(),
            "CHAIN_MISMATCH" => "the statement does not continue the receipt chain".to_owned(),
            reason => format!("refused: {reason}"),
        }
    }

    /// The refusal as this service's own answer.
    pub(crate) fn into_error(mut self) -> Error {
        let mut said = |key: &str| self.metadata.remove(key).unwrap_or_default();
        match self.reason.as_str() {
            "INSUFFICIENT_FUNDS" => Error::InsufficientFunds {
                available_msat: said("available_msat"),
                needed_msat: said("needed_msat"),
            },
            "HOLD_INVOICE_UNAVAILABLE" => Error::HoldInvoice(NoHoldInvoice {
                problem: said("problem"),
                needed_blocks: said("needed_blocks"),
                max_blocks: said("max_blocks"),
                least_msat: said("least_msat"),
            }),
            "QUOTA_EXCEEDED" => Error::HoldQuota { limit: said("limit") },
            // The same request again states the fee anew.
            FEE_CHANGED => Error::Chassis(poa_chassis::Error::DependencyUnavailable { dependency: "escrow" }),
            "AGENT_NOT_ACTIVE" => Error::AgentNotActive { agent_id: said("agent_id") },
            "SIGNATURE_INVALID" => Error::SignatureInvalid { problem: said("problem") },
            "CHAIN_MISMATCH" => Error::ChainMismatch { problem: said("problem") },
            reason => Error::internal(format!("refused with {reason}: {}", self.message)),
        }
    }
}

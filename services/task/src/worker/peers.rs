//! Calls to escrow and attestation, and what their refusals mean.

use std::time::Duration;

use poa_chassis::client::{self, PeerChannel, retry};
use poa_chassis::{BuildError, failure};
use poa_common::TransferId;
use poa_proto::attestation::v1::append_statement_request::Statement as Appended;
use poa_proto::attestation::v1::attestation_internal_service_client::AttestationInternalServiceClient;
use poa_proto::attestation::v1::{AppendStatementRequest, AppendStatementResponse};
use poa_proto::escrow::v1::escrow_internal_service_client::EscrowInternalServiceClient;
use poa_proto::escrow::v1::{CaptureEscrowRequest, HoldFundsRequest, RefundEscrowRequest};
use tonic::{Code, Status};

use crate::domain::{Entry, Paper, Saga, Step};
use crate::error::Error;
use crate::failpoint;

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

    /// Asks escrow to hold a task's price from the payer's balance.
    pub(crate) async fn hold(&self, saga: &Saga, terms: &[u8], token: &str) -> Result<(), CallError> {
        let request = HoldFundsRequest {
            escrow_id: saga.offer.escrow.to_string(),
            task_id: saga.offer.task.to_string(),
            payer_id: saga.offer.requester.to_string(),
            amount_msat: saga.offer.price.get(),
            terms: terms.to_vec(),
            payer_token: token.to_owned(),
        };
        self.call(Step::HoldFunds, || {
            let (mut escrow, request) = (self.escrow.clone(), request.clone());
            async move { escrow.hold_funds(request).await }
        })
        .await
        .map(|_held| ())
    }

    /// Asks escrow to pay what the chain allows; answers with the transfer.
    pub(crate) async fn capture(&self, saga: &Saga, chain: Vec<Vec<u8>>) -> Result<TransferId, CallError> {
        let request = CaptureEscrowRequest { escrow_id: saga.offer.escrow.to_string(), chain };
        let answer = self
            .call(Step::Capture, || {
                let (mut escrow, request) = (self.escrow.clone(), request.clone());
                async move { escrow.capture_escrow(request).await }
            })
            .await?;
        transfer(&answer.transfer_id)
    }

    /// Asks escrow to give the price back; answers with the transfer, or `None` where nothing was held.
    pub(crate) async fn refund(&self, saga: &Saga) -> Result<Option<TransferId>, CallError> {
        let request = RefundEscrowRequest {
            escrow_id: saga.offer.escrow.to_string(),
            task_id: saga.offer.task.to_string(),
        };
        let answer = self
            .call(Step::Refund, || {
                let (mut escrow, request) = (self.escrow.clone(), request.clone());
                async move { escrow.refund_escrow(request).await }
            })
            .await?;
        if answer.transfer_id.is_empty() { Ok(None) } else { transfer(&answer.transfer_id).map(Some) }
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
        self.call(Step::Append(entry.seq), || {
            let (mut attestation, request) = (self.attestation.clone(), request.clone());
            async move { attestation.append_statement(request).await }
        })
        .await
    }

    async fn call<T, F, Fut>(&self, step: Step, call: F) -> Result<T, CallError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let calling = failpoint::call(step, Status::unavailable, retry(call));
        match tokio::time::timeout(self.timeout, calling).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(CallError::of(&status)),
            Err(_elapsed) => Err(CallError::Unknown("no answer in time".to_owned())),
        }
    }
}

fn transfer(text: &str) -> Result<TransferId, CallError> {
    text.parse().map_err(|_| CallError::Unknown(format!("`{text}` is not a transfer's id")))
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
    /// All that was said, for the log.
    pub(crate) fn detail(&self) -> String {
        format!("{} {:?}: {}", self.reason, self.metadata, self.message)
    }

    /// Why, for people.
    pub(crate) fn note(&self) -> String {
        match self.reason.as_str() {
            "INSUFFICIENT_FUNDS" => "the available balance does not cover the price".to_owned(),
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
            "AGENT_NOT_ACTIVE" => Error::AgentNotActive { agent_id: said("agent_id") },
            "SIGNATURE_INVALID" => Error::SignatureInvalid { problem: said("problem") },
            "CHAIN_MISMATCH" => Error::ChainMismatch { problem: said("problem") },
            reason => Error::internal(format!("refused with {reason}: {}", self.message)),
        }
    }
}

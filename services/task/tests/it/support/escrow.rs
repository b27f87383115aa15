//! An escrow that keeps its contract: each verb idempotent by the escrow's id, the other verb a typed failure, and no
//! release without a receipt chain that allows it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use poa_common::{AccountId, Code, Env, ServiceError, TransferId};
use poa_proto::escrow::v1 as proto;
use poa_proto::escrow::v1::escrow_internal_service_server::EscrowInternalService;
use proof_of_agent::{DidKey, Envelope, Statement, authorises_release};
use tonic::{Request, Response, Status};

use super::fault::Faults;

/// The escrow.
#[derive(Clone)]
pub(crate) struct Escrow {
    pub(crate) faults: Arc<Faults>,
    book: Arc<Mutex<Book>>,
    receipt_key: DidKey,
    env: Env,
}

#[derive(Default)]
struct Book {
    balances: HashMap<String, i64>,
    escrows: HashMap<String, Held>,
    tokens: Vec<String>,
}

#[derive(Clone)]
struct Held {
    payer: String,
    amount: i64,
    terms: Vec<u8>,
    ended: Option<End>,
}

#[derive(Clone)]
enum End {
    Released(String),
    /// The transfer; none for an id that never held anything.
    Refunded(Option<String>),
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str, Vec<(&'static str, String)>);

impl ServiceError for Refused {
    fn code(&self) -> Code {
        Code::FailedPrecondition
    }

    fn reason(&self) -> &'static str {
        self.0
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        self.1.clone()
    }

    fn certainly_not_applied(&self) -> bool {
        true
    }
}

fn refused(reason: &'static str, metadata: Vec<(&'static str, String)>) -> Status {
    poa_chassis::status(Refused(reason, metadata))
}

// === impl Escrow ===

impl Escrow {
    pub(crate) fn new(receipt_key: DidKey, env: Env) -> Self {
        Self { faults: Arc::default(), book: Arc::default(), receipt_key, env }
    }

    pub(crate) fn deposit(&self, account: AccountId, msat: i64) {
        *self.book().balances.entry(account.to_string()).or_default() += msat;
    }

    pub(crate) fn balance(&self, account: AccountId) -> i64 {
        self.book().balances.get(&account.to_string()).copied().unwrap_or_default()
    }

    /// What all escrows hold that have not ended, in msat.
    pub(crate) fn held(&self) -> i64 {
        self.book().escrows.values().filter(|held| held.ended.is_none()).map(|held| held.amount).sum()
    }

    /// The tokens with which it was asked to hold.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.book().tokens.clone()
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transfer(&self) -> String {
        self.env.new_id::<TransferId>().to_string()
    }

    fn hold(&self, request: proto::HoldFundsRequest) -> Result<proto::HoldFundsResponse, Status> {
        let terms = Statement::parse(&request.terms).unwrap();
        let offered = terms.body().as_terms_offered().unwrap();
        assert_eq!(offered.price_msat.get(), request.amount_msat);
        assert_eq!(offered.requester.to_string(), request.payer_id);
        assert_eq!(offered.escrow.to_string(), request.escrow_id);
        assert_eq!(terms.context().task.to_string(), request.task_id);
        let mut book = self.book();
        book.tokens.push(request.payer_token);
        match book.escrows.get(&request.escrow_id) {
            Some(Held { ended: Some(End::Refunded(_)), .. }) => {
                return Err(refused("ALREADY_REFUNDED", vec![]));
            }
            Some(_) => return Ok(proto::HoldFundsResponse { escrow: None, transfer_id: "again".to_owned() }),
            None => {}
        }
        let balance = book.balances.entry(request.payer_id.clone()).or_default();
        if *balance < request.amount_msat {
            let metadata = vec![
                ("available_msat", balance.to_string()),
                ("needed_msat", request.amount_msat.to_string()),
            ];
            return Err(refused("INSUFFICIENT_FUNDS", metadata));
        }
        *balance -= request.amount_msat;
        let held =
            Held { payer: request.payer_id, amount: request.amount_msat, terms: request.terms, ended: None };
        book.escrows.insert(request.escrow_id, held);
        Ok(proto::HoldFundsResponse { escrow: None, transfer_id: self.transfer() })
    }

    fn capture(&self, request: &proto::CaptureEscrowRequest) -> Result<proto::CaptureEscrowResponse, Status> {
        let mut book = self.book();
        let held = book.escrows.get(&request.escrow_id).cloned().unwrap();
        let transfer_id = match held.ended {
            Some(End::Released(transfer)) => transfer,
            Some(End::Refunded(_)) => return Err(refused("ALREADY_REFUNDED", vec![])),
            None => {
                let chain: Vec<Envelope> =
                    request.chain.iter().map(|bytes| Envelope::from_json(bytes).unwrap()).collect();
                let terms = Statement::parse(&held.terms).unwrap().digest();
                let release = authorises_release(&chain, &terms, &[self.receipt_key]).map_err(|error| {
                    refused("RELEASE_NOT_AUTHORISED", vec![("problem", error.to_string())])
                })?;
                assert_eq!(release.amount.get(), held.amount);
                *book.balances.entry(release.payee.to_string()).or_default() += release.payee_net.get();
                *book.balances.entry("fees".to_owned()).or_default() += release.fee.get();
                let transfer = self.transfer();
                let ended = Held { ended: Some(End::Released(transfer.clone())), ..held };
                book.escrows.insert(request.escrow_id.clone(), ended);
                transfer
            }
        };
        Ok(proto::CaptureEscrowResponse { escrow: None, transfer_id })
    }

    fn refund(&self, request: &proto::RefundEscrowRequest) -> Result<proto::RefundEscrowResponse, Status> {
        let mut book = self.book();
        let held = book.escrows.get(&request.escrow_id).cloned();
        let transfer = match held {
            Some(Held { ended: Some(End::Refunded(transfer)), .. }) => transfer,
            Some(Held { ended: Some(End::Released(_)), .. }) => {
                return Err(refused("ALREADY_RELEASED", vec![]));
            }
            Some(held) => {
                *book.balances.entry(held.payer.clone()).or_default() += held.amount;
                let transfer = Some(self.transfer());
                let ended = Held { ended: Some(End::Refunded(transfer.clone())), ..held };
                book.escrows.insert(request.escrow_id.clone(), ended);
                transfer
            }
            None => {
                let void = Held {
                    payer: String::new(),
                    amount: 0,
                    terms: Vec::new(),
                    ended: Some(End::Refunded(None)),
                };
                book.escrows.insert(request.escrow_id.clone(), void);
                None
            }
        };
        Ok(proto::RefundEscrowResponse { escrow: None, transfer_id: transfer.unwrap_or_default() })
    }
}

fn answer<T>(lost: bool, outcome: Result<T, Status>) -> Result<Response<T>, Status> {
    if lost { Err(Status::unavailable("the answer was lost")) } else { outcome.map(Response::new) }
}

#[tonic::async_trait]
impl EscrowInternalService for Escrow {
    type WatchEscrowEventsStream = tokio_stream::Empty<Result<proto::WatchEscrowEventsResponse, Status>>;

    async fn watch_escrow_events(
        &self,
        _: Request<proto::WatchEscrowEventsRequest>,
    ) -> Result<Response<Self::WatchEscrowEventsStream>, Status> {
        Err(Status::unimplemented("nothing happens"))
    }

    async fn secure_escrow(
        &self,
        _: Request<proto::SecureEscrowRequest>,
    ) -> Result<Response<proto::SecureEscrowResponse>, Status> {
        Err(Status::unimplemented("nothing is secured"))
    }

    async fn quote_fee(
        &self,
        _: Request<proto::QuoteFeeRequest>,
    ) -> Result<Response<proto::QuoteFeeResponse>, Status> {
        Err(Status::unimplemented("nothing is quoted"))
    }

    async fn hold_funds(
        &self,
        request: Request<proto::HoldFundsRequest>,
    ) -> Result<Response<proto::HoldFundsResponse>, Status> {
        let lost = self.faults.before("hold").await?;
        answer(lost, self.hold(request.into_inner()))
    }

    async fn capture_escrow(
        &self,
        request: Request<proto::CaptureEscrowRequest>,
    ) -> Result<Response<proto::CaptureEscrowResponse>, Status> {
        let lost = self.faults.before("capture").await?;
        answer(lost, self.capture(&request.into_inner()))
    }

    async fn refund_escrow(
        &self,
        request: Request<proto::RefundEscrowRequest>,
    ) -> Result<Response<proto::RefundEscrowResponse>, Status> {
        let lost = self.faults.before("refund").await?;
        answer(lost, self.refund(&request.into_inner()))
    }
}

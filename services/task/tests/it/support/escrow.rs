//! An escrow that keeps its contract: each verb idempotent by the escrow's id, the other verb a typed failure, and no
//! release without a receipt chain that allows it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use poa_common::{AccountId, Code, Env, Msat, ServiceError, TransferId};
use poa_proto::escrow::v1 as proto;
use poa_proto::escrow::v1::escrow::State as Standing;
use poa_proto::escrow::v1::escrow_internal_service_server::EscrowInternalService;
use proof_of_agent::{DidKey, Envelope, Rail, Release, Statement, authorises_release};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::fault::Faults;
use super::hold_invoice::{Channels, Events, Hold};

/// The escrow.
#[derive(Clone)]
pub(crate) struct Escrow {
    pub(crate) faults: Arc<Faults>,
    book: Arc<Mutex<Book>>,
    /// One call at a time, as if each were a transaction.
    turn: Arc<Mutex<()>>,
    receipt_key: DidKey,
    pub(super) env: Env,
    /// How many events there are.
    pub(super) told: watch::Sender<usize>,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) balances: HashMap<String, i64>,
    escrows: HashMap<String, Held>,
    tokens: Vec<String>,
    pub(super) holds: HashMap<String, Hold>,
    pub(super) channels: Channels,
    /// Whether the node makes no invoices for the time being.
    pub(super) node_is_down: bool,
    /// The escrows as they were after each change.
    pub(super) events: Vec<(String, Hold)>,
    fee: Fee,
    /// What the next holds are refused with.
    no: Vec<Refused>,
}

/// What the platform takes of a price, and for how long that is said.
struct Fee {
    basis_points: u32,
    valid_ms: i32,
    quotes: u32,
}

impl Default for Fee {
    fn default() -> Self {
        Self { basis_points: 500, valid_ms: 60_000, quotes: 0 }
    }
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
pub(super) struct Refused(pub(super) &'static str, pub(super) Vec<(&'static str, String)>);

impl ServiceError for Refused {
    fn code(&self) -> Code {
        match self.0 {
            "FIELDS_INVALID" => Code::InvalidArgument,
            "QUOTA_EXCEEDED" => Code::ResourceExhausted,
            _ => Code::FailedPrecondition,
        }
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

pub(super) fn refused(reason: &'static str, metadata: Vec<(&'static str, String)>) -> Status {
    poa_chassis::status(Refused(reason, metadata))
}

// === impl Escrow ===

impl Escrow {
    pub(crate) fn new(receipt_key: DidKey, env: Env) -> Self {
        Self {
            faults: Arc::default(),
            book: Arc::default(),
            turn: Arc::default(),
            receipt_key,
            env,
            told: watch::Sender::new(0),
        }
    }

    pub(crate) fn deposit(&self, account: AccountId, msat: i64) {
        *self.book().balances.entry(account.to_string()).or_default() += msat;
    }

    pub(crate) fn balance(&self, account: AccountId) -> i64 {
        self.book().balances.get(&account.to_string()).copied().unwrap_or_default()
    }

    /// What all escrows hold that have not ended, in msat.
    pub(crate) fn held(&self) -> i64 {
        let book = self.book();
        let in_ledger = book.holds.values().filter(|hold| hold.standing == Standing::Held);
        let balances = book.escrows.values().filter(|held| held.ended.is_none());
        balances.map(|held| held.amount).sum::<i64>() + in_ledger.map(|hold| hold.amount).sum::<i64>()
    }

    /// The tokens with which it was asked to hold.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.book().tokens.clone()
    }

    /// What the platform takes from now on, for how long a quote of it may be used.
    pub(crate) fn set_fee(&self, basis_points: u32, valid_ms: i32) {
        let mut book = self.book();
        (book.fee.basis_points, book.fee.valid_ms) = (basis_points, valid_ms);
    }

    /// How often it was asked for the fee.
    pub(crate) fn quotes(&self) -> u32 {
        self.book().fee.quotes
    }

    /// The next hold is refused.
    pub(crate) fn refuse_hold(&self, reason: &'static str, metadata: Vec<(&'static str, String)>) {
        self.book().no.push(Refused(reason, metadata));
    }

    pub(super) fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
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
        if let Some(no) = book.no.pop() {
            return Err(poa_chassis::status(no));
        }
        let known =
            book.escrows.contains_key(&request.escrow_id) || book.holds.contains_key(&request.escrow_id);
        if !known && offered.fee_bps != book.fee.basis_points {
            return Err(refused("FIELDS_INVALID", vec![]));
        }
        book.tokens.push(request.payer_token.clone());
        // A refund that was quicker.
        let void = book.escrows.get(&request.escrow_id).is_some_and(|held| held.ended.is_some());
        if offered.rail == Rail::HoldInvoice && !void {
            drop(book);
            return self.hold_invoice(&request);
        }
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
        if let Some(hold) = self.hold_of(&request.escrow_id) {
            return self.capture_locked(request, hold);
        }
        let held = self.book().escrows.get(&request.escrow_id).cloned().unwrap();
        let transfer_id = match held.ended {
            Some(End::Released(transfer)) => transfer,
            Some(End::Refunded(_)) => return Err(refused("ALREADY_REFUNDED", vec![])),
            None => {
                let transfer = self.pay_out(request, &held.terms, held.amount)?;
                let mut book = self.book();
                let ended = Held { ended: Some(End::Released(transfer.clone())), ..held };
                book.escrows.insert(request.escrow_id.clone(), ended);
                transfer
            }
        };
        Ok(proto::CaptureEscrowResponse { escrow: None, transfer_id })
    }

    fn capture_locked(
        &self,
        request: &proto::CaptureEscrowRequest,
        hold: Hold,
    ) -> Result<proto::CaptureEscrowResponse, Status> {
        let (hold, transfer_id) = match hold.standing {
            Standing::Released => (hold.clone(), hold.transfer),
            Standing::Held => {
                let transfer = self.pay_out(request, &hold.terms, hold.amount)?;
                self.paid_out(&hold, &transfer);
                (Hold { standing: Standing::Released, ..hold }, transfer)
            }
            _ => {
                self.authorised(request, &hold.terms)?;
                (self.take(&request.escrow_id)?, String::new())
            }
        };
        let escrow = Some(self.message(&request.escrow_id, &hold));
        Ok(proto::CaptureEscrowResponse { escrow, transfer_id })
    }

    fn authorised(&self, request: &proto::CaptureEscrowRequest, terms: &[u8]) -> Result<Release, Status> {
        let chain: Vec<Envelope> =
            request.chain.iter().map(|bytes| Envelope::from_json(bytes).unwrap()).collect();
        let terms = Statement::parse(terms).unwrap().digest();
        authorises_release(&chain, &terms, &[self.receipt_key])
            .map_err(|error| refused("RELEASE_NOT_AUTHORISED", vec![("problem", error.to_string())]))
    }

    fn pay_out(
        &self,
        request: &proto::CaptureEscrowRequest,
        terms: &[u8],
        amount: i64,
    ) -> Result<String, Status> {
        let release = self.authorised(request, terms)?;
        assert_eq!(release.amount.get(), amount);
        let mut book = self.book();
        *book.balances.entry(release.payee.to_string()).or_default() += release.payee_net.get();
        *book.balances.entry("fees".to_owned()).or_default() += release.fee.get();
        Ok(self.transfer())
    }

    fn refund(&self, request: &proto::RefundEscrowRequest) -> Result<proto::RefundEscrowResponse, Status> {
        if self.hold_of(&request.escrow_id).is_some() {
            return self.open_lock(&request.escrow_id);
        }
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
    type WatchEscrowEventsStream = Events;

    async fn watch_escrow_events(
        &self,
        request: Request<proto::WatchEscrowEventsRequest>,
    ) -> Result<Response<Self::WatchEscrowEventsStream>, Status> {
        self.faults.before("events").await?;
        self.watch(request)
    }

    async fn secure_escrow(
        &self,
        request: Request<proto::SecureEscrowRequest>,
    ) -> Result<Response<proto::SecureEscrowResponse>, Status> {
        let lost = self.faults.before("secure").await?;
        let request = request.into_inner();
        let _turn = self.turn();
        let taken = self.take(&request.escrow_id).map(|hold| proto::SecureEscrowResponse {
            escrow: Some(self.message(&request.escrow_id, &hold)),
        });
        answer(lost, taken)
    }

    async fn quote_fee(
        &self,
        request: Request<proto::QuoteFeeRequest>,
    ) -> Result<Response<proto::QuoteFeeResponse>, Status> {
        let lost = self.faults.before("quote").await?;
        let price = Msat::new(request.into_inner().price_msat);
        let mut book = self.book();
        book.fee.quotes += 1;
        let fee = price.share_floor(book.fee.basis_points).unwrap();
        let quoted = proto::QuoteFeeResponse {
            fee_msat: fee.get(),
            payee_msat: price.checked_sub(fee).unwrap().get(),
            fee_basis_points: i32::try_from(book.fee.basis_points).unwrap(),
            valid_ms: book.fee.valid_ms,
        };
        answer(lost, Ok(quoted))
    }

    async fn hold_funds(
        &self,
        request: Request<proto::HoldFundsRequest>,
    ) -> Result<Response<proto::HoldFundsResponse>, Status> {
        let lost = self.faults.before("hold").await?;
        let _turn = self.turn();
        answer(lost, self.hold(request.into_inner()))
    }

    async fn capture_escrow(
        &self,
        request: Request<proto::CaptureEscrowRequest>,
    ) -> Result<Response<proto::CaptureEscrowResponse>, Status> {
        let lost = self.faults.before("capture").await?;
        let _turn = self.turn();
        answer(lost, self.capture(&request.into_inner()))
    }

    async fn refund_escrow(
        &self,
        request: Request<proto::RefundEscrowRequest>,
    ) -> Result<Response<proto::RefundEscrowResponse>, Status> {
        let lost = self.faults.before("refund").await?;
        let _turn = self.turn();
        answer(lost, self.refund(&request.into_inner()))
    }
}

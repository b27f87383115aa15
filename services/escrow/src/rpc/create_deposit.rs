//! CreateDeposit: an invoice, and its row, before the caller hears of either.

use std::time::Duration;

use poa_chassis::{account, validate};
use poa_common::DepositId;
use poa_payment::NewInvoice;
use poa_proto::escrow::v1::{CreateDepositRequest, CreateDepositResponse};
use tonic::Request;

use super::convert;
use crate::domain::deposit::{Deposit, State, digest};
use crate::error::Error;
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::service::Service;
use crate::store::deposits;

/// How long the node may take to make an invoice.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn handle(
    service: &Service,
    request: Request<CreateDepositRequest>,
) -> Result<CreateDepositResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let amount = convert::msat(message.amount_msat);
    if !service.provider.capabilities().unit.fits(amount) {
        return Err(Error::field("amount_msat", "must be a whole number of sats with this node"));
    }
    let id = convert::request_id(&message.request_id)?;
    let request = deposits::Request { id, fingerprint: convert::fingerprint(&message) };
    if let Some(known) = deposits::find_request(&service.db, account, request).await? {
        return Ok(CreateDepositResponse { deposit: Some(convert::deposit(&known)) });
    }
    // A few at the same time may pass together: it is a bound on work, not on money.
    let limit = i64::from(service.config.deposits.max_open);
    if deposits::has_open(&service.db, account, limit).await? {
        return Err(Error::Quota { limit });
    }

    let id: DepositId = service.env.new_id();
    let order = NewInvoice {
        amount,
        description_hash: digest(service.node.network, id, account, amount),
        expiry: Duration::from_secs(u64::from(service.config.deposits.expiry_seconds)),
        min_final_cltv: None,
    };
    let making = service.provider.create_invoice(order);
    let making = failpoint::call(Failpoint::INVOICE, Err(poa_payment::Error::NoAnswer(None)), making);
    let made = tokio::time::timeout(PATIENCE, making).await;
    let invoice = made.ok().and_then(Result::ok).ok_or_else(|| {
        metrics::node_failed("create_invoice");
        Error::no_node()
    })?;
    let deposit = Deposit {
        id,
        account,
        state: State::Open,
        amount,
        credited: poa_common::Msat::ZERO,
        invoice: invoice.bolt11,
        hash: invoice.hash,
        create_time: service.env.now(),
        expire_time: invoice.expires_at,
        settle_time: None,
        paid_by: None,
    };
    // An invoice whose row is not written is never handed out, and expires unpaid: so is that of a duplicate that was second.
    deposits::insert(&service.db, deposit, request).await?;
    let written = deposits::find_request(&service.db, account, request).await?;
    let written = written.ok_or(Error::NotFound { resource: "deposit" })?;
    Ok(CreateDepositResponse { deposit: Some(convert::deposit(&written)) })
}

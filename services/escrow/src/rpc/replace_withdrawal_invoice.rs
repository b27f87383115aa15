//! ReplaceWithdrawalInvoice: a new withdrawal in the place of one that failed.

use poa_chassis::{account, validate};
use poa_common::WithdrawalId;
use poa_proto::escrow::v1::{ReplaceWithdrawalInvoiceRequest, ReplaceWithdrawalInvoiceResponse};
use tonic::Request;

use super::{convert, once};
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::{State, Withdrawal};
use crate::error::Error;
use crate::service::Service;
use crate::store::withdrawals;
use crate::withdraw::{self, Amount, Order, To};

pub(super) async fn handle(
    service: &Service,
    request: Request<ReplaceWithdrawalInvoiceRequest>,
) -> Result<ReplaceWithdrawalInvoiceResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let id: WithdrawalId = convert::id("withdrawal_id", &message.withdrawal_id)?;
    let request = (convert::request_id(&message.request_id)?, convert::fingerprint(&message));
    let make = async {
        let failed = withdrawals::find_of(&service.db, id, account).await?;
        let failed = failed.ok_or(Error::NotFound { resource: "withdrawal" })?;
        replaceable(&failed)?;
        let order = Order {
            account,
            request,
            to: to(&message, &failed)?,
            fee_limit: message.fee_limit_msat.map(convert::msat),
            replaces: Some(id),
            automatic: None,
        };
        withdraw::make(service, order).await
    };
    let withdrawal = once::withdrawal(service, account, request, make).await?;
    Ok(ReplaceWithdrawalInvoiceResponse { withdrawal: Some(withdrawal) })
}

/// Another invoice, or one of the same address.
fn to(message: &ReplaceWithdrawalInvoiceRequest, failed: &Withdrawal) -> Result<To, Error> {
    match &failed.origin.address {
        _ if !message.invoice.is_empty() => Ok(To::Invoice(message.invoice.clone(), Some(failed.amount))),
        Some(address) => Ok(To::Address(convert::address(address)?, Amount::Exactly(failed.amount))),
        None => Err(Error::field("invoice", "is needed: the withdrawal went to no Lightning address")),
    }
}

/// Before an address is asked in vain. The ledger decides again, on the locked row.
fn replaceable(row: &Withdrawal) -> Result<(), Refusal> {
    match row.state {
        State::Failed if row.origin.replaced_by.is_some() => {
            Err(Refusal::NotReplaceable { state: "replaced" })
        }
        State::Failed => Ok(()),
        State::Reserved | State::Dispatched | State::Succeeded => {
            Err(Refusal::NotReplaceable { state: row.state.as_str() })
        }
    }
}

//! CreateWithdrawal: reserves the sats with the row. Sending is the payout worker's.

use poa_chassis::{account, validate};
use poa_common::{FieldViolation, Msat};
use poa_proto::escrow::v1::{CreateWithdrawalRequest, CreateWithdrawalResponse};
use tonic::Request;

use super::{convert, once};
use crate::error::Error;
use crate::service::Service;
use crate::withdraw::{self, Amount, Order, To};

pub(super) async fn handle(
    service: &Service,
    request: Request<CreateWithdrawalRequest>,
) -> Result<CreateWithdrawalResponse, Error> {
    let account = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let request = (convert::request_id(&message.request_id)?, convert::fingerprint(&message));
    let make = async {
        let order = Order {
            account,
            request,
            to: to(&message)?,
            fee_limit: message.fee_limit_msat.map(convert::msat),
            replaces: None,
            automatic: None,
        };
        withdraw::make(service, order).await
    };
    let withdrawal = once::withdrawal(service, account, request, make).await?;
    Ok(CreateWithdrawalResponse { withdrawal: Some(withdrawal) })
}

/// An invoice, or an address with an amount.
fn to(message: &CreateWithdrawalRequest) -> Result<To, Error> {
    let (invoice, address) = (&message.invoice, &message.lightning_address);
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, description: &str| {
        wrong.push(FieldViolation { field: field.to_owned(), description: description.to_owned() });
    };
    match (invoice.is_empty(), address.is_empty()) {
        (true, true) => refuse("invoice", "either this or a Lightning address is needed"),
        (false, false) => refuse("lightning_address", "is not given together with an invoice"),
        (true, false) if message.amount_msat == 0 => {
            refuse("amount_msat", "is needed with a Lightning address");
        }
        (false, true) if message.amount_msat != 0 => {
            refuse("amount_msat", "is not given with an invoice, which names its amount");
        }
        (true, false) | (false, true) => {}
    }
    convert::refuse(wrong)?;
    if address.is_empty() {
        return Ok(To::Invoice(invoice.clone(), None));
    }
    let amount: Msat = convert::msat(message.amount_msat);
    Ok(To::Address(convert::address(address)?, Amount::Exactly(amount)))
}

//! CreateOutsideInvoice: a wallet outside of the platform, to try a withdrawal with.

use poa_chassis::{account, validate};
use poa_payment::simulated::OutsideInvoice;
use poa_proto::escrow::v1::{CreateOutsideInvoiceRequest, CreateOutsideInvoiceResponse};
use tonic::Request;

use super::convert;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    request: Request<CreateOutsideInvoiceRequest>,
) -> Result<CreateOutsideInvoiceResponse, Error> {
    let _signed_in = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let faucet = service.faucet.as_ref().ok_or_else(Error::no_node)?;
    let wanted = OutsideInvoice::of(convert::msat(message.amount_msat));
    let invoice = faucet.outside_invoice(wanted).await.map_err(|_| Error::no_node())?;
    Ok(CreateOutsideInvoiceResponse { invoice: invoice.bolt11 })
}

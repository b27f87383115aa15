//! PayInvoice: the faucet of the simulated network.

use poa_chassis::{account, validate};
use poa_common::Msat;
use poa_payment::InvoiceState;
use poa_payment::simulated::FaucetError;
use poa_proto::escrow::v1::{PayInvoiceRequest, PayInvoiceResponse};
use tonic::Request;

use crate::domain::invoice::Problem;
use crate::error::Error;
use crate::service::Service;

pub(super) async fn handle(
    service: &Service,
    request: Request<PayInvoiceRequest>,
) -> Result<PayInvoiceResponse, Error> {
    let _signed_in = account(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    let faucet = service.faucet.as_ref().ok_or_else(Error::no_node)?;
    let state = match faucet.pay_invoice(&message.invoice).await {
        Ok(state) => state,
        Err(FaucetError::NotOpen { .. }) => state_of(service, &message.invoice).await?,
        Err(FaucetError::Decode(_) | FaucetError::WrongAmount { .. } | FaucetError::TooManyParts) => {
            return Err(Problem::Malformed.into());
        }
        Err(FaucetError::Supply) => return Err(Problem::OutOfRange.into()),
        Err(FaucetError::NotOurs) => return Err(Problem::NotOurs.into()),
        Err(FaucetError::Node(_)) => return Err(Error::no_node()),
    };
    // Paid before is as good as paid now; whatever else is not open stays unpaid.
    let paid = paid(&state).ok_or(Problem::NotOpen)?;
    Ok(PayInvoiceResponse { amount_msat: paid.get() })
}

async fn state_of(service: &Service, invoice: &str) -> Result<InvoiceState, Error> {
    let decoded = service.provider.decode(invoice).map_err(|_| Problem::Malformed)?;
    let state = service.provider.lookup_invoice(decoded.hash).await.map_err(|_| Error::no_node())?;
    Ok(state.ok_or(Problem::NotOurs)?)
}

fn paid(state: &InvoiceState) -> Option<Msat> {
    match state {
        InvoiceState::Settled { paid, .. } | InvoiceState::Accepted { paid, .. } => Some(*paid),
        InvoiceState::Open | InvoiceState::Canceled => None,
    }
}

//! CaptureEscrow: pays whom the verified receipt chain names, whatever the caller says. What is only locked is taken first.

use std::sync::Arc;

use poa_chassis::validate;
use poa_common::EscrowId;
use poa_proto::escrow::v1::{CaptureEscrowRequest, CaptureEscrowResponse};
use tonic::Request;

use super::convert;
use crate::domain::command::{Capture, Command};
use crate::domain::escrow::{Escrow, Verb, Verdict, verdict};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::service::Service;
use crate::store::escrows;

pub(super) async fn handle(
    service: &Arc<Service>,
    request: Request<CaptureEscrowRequest>,
) -> Result<CaptureEscrowResponse, Error> {
    let message = request.into_inner();
    validate(&message)?;
    let id: EscrowId = convert::id("escrow_id", &message.escrow_id)?;
    let escrow = escrows::find(&service.db, id).await?.ok_or(Refusal::EscrowNotFound)?;
    match verdict(Some(escrow.state), Verb::Capture) {
        Verdict::Apply(_) => {}
        Verdict::Repeat => return Ok(answer(&escrow)),
        Verdict::AlreadyReleased => return Err(Refusal::AlreadyReleased(id).into()),
        Verdict::AlreadyRefunded => return Err(Refusal::AlreadyRefunded(id).into()),
        Verdict::FundingLost => return Err(Refusal::FundingLost(id).into()),
        Verdict::WrongState => return Err(Refusal::EscrowState { state: escrow.state.as_str() }.into()),
        Verdict::NotFound => return Err(Refusal::EscrowNotFound.into()),
    }
    let terms = escrow.terms.ok_or(Refusal::EscrowNotFound)?;
    let verifier = Arc::clone(service);
    // Off the asynchronous threads: a chain can have hundreds of signatures.
    let verified = poa_chassis::off_thread(move || verifier.trust.authorise(&escrow, &terms, &message.chain));
    let (payee, evidence) = verified.await??;
    let capture = Capture {
        escrow: id,
        payee,
        evidence,
        transfer: service.env.new_id(),
        fee_transfer: service.env.new_id(),
        event: service.env.new_id(),
        time: service.env.now(),
    };
    let released = service.ledger.escrow(Command::Capture(Box::new(capture))).await?;
    service.hold_changed(&released);
    Ok(answer(&released))
}

fn answer(released: &Escrow) -> CaptureEscrowResponse {
    CaptureEscrowResponse {
        escrow: Some(convert::escrow(released)),
        transfer_id: convert::transfer(released.end_transfer),
    }
}

//! HoldFunds where the terms name a hold invoice: the payer's sats are locked in the payer's own channel.

use std::sync::Arc;

use poa_common::Msat;
use poa_common::hold::LockTooLong;
use poa_payment::HoldInvoices;
use poa_proto::escrow::v1::HoldFundsResponse;

use super::convert;
use crate::domain::command::{Command, Hold, HoldByInvoice};
use crate::domain::escrow::Escrow;
use crate::domain::hold_invoice::{HoldInvoice, Unavailable};
use crate::error::Error;
use crate::service::Service;
use crate::worker::holds;

/// Writes what the invoice will be, before the node hears of it: with the preimage, sealed.
pub(super) async fn begin(
    service: &Service,
    hold: Hold,
    lock: Result<u16, LockTooLong>,
) -> Result<Escrow, Error> {
    let config = &service.config.holds;
    let capabilities = service.provider.capabilities();
    let makes_them = config.enabled
        && capabilities.cltv_control
        && service.provider.hold_invoices().is_some_and(HoldInvoices::takes_new);
    let preimages = service.preimages.as_ref().filter(|_| makes_them).ok_or(Unavailable::Node)?;
    let cltv_blocks = lock.map_err(Unavailable::Durations)?;
    let least = Msat::new(config.min_msat);
    if hold.amount < least || !capabilities.unit.fits(hold.amount) {
        return Err(Unavailable::Price { least }.into());
    }
    let (hash, sealed) = preimages.make(&service.env, hold.escrow);
    let invoice = HoldInvoice {
        hash,
        node: service.node.node,
        cltv_blocks,
        expiry_seconds: config.invoice_expiry_seconds,
        bolt11: None,
        expire_time: None,
        memo: None,
        guard_time: None,
    };
    let (limits, event) = (config.limits(), service.env.new_id());
    let order = HoldByInvoice { hold, invoice, sealed, limits, event };
    service.ledger.escrow(Command::HoldByInvoice(Box::new(order))).await
}

/// Answers with an escrow as it is; one whose invoice is not made yet is made first.
pub(super) async fn answer(service: &Arc<Service>, held: Escrow) -> Result<HoldFundsResponse, Error> {
    let held = if held.hold_invoice.is_some() { made(service, held).await? } else { held };
    Ok(HoldFundsResponse {
        escrow: Some(convert::escrow(&held)),
        transfer_id: convert::transfer(held.hold_transfer),
    })
}

/// On a task of its own: a caller who goes away does not keep what the node has made from being written.
async fn made(service: &Arc<Service>, escrow: Escrow) -> Result<Escrow, Error> {
    let maker = Arc::clone(service);
    let made = tokio::spawn(async move { holds::prepare(&maker, escrow).await });
    made.await.map_err(|ended| Error::Chassis(poa_chassis::Error::Internal(Box::new(ended))))?
}

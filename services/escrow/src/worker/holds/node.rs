//! What the node is asked and told about hold invoices. Each call is bounded, and between two failpoints; no answer is no
//! answer, whatever the node has done.

use std::time::Duration;

use poa_payment::{Error as NodeError, Finality, HoldInvoices, InvoiceState, NewHoldInvoice, NewInvoice};
use poa_payment::{PaymentHash, Preimage};

use crate::domain::command::{Command, Observation, Observe};
use crate::domain::escrow::{Escrow, State};
use crate::domain::refusal::Refusal;
use crate::error::Error;
use crate::failpoint::{self, Failpoint};
use crate::metrics;
use crate::service::Service;

/// Asks the node for the invoice of an escrow that waits for it, and stores what it says. The same request again gives the
/// same invoice. What is not stored is never handed out.
pub(crate) async fn prepare(service: &Service, escrow: Escrow) -> Result<Escrow, Error> {
    let (Some(invoice), Some(terms)) = (&escrow.hold_invoice, escrow.terms) else { return Ok(escrow) };
    if escrow.state != State::Awaiting || invoice.bolt11.is_some() {
        return Ok(escrow);
    }
    let holds = service.provider.hold_invoices().ok_or_else(Error::no_node)?;
    if invoice.node != service.node.node {
        return Err(Error::no_node());
    }
    let new = NewHoldInvoice {
        hash: invoice.hash,
        invoice: NewInvoice {
            amount: escrow.amount,
            // Invoice and preimage together prove payment for exactly these terms.
            description_hash: *terms.as_bytes(),
            expiry: Duration::from_secs(u64::from(invoice.expiry_seconds)),
            min_final_cltv: Some(invoice.cltv_blocks),
        },
    };
    let made = call(service, "add_hold_invoice", Failpoint::ADD, holds.add(new)).await;
    let made = made.filter(|made| made.hash == invoice.hash).ok_or_else(Error::no_node)?;
    let seen = Observation::Made { bolt11: made.bolt11, expire_time: made.expires_at };
    observe(service, &escrow, seen).await
}

/// The state of an invoice; none where the node does not answer.
pub(super) async fn lookup(service: &Service, hash: PaymentHash) -> Option<Option<InvoiceState>> {
    let lookup = service.provider.lookup_invoice(hash);
    call(service, "lookup_invoice", Failpoint::HOLD_LOOKUP, lookup).await
}

/// Tells the node to take what is locked. What became of it, a lookup says.
pub(super) async fn settle(service: &Service, holds: &dyn HoldInvoices, preimage: Preimage) {
    let _looked_up_after = call(service, "settle_invoice", Failpoint::TAKE, holds.settle(preimage)).await;
}

/// Tells the node to give back what is locked. What became of it, a lookup says.
pub(super) async fn cancel(service: &Service, holds: &dyn HoldInvoices, hash: PaymentHash) {
    let _looked_up_after = call(service, "cancel_invoice", Failpoint::CANCEL, holds.cancel(hash)).await;
}

/// Whether what the node took is final; none where it does not answer.
pub(super) async fn finality(
    service: &Service,
    holds: &dyn HoldInvoices,
    hash: PaymentHash,
) -> Option<Finality> {
    call(service, "finality", Failpoint::FINALITY, holds.finality(hash)).await
}

/// Has the ledger note what was seen. What the ledger does not understand is an alarm.
pub(super) async fn observe(service: &Service, escrow: &Escrow, seen: Observation) -> Result<Escrow, Error> {
    let name = seen.name();
    let observe = Observe { escrow: escrow.id, seen, event: service.env.new_id(), time: service.env.now() };
    let noted = service.ledger.escrow(Command::Observe(observe)).await;
    match &noted {
        Ok(now) => {
            if now != escrow {
                metrics::hold_invoice_seen(name);
                tracing::info!(escrow_id = %now.id, seen = name, state = now.state.as_str(), "hold invoice seen");
            }
            service.hold_changed(now);
        }
        Err(Error::Refused(Refusal::EscrowState { .. } | Refusal::OutOfRange)) => {
            metrics::alarm("hold_invoice_refused");
            tracing::error!(
                escrow_id = %escrow.id, seen = name, state = escrow.state.as_str(),
                "what the node says of a hold invoice cannot be"
            );
        }
        Err(_) => {}
    }
    noted
}

async fn call<T>(
    service: &Service,
    name: &'static str,
    points: (Failpoint, Failpoint),
    call: impl Future<Output = Result<T, NodeError>>,
) -> Option<T> {
    let patience = Duration::from_millis(service.config.holds.call_timeout_ms);
    let call = failpoint::call(points, Err(NodeError::NoAnswer(None)), call);
    let answer = tokio::time::timeout(patience, call).await.ok().and_then(Result::ok);
    if answer.is_none() {
        metrics::node_failed(name);
    }
    answer
}

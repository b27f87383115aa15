//! One look at an escrow: asks the node, and does what its word means.

use poa_common::Msat;
use poa_payment::{Finality, Info};

use super::node;
use crate::domain::command::Observation;
use crate::domain::escrow::{Escrow, State};
use crate::domain::hold_invoice::{Circumstances, HoldInvoice, Step, next};
use crate::error::Error;
use crate::metrics;
use crate::service::Service;
use crate::store::{escrows, hold_invoices};

/// Rounds of one look: see that it is locked, tell the node what we mean, see what became of it.
const ROUNDS: u32 = 3;

/// What a round has come to.
enum Round {
    /// Ask again at once.
    Again(Box<Escrow>),
    /// The look is over. Whether the row has changed.
    Over(bool),
}

/// Brings one escrow forward; whether its row has changed.
pub(super) async fn look(service: &Service, mut escrow: Escrow, chain: &Info) -> Result<bool, Error> {
    let mut moved = false;
    for _ in 0..ROUNDS {
        let Some(invoice) = escrow.hold_invoice.clone() else { return Ok(moved) };
        if invoice.node != chain.node {
            alarm(&escrow, "a hold invoice is another node's than the one that answers");
            return Ok(moved);
        }
        match round(service, &escrow, &invoice, chain).await? {
            Round::Again(now) => {
                moved |= *now != escrow;
                escrow = *now;
            }
            Round::Over(changed) => return Ok(moved || changed),
        }
    }
    Ok(moved)
}

async fn round(
    service: &Service,
    escrow: &Escrow,
    invoice: &HoldInvoice,
    chain: &Info,
) -> Result<Round, Error> {
    let now = service.env.now();
    if escrow.state == State::Awaiting && invoice.bolt11.is_none() {
        if invoice.is_stale(escrow.create_time, now) {
            node::observe(service, escrow, Observation::GivenUp).await?;
            return Ok(Round::Over(true));
        }
        return node::prepare(service, escrow.clone()).await.map(|_made| Round::Over(true));
    }
    let Some(seen) = node::lookup(service, invoice.hash).await else { return Ok(Round::Over(false)) };
    let step = next(escrow, seen.as_ref(), Circumstances { now, height: chain.height });
    carry_out(service, escrow, invoice, step, chain.height).await
}

async fn carry_out(
    service: &Service,
    escrow: &Escrow,
    invoice: &HoldInvoice,
    step: Step,
    height: u32,
) -> Result<Round, Error> {
    let Some(holds) = service.provider.hold_invoices() else { return Ok(Round::Over(false)) };
    match step {
        Step::Wait => Ok(Round::Over(false)),
        Step::Accept(memo) => {
            let seen = Observation::Accepted { memo, limits: service.config.holds.limits() };
            let now = node::observe(service, escrow, seen).await?;
            // What is not taken goes back at once.
            Ok(if now.state == State::Canceling { Round::Again(Box::new(now)) } else { Round::Over(true) })
        }
        Step::Guard => {
            node::observe(service, escrow, Observation::Guard).await?;
            Ok(Round::Over(true))
        }
        Step::Settle => {
            let sealed = hold_invoices::sealed_preimage(&service.db, escrow.id).await?;
            let Some(preimage) = service.preimage(escrow.id, invoice.hash, &sealed) else {
                alarm(
                    escrow,
                    "a preimage does not open: is preimages.secret the one that it was sealed with?",
                );
                return Ok(Round::Over(false));
            };
            node::settle(service, holds, preimage).await;
            Ok(Round::Again(Box::new(escrow.clone())))
        }
        Step::AskFinality { paid } => {
            let seen = match node::finality(service, holds, invoice.hash).await {
                Some(Finality::Final) => Observation::Final { paid, transfer: service.env.new_id() },
                Some(Finality::Lost { kept }) => {
                    if kept > Msat::ZERO {
                        tracing::error!(escrow_id = %escrow.id, kept_msat = kept.get(), "the node has kept a part");
                        alarm(
                            escrow,
                            "a part of what was locked was taken, and a part went back: the payer is owed it",
                        );
                    }
                    Observation::Lost
                }
                Some(Finality::Pending) | None => {
                    if invoice.is_long_past(height) {
                        alarm(escrow, "the node does not tell whether what it has taken is final");
                    }
                    return Ok(Round::Over(false));
                }
            };
            conclude(service, escrow, seen).await
        }
        Step::Cancel => {
            node::cancel(service, holds, invoice.hash).await;
            Ok(Round::Again(Box::new(escrow.clone())))
        }
        Step::Canceled => conclude(service, escrow, Observation::Canceled).await,
        Step::Alarm(what) => {
            // What was meant since the row was read, by another replica too, is no alarm.
            let now = escrows::find(&service.db, escrow.id).await?;
            if now.is_some_and(|now| now.state == escrow.state) {
                alarm(escrow, what);
            }
            Ok(Round::Over(false))
        }
    }
}

async fn conclude(service: &Service, escrow: &Escrow, seen: Observation) -> Result<Round, Error> {
    let now = node::observe(service, escrow, seen).await?;
    if now.state == State::FundingLost && escrow.state != State::FundingLost {
        alarm(&now, "what a hold invoice had locked went back although we meant to take it");
    }
    Ok(Round::Over(true))
}

fn alarm(escrow: &Escrow, what: &'static str) {
    metrics::alarm("hold_invoice");
    tracing::error!(escrow_id = %escrow.id, state = escrow.state.as_str(), what, "a hold invoice needs an operator");
}

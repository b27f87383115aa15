//! The node behind the traits that every provider has, with the scripted faults on the way.

use std::future::pending;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use poa_common::{Msat, Network};

use super::core::Core;
use super::faults::{Answer, ChangeFault, FinalityFault, ListFault, LookupFault, PayEffect};
use super::{SimulatedNode, SimulatedPayer, hints};
use crate::{
    Balance, Capabilities, Chain, Cursor, Doubt, Error, FeeModel, Finality, Hint, HoldInvoices, Info,
    Invoice, InvoiceState, ListedInvoice, ListedPayment, NewHoldInvoice, NewInvoice, Outcome, PayIntent,
    Payer, PaymentHash, Place, Preimage, Provider, Unit,
};

// === impl SimulatedNode ===

impl SimulatedNode {
    /// Changes an invoice, on a good day or a bad one.
    async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Core) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match self.inner.script.change() {
            Some(ChangeFault::RequestLost) => Err(Error::NoAnswer(None)),
            Some(ChangeFault::AnswerLost) => {
                self.run(decide).await?;
                Err(Error::NoAnswer(None))
            }
            None => self.run(decide).await,
        }
    }

    /// Reads a list, on a good day or a bad one.
    async fn list<T: Send + 'static>(
        &self,
        limit: u32,
        read: impl FnOnce(&mut Core, u32) -> Result<Vec<T>, Error> + Send + 'static,
    ) -> Result<Vec<T>, Error> {
        match self.inner.script.list() {
            Some(ListFault::NoAnswer) => Err(Error::NoAnswer(None)),
            Some(ListFault::Hangs) => pending().await,
            Some(ListFault::Omit) => {
                // One more, so that the list does not end where it does not.
                let listed = self.run(move |core| read(core, limit.saturating_add(1))).await?;
                Ok(listed.into_iter().skip(1).collect())
            }
            None => self.run(move |core| read(core, limit)).await,
        }
    }
}

impl Provider for SimulatedNode {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Msat,
            fees: FeeModel::Limited,
            cltv_control: true,
            cancels_invoices: true,
            absence_is_final: true,
        }
    }

    fn info(&self) -> BoxFuture<'_, Result<Info, Error>> {
        Box::pin(self.run(|core| {
            Ok(Info {
                node: core.id,
                network: Network::Simulated,
                chain: Chain::Simnet,
                height: core.state.height,
                synced: true,
            })
        }))
    }

    fn balance(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(self.run(|core| {
            Ok(Balance {
                spendable: core.state.spendable,
                incoming: core.state.incoming,
                outgoing: core.state.outgoing,
                fee_credit: Msat::ZERO,
                on_chain: Msat::ZERO,
            })
        }))
    }

    fn create_invoice(&self, new: NewInvoice) -> BoxFuture<'_, Result<Invoice, Error>> {
        Box::pin(self.change(move |core| core.create(&new)))
    }

    fn lookup_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Option<InvoiceState>, Error>> {
        Box::pin(async move {
            match self.inner.script.lookup_invoice() {
                Some(LookupFault::NotFound) => Ok(None),
                Some(LookupFault::NoAnswer) => Err(Error::NoAnswer(None)),
                Some(LookupFault::Stale) => Ok(Some(InvoiceState::Open)),
                Some(LookupFault::Hangs) => pending().await,
                None => self.run(move |core| core.invoice(hash)).await,
            }
        })
    }

    fn cancel_invoice(&self, hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.change(move |core| core.cancel(hash, false)))
    }

    fn watch_invoices(&self, from: Cursor) -> BoxStream<'static, Hint> {
        hints::all(self, &from)
    }

    fn lookup_payment(&self, hash: PaymentHash) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let fault = self.inner.script.lookup_payment();
            match fault {
                Some(LookupFault::NotFound) => return Outcome::Unknown(Doubt::NotFound),
                Some(LookupFault::NoAnswer) => return Outcome::Unknown(Doubt::NoAnswer),
                Some(LookupFault::Hangs) => return pending().await,
                Some(LookupFault::Stale) | None => {}
            }
            let now = self.run(move |core| Ok(core.payment(hash))).await;
            match now.unwrap_or(Outcome::Unknown(Doubt::NoAnswer)) {
                // As it was before it ended: what it never had it does not have.
                Outcome::Settled { .. } | Outcome::Failed(_) if fault.is_some() => Outcome::InFlight,
                now => now,
            }
        })
    }

    fn list_invoices(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedInvoice>, Error>> {
        Box::pin(self.list(limit, move |core, limit| core.list_invoices(after, limit)))
    }

    fn list_payments(&self, after: Place, limit: u32) -> BoxFuture<'_, Result<Vec<ListedPayment>, Error>> {
        Box::pin(self.list(limit, move |core, limit| Ok(core.list_payments(after, limit))))
    }

    fn hold_invoices(&self) -> Option<&dyn HoldInvoices> {
        Some(self)
    }
}

impl HoldInvoices for SimulatedNode {
    fn add(&self, new: NewHoldInvoice) -> BoxFuture<'_, Result<Invoice, Error>> {
        Box::pin(self.change(move |core| core.add_hold(&new)))
    }

    fn settle(&self, preimage: Preimage) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.change(move |core| core.settle(preimage)))
    }

    fn cancel(&self, hash: PaymentHash) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.change(move |core| core.cancel(hash, true)))
    }

    fn finality(&self, hash: PaymentHash) -> BoxFuture<'_, Result<Finality, Error>> {
        Box::pin(async move {
            match self.inner.script.finality() {
                Some(FinalityFault::Pending) => Ok(Finality::Pending),
                Some(FinalityFault::Lost) => self.run(move |core| core.finality(hash, true)).await,
                Some(FinalityFault::NoAnswer) => Err(Error::NoAnswer(None)),
                Some(FinalityFault::Hangs) => pending().await,
                None => self.run(move |core| core.finality(hash, false)).await,
            }
        })
    }

    fn watch(&self, hash: PaymentHash) -> BoxStream<'static, Hint> {
        hints::one(self, hash)
    }
}

// === impl SimulatedPayer ===

impl Payer for SimulatedPayer {
    fn pay(&self, intent: PayIntent) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (effect, answer) = self.node.inner.script.pay().unwrap_or((PayEffect::Usual, Answer::Given));
            let outcome = if effect == PayEffect::NeverArrives {
                Outcome::Unknown(Doubt::NoAnswer)
            } else {
                let paid = self.node.run(move |core| Ok(core.pay(&intent, effect))).await;
                paid.unwrap_or(Outcome::Unknown(Doubt::NoAnswer))
            };
            match answer {
                Answer::Given => outcome,
                Answer::Lost => Outcome::Unknown(Doubt::NoAnswer),
                Answer::Never => pending().await,
            }
        })
    }
}

//! The suite that every provider passes.

use futures_util::future::BoxFuture;
use poa_common::{Msat, Timestamp};
use poa_payment::conformance::{Verdict, World, cases};
use poa_payment::simulated::OutsideInvoice;
use poa_payment::{Payer, Provider};

use crate::support::Fixture;

impl World for Fixture {
    fn provider(&self) -> &dyn Provider {
        &self.node
    }

    fn payer(&self) -> &dyn Payer {
        &self.payer
    }

    fn now(&self) -> Timestamp {
        self.env.now()
    }

    fn pay_from_outside<'a>(&'a self, bolt11: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(
            async move { self.node.pay_invoice(bolt11).await.map(|_| ()).map_err(|error| error.to_string()) },
        )
    }

    fn balance_tolerance(&self) -> Msat {
        Msat::ZERO
    }

    fn outside_invoice(&self, amount: Msat) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let invoice = self.node.outside_invoice(OutsideInvoice::of(amount)).await;
            invoice.map(|invoice| invoice.bolt11).map_err(|error| error.to_string())
        })
    }
}

#[tokio::test]
async fn the_simulated_node_passes_every_case() {
    let mut failures = Vec::new();
    for (seed, case) in (0..).zip(cases()) {
        match case.run(&Fixture::new(seed)).await {
            Ok(Verdict::Passed) => {}
            Ok(Verdict::NotApplicable) => failures.push(format!("{}: not run", case.name)),
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

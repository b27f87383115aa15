//! The suite that every provider passes.

use std::collections::BTreeSet;

use futures_util::future::{BoxFuture, ready};
use poa_common::{Msat, Timestamp};
use poa_payment::conformance::{Verdict, World, cases};
use poa_payment::lnd::Role;
use poa_payment::{Payer, Place, Provider};
use poa_testkit::LndOutsideInvoice;

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

    fn balance_tolerance(&self) -> Msat {
        Msat::ZERO
    }

    fn pay_from_outside<'a>(&'a self, bolt11: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(ready(self.lnd.pay(bolt11)))
    }

    fn outside_invoice(&self, amount: Msat) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(ready(Ok(self.lnd.outside_invoice(LndOutsideInvoice::of(amount)))))
    }
}

/// Adds the permissions that calls have needed, role by role.
fn gather(fixture: &Fixture, used: &mut [BTreeSet<String>; 3]) {
    for (role, used) in Role::ALL.into_iter().zip(used) {
        used.extend(fixture.lnd.permissions_used(role));
    }
}

#[tokio::test]
async fn lnd_passes_every_case_with_macaroons_that_allow_nothing_more() {
    let mut failures = Vec::new();
    let mut used = Role::ALL.map(|_| BTreeSet::new());
    for (seed, case) in (0..).zip(cases()) {
        let fixture = Fixture::new(seed).await;
        match case.run(&fixture).await {
            Ok(Verdict::Passed) => {}
            Ok(Verdict::NotApplicable) => failures.push(format!("{}: not run", case.name)),
            Err(failure) => failures.push(failure.to_string()),
        }
        gather(&fixture, &mut used);
    }
    assert!(failures.is_empty(), "{failures:#?}");

    // What a reconciliation asks for besides.
    let fixture = Fixture::new(1_000).await;
    let (preimage, invoice) = fixture.hold_invoice(144).await;
    fixture.lnd.pay(&invoice.bolt11).unwrap();
    fixture.hold().settle(preimage).await.unwrap();
    fixture.hold().finality(invoice.hash).await.unwrap();
    fixture.node.list_payments(Place::START, 1).await.unwrap();
    gather(&fixture, &mut used);
    for (role, used) in Role::ALL.into_iter().zip(used) {
        let allowed: BTreeSet<_> = role.permissions().iter().map(|uri| (*uri).to_owned()).collect();
        assert_eq!(used, allowed, "{}", role.as_str());
    }
}

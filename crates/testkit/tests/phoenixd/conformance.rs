//! The suite that every provider passes.

use futures_util::future::BoxFuture;
use poa_common::{Msat, Timestamp};
use poa_payment::conformance::{Verdict, World, cases};
use poa_payment::{Payer, Provider};
use poa_testkit::phoenixd::OutsideInvoice;

use crate::support::Fixture;

impl World for Fixture {
    fn provider(&self) -> &dyn Provider {
        &self.node
    }

    fn payer(&self) -> &dyn Payer {
        &*self.payer
    }

    fn now(&self) -> Timestamp {
        self.env.now()
    }

    fn pay_from_outside<'a>(&'a self, bolt11: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.phoenixd.pay_from_outside(bolt11) })
    }

    fn balance_tolerance(&self) -> Msat {
        Msat::ZERO
    }

    fn outside_invoice(&self, amount: Msat) -> BoxFuture<'_, Result<String, String>> {
        let msat = u64::try_from(amount.get()).map_err(|error| error.to_string());
        let invoice = msat.map(|msat| {
            let invoice = OutsideInvoice { amount_msat: Some(msat), ..OutsideInvoice::of_sat(1) };
            self.phoenixd.outside_invoice(invoice)
        });
        Box::pin(async move { invoice })
    }
}

/// What phoenixd has declared that it cannot do, and no more: hold invoices, and cancelling an invoice.
const NOT_APPLICABLE: [&str; 14] = [
    "a_paid_invoice_cannot_be_cancelled",
    "a_cancelled_invoice_cannot_be_paid",
    "an_unknown_invoice_cannot_be_cancelled",
    "a_hold_invoice_is_open_then_accepted_then_settled",
    "accepted_sats_can_be_given_back",
    "an_open_hold_invoice_cannot_be_settled",
    "a_settled_hold_invoice_cannot_be_cancelled",
    "a_cancelled_hold_invoice_can_neither_be_settled_nor_paid",
    "an_unknown_hold_invoice_can_neither_be_settled_nor_cancelled",
    "the_same_request_gives_the_same_hold_invoice_and_another_is_refused",
    "a_watcher_hears_at_once_and_until_the_end",
    "what_was_settled_becomes_final_and_what_is_accepted_is_not",
    "an_unknown_hold_invoice_has_no_finality",
    "a_hold_invoice_is_listed_as_accepted_and_as_settled_with_what_was_paid",
];

#[tokio::test]
async fn phoenixd_passes_every_case_but_those_of_what_it_cannot_do() {
    let (mut passed, mut failures) = (0, Vec::new());
    for (seed, case) in (0..).zip(cases()) {
        match case.run(&Fixture::new(seed).await).await {
            Ok(Verdict::Passed) => passed += 1,
            Ok(Verdict::NotApplicable) if NOT_APPLICABLE.contains(&case.name) => {}
            Ok(Verdict::NotApplicable) => failures.push(format!("{}: not run", case.name)),
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(passed >= 20, "only {passed} cases were run");
}

#[tokio::test]
async fn every_case_passes_in_one_world_after_the_other() {
    let world = Fixture::new(500).await;
    for case in cases() {
        if let Err(failure) = case.run(&world).await {
            panic!("{failure}");
        }
    }
}

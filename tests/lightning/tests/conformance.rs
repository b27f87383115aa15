//! The suite that every provider passes, on a real node.

use poa_lightning::LndWorld;
use poa_payment::conformance::{Verdict, cases};

#[tokio::test]
#[ignore = "needs lnd and btcd: make test-lightning"]
async fn lnd_passes_every_case() {
    let world = LndWorld::new().await;
    let mut failures = Vec::new();
    for case in cases() {
        match case.run(&world).await {
            Ok(Verdict::Passed) => {}
            Ok(Verdict::NotApplicable) => failures.push(format!("{}: not run", case.name)),
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

//! What somebody sees who looks all the time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use poa_payment::FailureReason;
use poa_payment::simulated::{Answer, Fault, LookupFault, PayEffect};
use poa_testkit::eventually;
use sqlx::PgConnection;

use crate::world::{SOON, world_with};

/// From where to where a withdrawal may go between two looks.
const EDGES: [(&str, &str); 6] = [
    ("reserved", "dispatched"),
    ("reserved", "succeeded"),
    ("reserved", "failed"),
    ("dispatched", "succeeded"),
    ("dispatched", "failed"),
    // Nothing has happened.
    ("", "reserved"),
];

#[tokio::test(flavor = "multi_thread")]
async fn state_never_goes_backwards_in_what_an_observer_sees() {
    const MANY: usize = 120;
    let world = world_with(|config| config.withdrawals.max_live = 1_000).await;
    let (user, payee) = (world.rich(100_000_000).await, world.user());
    let pay = |effect, answer| Fault::Pay { effect, answer };
    let days = [
        pay(PayEffect::Usual, Answer::Given),
        pay(PayEffect::Usual, Answer::Lost),
        pay(PayEffect::Usual, Answer::Never),
        pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Given),
        pay(PayEffect::Fails(FailureReason::NoRoute), Answer::Lost),
        pay(PayEffect::NeverArrives, Answer::Lost),
        Fault::LookupPayment(LookupFault::Stale),
        Fault::LookupPayment(LookupFault::NotFound),
        Fault::LookupInvoice(LookupFault::NoAnswer),
    ];
    assert!(world.node().script(days.into_iter().cycle().take(MANY)));
    let done = AtomicBool::new(false);
    let observing = async {
        let mut seen = BTreeMap::<uuid::Uuid, String>::new();
        let mut looks = 0_u32;
        let mut sql: PgConnection = world.sql().await;
        while !done.load(Ordering::SeqCst) {
            let rows: Vec<(uuid::Uuid, String)> =
                sqlx::query_as("SELECT id, state FROM withdrawals").fetch_all(&mut sql).await.unwrap();
            for (id, state) in rows {
                let before = seen.insert(id, state.clone());
                let before = before.as_deref().unwrap_or_default();
                let legal = before == state || before.is_empty() || EDGES.contains(&(before, &state));
                assert!(legal, "{id} went from {before} to {state}");
            }
            looks += 1;
        }
        looks
    };
    let working = async {
        for place in 0..MANY {
            let invoice = if place % 6 == 0 {
                world.deposit(&payee, 10_000).await.invoice
            } else {
                world.outside_invoice(&user, 10_000).await
            };
            world.withdraw(&user, &invoice, None).await.unwrap();
        }
        // A failure after several dispatches waits for their deadlines: those are not waited for here.
        eventually(SOON, "most have ended", async || {
            let live = "SELECT count(*) FROM withdrawals WHERE state IN ('reserved', 'dispatched') AND dispatches < 2";
            world.count(live).await == 0
        })
        .await;
        done.store(true, Ordering::SeqCst);
    };
    let (looks, ()) = tokio::join!(observing, working);
    eprintln!("{MANY} withdrawals on the node's bad days, looked at {looks} times: legal edges alone");
    world.assert_sound().await;
}

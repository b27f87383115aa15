//! The node's lists: long ones, ones that break off, and ones that leave something out.

use std::time::Duration;

use poa_payment::simulated::{Fault, ListFault};
use tonic::Code;

use super::{PAGE, ask, assert_clean, drifts, foreign_invoice, look};
use crate::world::{refusal, world, world_with};

#[tokio::test]
async fn ten_thousand_invoices_are_read_page_by_page_and_what_was_read_is_kept() {
    const MANY: usize = 10_000;
    let world = world().await;
    let user = world.rich(1_000).await;
    for _ in 0..MANY {
        foreign_invoice(world.node(), 1).await;
    }
    let begun = std::time::Instant::now();
    let found = look(&world).await;
    assert!(found.clean, "{found:?}");
    assert!(usize::try_from(found.compared).unwrap() >= MANY);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let waiting = "SELECT count(*) FROM reconciliation_waiting";
    assert_eq!(usize::try_from(world.count(waiting).await).unwrap(), MANY);
    // They end, all of them, and are no longer looked at.
    world.clock.advance(Duration::from_secs(3_601));
    assert!(look(&world).await.clean);
    assert_eq!(world.count(waiting).await, 0);
    assert_eq!(look(&world).await.compared, 0);
    world.fund(&world.again(&user), 1_000).await;
    assert_clean(&world).await;
}

#[tokio::test]
async fn a_round_that_breaks_off_goes_on_where_it_was_even_after_a_restart() {
    let mut world = world().await;
    let user = world.rich(1_000).await;
    assert!(look(&world).await.clean);
    for _ in 0..2 * PAGE {
        foreign_invoice(world.node(), 1).await;
    }
    world.fund(&user, 2_000).await;
    // The first page is read, the second is not.
    let breaks = [Fault::List(ListFault::Omit), Fault::List(ListFault::NoAnswer)];
    assert!(world.node().script(breaks));
    assert_eq!(refusal(ask(&world, false).await).1, "DEPENDENCY_UNAVAILABLE");
    let place = "SELECT invoices_place FROM reconciliation";
    let read = world.count(place).await;
    assert!(read > 1 && read < 2 * i64::try_from(PAGE).unwrap(), "{read}");
    world.stop().await;
    world.start().await;
    let found = look(&world).await;
    assert!(found.clean && world.count(place).await > read, "{found:?}");
    assert_eq!(world.balance(&user).await, (3_000, 0));
}

#[tokio::test]
async fn a_node_that_hangs_or_gives_no_answer_differs_in_nothing() {
    let world = world_with(|config| config.reconciliation.call_timeout_ms = 200).await;
    let user = world.rich(1_000_000).await;
    assert!(look(&world).await.clean);
    for fault in [ListFault::Hangs, ListFault::NoAnswer] {
        assert!(world.node().script([Fault::List(fault)]));
        let refused = ask(&world, false).await;
        assert_eq!(refusal(refused), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    }
    world.fund(&user, 1_000).await;
    assert_clean(&world).await;
}

#[tokio::test]
async fn an_invoice_that_the_node_leaves_out_is_missed_and_found_again() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    assert!(look(&world).await.clean);
    world.fund(&user, 1_000).await;
    world.fund(&user, 2_000).await;
    assert!(world.node().script([Fault::List(ListFault::Omit)]));
    let found = look(&world).await;
    assert_eq!(drifts(&found), [("credited_not_received", 0, 1_000)]);
    // Only a look at everything can show that it is there.
    assert!(!look(&world).await.clean);
    assert!(ask(&world, true).await.unwrap().clean);
    // What was there once and is not any more is missed, too.
    assert!(world.node().script([Fault::List(ListFault::Omit)]));
    let found = ask(&world, true).await.unwrap();
    assert_eq!(drifts(&found), [("credited_not_received", 0, 1_000_000)]);
    assert!(ask(&world, true).await.unwrap().clean);
}

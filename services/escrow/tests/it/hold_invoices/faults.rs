//! Requests and answers of the node that are lost, lookups that flap, hints that never come.

use poa_payment::simulated::{ChangeFault, Fault, HintFault, LookupFault};
use poa_payment::{Place, Provider as _};
use poa_proto::escrow::v1::escrow::State;
use poa_testkit::eventually;
use tonic::Code;

use super::{PRICE, TRUTH, accepted, awaiting, job, now, reaches, reaches_within, secure, world};
use crate::chain::{capture, hold, receipts, refund};
use crate::world::{SOON, fact, refusal};

#[tokio::test]
async fn an_invoice_whose_request_or_answer_is_lost_is_made_once_and_shown_later() {
    for fault in [ChangeFault::RequestLost, ChangeFault::AnswerLost] {
        let world = world().await;
        let payer = world.user();
        let job = job(&world, &payer, PRICE);
        assert!(world.node().script([Fault::Change(fault)]));
        let refused = hold(&world, &job).await;
        assert_eq!(fact(refused.clone(), "dependency"), "lightning");
        assert_eq!(refusal(refused), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
        // The worker goes on by itself, and the same call again shows it.
        let made = async || !now(&world, &job).await.hold_invoice.unwrap().invoice.is_empty();
        eventually(SOON, "the invoice is made", made).await;
        let shown = hold(&world, &job).await.unwrap().escrow.unwrap();
        assert_eq!(shown, now(&world, &job).await);
        assert_eq!(world.node().list_invoices(Place::START, 10).await.unwrap().len(), 1);
        world.node().pay_invoice(&shown.hold_invoice.unwrap().invoice).await.unwrap();
        reaches(&world, &job, State::Accepted).await;
    }
}

#[tokio::test]
async fn a_node_that_never_makes_the_invoice_leaves_nothing_behind() {
    let world = world().await;
    let payer = world.user();
    let job = job(&world, &payer, PRICE);
    assert!(world.node().script([Fault::Change(ChangeFault::RequestLost); 1_000]));
    assert_eq!(refusal(hold(&world, &job).await).1, "DEPENDENCY_UNAVAILABLE");
    world.clock.advance(std::time::Duration::from_secs(601));
    reaches(&world, &job, State::Canceled).await;
    super::assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn settlements_and_cancellations_whose_requests_or_answers_are_lost_come_to_their_end() {
    for fault in [ChangeFault::RequestLost, ChangeFault::AnswerLost] {
        let world = world().await;
        let payer = world.user();
        let (taken, given) = (accepted(&world, &payer, PRICE).await, accepted(&world, &payer, PRICE).await);
        let (unpaid, _) = awaiting(&world, &payer, PRICE).await;
        assert!(world.node().script([Fault::Change(fault); 3]));
        secure(&world, &taken).await.unwrap();
        refund(&world, &given).await.unwrap();
        refund(&world, &unpaid).await.unwrap();
        reaches(&world, &taken, State::Held).await;
        reaches(&world, &given, State::Canceled).await;
        reaches(&world, &unpaid, State::Canceled).await;
        assert_eq!(world.balance(&payer).await, (0, PRICE));
        let node = world.node().balance().await.unwrap();
        assert_eq!(node.incoming.get(), 0);
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn lookups_that_flap_change_nothing_and_the_truth_is_found_later() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let lies = [
        Fault::LookupInvoice(LookupFault::NotFound),
        Fault::LookupInvoice(LookupFault::Stale),
        Fault::LookupInvoice(LookupFault::NoAnswer),
    ];
    let job = accepted(&world, &payer, PRICE).await;
    let (unpaid, invoice) = awaiting(&world, &payer, PRICE).await;
    assert!(world.node().script(lies));
    world.node().pay_invoice(&invoice).await.unwrap();
    reaches(&world, &unpaid, State::Accepted).await;
    assert_eq!(now(&world, &job).await.state(), State::Accepted);
    assert!(world.node().script(lies));
    let chain = receipts(&world, &job, payee.account);
    capture(&world, &job, chain.clone()).await.unwrap();
    reaches(&world, &job, State::Held).await;
    capture(&world, &job, chain).await.unwrap();
    assert!(world.node().script(lies));
    refund(&world, &unpaid).await.unwrap();
    reaches(&world, &unpaid, State::Canceled).await;
    assert_eq!(world.node().balance().await.unwrap().incoming.get(), 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn hints_that_are_lost_cost_seconds_and_nothing_else() {
    let world = world().await;
    let payer = world.user();
    let (job, invoice) = awaiting(&world, &payer, PRICE).await;
    assert!(world.node().script([Fault::Hint(HintFault::Lose); 100]));
    world.node().pay_invoice(&invoice).await.unwrap();
    reaches_within(TRUTH, &world, &job, State::Accepted).await;
}

#[tokio::test]
async fn a_lookup_that_hangs_keeps_no_other_waiting() {
    let mut world = world().await;
    world.stop().await;
    world.change(|config| config.holds.call_timeout_ms = 60_000);
    world.start().await;
    let payer = world.user();
    let stuck = accepted(&world, &payer, PRICE).await;
    assert!(world.node().script([Fault::LookupInvoice(LookupFault::Hangs)]));
    refund(&world, &stuck).await.unwrap();
    let others = [accepted(&world, &payer, PRICE).await, accepted(&world, &payer, PRICE).await];
    for job in &others {
        secure(&world, job).await.unwrap();
        reaches_within(TRUTH, &world, job, State::Held).await;
    }
}

//! WatchEscrowEvents: every change of what hold invoices fund.

use poa_payment::simulated::{Fault, FinalityFault};
use poa_proto::escrow::v1::escrow::State;
use poa_proto::escrow::v1::watch_escrow_events_response::Update;
use poa_proto::escrow::v1::{EscrowEvent, WatchEscrowEventsRequest, WatchEscrowEventsResponse};
use tonic::{Code, Streaming};

use super::{PRICE, accepted, awaiting, reaches, secure, world};
use crate::chain::{capture, held, receipts, refund};
use crate::world::{SOON, World, refusal};

async fn watch(world: &World, cursor: &str) -> Streaming<WatchEscrowEventsResponse> {
    let request = WatchEscrowEventsRequest { cursor: cursor.to_owned() };
    world.internal().watch_escrow_events(request).await.unwrap().into_inner()
}

/// The next event, and the cursor after it.
async fn next(stream: &mut Streaming<WatchEscrowEventsResponse>) -> (EscrowEvent, String) {
    loop {
        let message = tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        match message.update.unwrap() {
            Update::Event(event) => return (event, message.cursor),
            Update::Heartbeat(_) => {}
        }
    }
}

/// Reads on until an escrow stands there; the states that were told of it.
async fn until(
    stream: &mut Streaming<WatchEscrowEventsResponse>,
    id: &str,
    state: State,
) -> (Vec<State>, String) {
    let mut states = Vec::new();
    loop {
        let (event, cursor) = next(stream).await;
        let escrow = event.escrow.unwrap();
        if escrow.escrow_id == id {
            states.push(escrow.state());
            if escrow.state() == state {
                return (states, cursor);
            }
        }
    }
}

#[tokio::test]
async fn an_observer_sees_legal_edges_only_and_hears_of_each_state_that_lasts() {
    let mut world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let mut stream = watch(&world, "").await;
    let (task, invoice) = awaiting(&world, &payer, PRICE).await;
    let id = task.escrow.to_string();
    let (told, _) = until(&mut stream, &id, State::Awaiting).await;
    assert_eq!(told, [State::Awaiting]);
    world.node().pay_invoice(&invoice).await.unwrap();
    let (event, _) = loop {
        let (event, cursor) = next(&mut stream).await;
        if event.escrow.as_ref().unwrap().state() != State::Awaiting {
            break (event, cursor);
        }
    };
    let locked = event.escrow.unwrap();
    assert_eq!((locked.state(), event.guard_reached), (State::Accepted, false));
    assert_eq!(locked.hold_invoice.unwrap().paid_msat, PRICE);
    world.node().mine(44).await.unwrap();
    // An event tells the escrow as it is now, so that one of before may tell the same once more.
    loop {
        let (event, _) = next(&mut stream).await;
        assert_eq!(event.escrow.unwrap().state(), State::Accepted);
        if event.guard_reached {
            break;
        }
    }

    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    let chain = receipts(&world, &task, payee.account);
    capture(&world, &task, chain.clone()).await.unwrap();
    let (settling, cursor) = until(&mut stream, &id, State::Settling).await;
    assert_eq!(settling, [State::Settling]);
    drop(stream);
    // The node's script ends with it.
    world.stop().await;
    world.start().await;
    reaches(&world, &task, State::Held).await;
    // Another one meanwhile, and what the balance funds is not told.
    let rich = world.rich(1_000_000).await;
    held(&world, &rich, 100_000).await;
    let given = accepted(&world, &payer, PRICE).await;
    capture(&world, &task, chain).await.unwrap();

    let mut stream = watch(&world, &cursor).await;
    let (told, _) = until(&mut stream, &id, State::Released).await;
    assert_eq!(told, [State::Released], "from a cursor on, each as it is now");
    let mut stream = watch(&world, &cursor).await;
    refund(&world, &given).await.unwrap();
    let (told, _) = until(&mut stream, &given.escrow.to_string(), State::Canceled).await;
    let order = [State::Accepted, State::Canceling, State::Canceled];
    let places: Vec<usize> =
        told.iter().map(|state| order.iter().position(|legal| legal == state).unwrap()).collect();
    assert!(places.is_sorted(), "state went backwards: {told:?}");
}

#[tokio::test]
async fn a_loss_is_told_and_a_refund_of_what_was_secured() {
    let world = world().await;
    let payer = world.user();
    let mut stream = watch(&world, "").await;
    let lost = accepted(&world, &payer, PRICE).await;
    assert!(world.node().script([Fault::Finality(FinalityFault::Lost)]));
    secure(&world, &lost).await.unwrap();
    until(&mut stream, &lost.escrow.to_string(), State::FundingLost).await;
    let secured = accepted(&world, &payer, PRICE).await;
    secure(&world, &secured).await.unwrap();
    until(&mut stream, &secured.escrow.to_string(), State::Held).await;
    refund(&world, &secured).await.unwrap();
    until(&mut stream, &secured.escrow.to_string(), State::Refunded).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_place_that_is_not_of_this_stream_is_refused_and_only_task_may_listen() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    held(&world, &payer, 100_000).await;
    let refused = |cursor: &str| {
        let request = WatchEscrowEventsRequest { cursor: cursor.to_owned() };
        let mut client = world.internal();
        async move { refusal(client.watch_escrow_events(request).await) }
    };
    let invalid = (Code::InvalidArgument, "FIELDS_INVALID".to_owned());
    assert_eq!(refused("nonsense").await, invalid);
    assert_eq!(refused("9.000000000000000000000000000000ab").await, invalid);
    let request = WatchEscrowEventsRequest::default();
    let refused = world.internal_as("attestation").watch_escrow_events(request).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
}

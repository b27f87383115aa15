//! SetPayoutDestination, GetPayoutDestination.

use std::time::Duration;

use poa_proto::escrow::v1::{GetPayoutDestinationRequest, PayoutDestination, SetPayoutDestinationRequest};
use tonic::{Code, Status};

use crate::world::{User, World, fact, refusal, with, world};

const DAY: Duration = Duration::from_secs(86_400);

fn request(world: &World, address: &str, threshold: i64) -> SetPayoutDestinationRequest {
    SetPayoutDestinationRequest {
        request_id: world.request_id(),
        lightning_address: address.to_owned(),
        automatic_threshold_msat: threshold,
    }
}

async fn ask(
    world: &World,
    user: &User,
    request: SetPayoutDestinationRequest,
) -> Result<PayoutDestination, Status> {
    let user = world.again(user);
    let answer = world.escrow().set_payout_destination(with(&user.token, request)).await?;
    Ok(answer.into_inner().destination.unwrap())
}

async fn set(world: &World, user: &User, address: &str) -> PayoutDestination {
    ask(world, user, request(world, address, 0)).await.unwrap()
}

async fn read(world: &World, user: &User) -> PayoutDestination {
    let user = world.again(user);
    let request = with(&user.token, GetPayoutDestinationRequest {});
    world.escrow().get_payout_destination(request).await.unwrap().into_inner().destination.unwrap()
}

#[tokio::test]
async fn a_first_address_counts_at_once_and_another_one_after_a_day() {
    let world = world().await;
    let user = world.user();
    assert_eq!(read(&world, &user).await.lightning_address, "");
    let first = ask(&world, &user, request(&world, "A@One.example", 5_000)).await.unwrap();
    assert_eq!((first.lightning_address.as_str(), first.automatic_threshold_msat), ("a@one.example", 5_000));
    assert_eq!(read(&world, &user).await, first);
    let changed = set(&world, &user, "b@two.example").await;
    assert_eq!(
        (changed.lightning_address.as_str(), changed.pending_lightning_address.as_str()),
        ("a@one.example", "b@two.example")
    );
    assert_ne!(changed.etag, first.etag);
    let due = changed.pending_effective_time.unwrap().seconds;
    assert_eq!(due - world.env.now().unix_timestamp(), 86_400);
    world.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(read(&world, &user).await, changed);
    world.clock.advance(Duration::from_secs(1));
    let later = read(&world, &user).await;
    assert_eq!(
        (later.lightning_address.as_str(), later.pending_lightning_address.as_str()),
        ("b@two.example", "")
    );
    assert_ne!(later.etag, changed.etag);
    // Another account sees nothing of it.
    assert_eq!(read(&world, &world.user()).await.lightning_address, "");
}

#[tokio::test]
async fn a_removal_is_at_once_and_does_not_shorten_the_wait() {
    let world = world().await;
    let user = world.user();
    set(&world, &user, "a@one.example").await;
    set(&world, &user, "b@two.example").await;
    let removed = set(&world, &user, "").await;
    assert_eq!((removed.lightning_address.as_str(), removed.pending_lightning_address.as_str()), ("", ""));
    let thief = set(&world, &user, "thief@three.example").await;
    assert_eq!(
        (thief.lightning_address.as_str(), thief.pending_lightning_address.as_str()),
        ("", "thief@three.example")
    );
    world.clock.advance(DAY);
    assert_eq!(read(&world, &user).await.lightning_address, "thief@three.example");
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer_however_much_has_changed() {
    let world = world().await;
    let user = world.user();
    let request_of = request(&world, "a@one.example", 7_000);
    let first = ask(&world, &user, request_of.clone()).await.unwrap();
    set(&world, &user, "").await;
    assert_eq!(ask(&world, &user, request_of.clone()).await.unwrap(), first);
    assert_eq!(read(&world, &user).await.lightning_address, "", "and changes nothing");
    let reused = SetPayoutDestinationRequest { automatic_threshold_msat: 8_000, ..request_of };
    assert_eq!(
        refusal(ask(&world, &user, reused).await),
        (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_addresses_at_once_one_counts_and_the_other_waits() {
    let world = world().await;
    let replica = world.replica().await;
    for _ in 0..5 {
        let user = world.user();
        let (one, two) = (request(&world, "a@one.example", 0), request(&world, "b@two.example", 0));
        let (one, two) = tokio::join!(ask(&world, &user, one), ask(&replica, &user, two));
        let pending = [one.unwrap(), two.unwrap()].map(|answer| answer.pending_lightning_address);
        assert_eq!(pending.iter().filter(|address| address.is_empty()).count(), 1, "{pending:?}");
        let now = read(&world, &user).await;
        assert!(!now.lightning_address.is_empty() && !now.pending_lightning_address.is_empty());
    }
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let world = world().await;
    let user = world.user();
    for bad in ["alice", "alice@localhost", "alice@127.0.0.1", "../a@one.example"] {
        let refused = ask(&world, &user, request(&world, bad, 0)).await;
        assert_eq!(fact(refused.clone(), "problem"), "malformed");
        assert_eq!(refusal(refused), (Code::InvalidArgument, "ADDRESS_REFUSED".to_owned()));
    }
    let refused = ask(&world, &user, request(&world, "", 5_000)).await;
    assert_eq!(refusal(refused).1, "FIELDS_INVALID");
    let narrow = world.token(user.account, "money.read", 600);
    let call = with(&narrow, request(&world, "a@one.example", 0));
    assert_eq!(refusal(world.escrow().set_payout_destination(call).await).1, "SCOPE_MISSING");
    assert_eq!(world.count("SELECT count(*) FROM payout_destinations").await, 0);
}

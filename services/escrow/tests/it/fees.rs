//! EstimateFees.

use poa_escrow::config::BasisPoints;
use poa_proto::escrow::v1::{EstimateFeesRequest, EstimateFeesResponse};

use crate::chain::{held, hold, job};
use crate::world::{refusal, with, world, world_with};

#[tokio::test]
async fn an_estimate_is_what_a_hold_will_say() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let request = EstimateFeesRequest { price_msat: 100_999 };
    let estimate = world.escrow().estimate_fees(with(&user.token, request)).await.unwrap().into_inner();
    let expected = EstimateFeesResponse {
        fee_msat: 5_049,
        payee_msat: 95_950,
        fee_basis_points: 500,
        ..Default::default()
    };
    assert_eq!(estimate, expected);
    let held = hold(&world, &job(&world, &user, 100_999)).await.unwrap().escrow.unwrap();
    assert_eq!(held.fee_msat, estimate.fee_msat);
    for price_msat in [0, -1, 2_100_000_000_000_000_001] {
        let refused =
            world.escrow().estimate_fees(with(&user.token, EstimateFeesRequest { price_msat })).await;
        assert_eq!(refusal(refused).1, "FIELDS_INVALID");
    }
}

#[tokio::test]
async fn terms_with_another_fee_than_the_platforms_hold_nothing() {
    let world = world_with(|config| config.fee_basis_points = BasisPoints::try_from(300).unwrap()).await;
    let user = world.rich(1_000_000).await;
    let refused = hold(&world, &job(&world, &user, 100_000)).await;
    assert_eq!(refusal(refused).1, "FIELDS_INVALID");
}

#[tokio::test]
async fn what_is_held_keeps_its_fee_when_the_platform_changes_its_own() {
    let mut world = world().await;
    let user = world.rich(1_000_000).await;
    let job = held(&world, &user, 100_000).await;
    world.stop().await;
    world.change(|config| config.fee_basis_points = BasisPoints::try_from(1_000).unwrap());
    world.start().await;
    // The same hold again is still the same hold.
    assert_eq!(hold(&world, &job).await.unwrap().escrow.unwrap().fee_msat, 5_000);
    let payee = world.user();
    let chain = crate::chain::receipts(&world, &job, payee.account);
    crate::chain::capture(&world, &job, chain).await.unwrap();
    assert_eq!(world.balance(&payee).await, (95_000, 0));
    world.assert_sound().await;
}

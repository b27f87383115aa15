//! HoldFunds.

use std::time::Duration;

use poa_common::{Msat, Network, TypedId as _};
use poa_proto::escrow::v1::{HoldFundsRequest, escrow};
use tonic::Code;

use crate::chain::{self, Job, hold, hold_request, job, offer_of, terms};
use crate::world::{World, fact, refusal, with, world};

async fn ask(world: &World, request: HoldFundsRequest) -> (Code, String) {
    refusal(world.internal().hold_funds(request).await)
}

#[tokio::test]
async fn a_hold_moves_sats_from_available_to_held_and_keeps_the_mandate() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = job(&world, &payer, 100_999);
    let held = hold(&world, &job).await.unwrap();
    let escrow = held.escrow.unwrap();
    assert_eq!(escrow.state(), escrow::State::Held);
    assert_eq!((escrow.amount_msat, escrow.fee_msat), (100_999, 5_049));
    assert_eq!((escrow.payer_id, escrow.payee_id), (payer.account.to_string(), String::new()));
    assert!(held.transfer_id.starts_with("xfer_"));
    assert_eq!(world.balance(&payer).await, (899_001, 100_999));

    let (terms, policy, digest): (Vec<u8>, String, Vec<u8>) = sqlx::query_as(
        "SELECT terms, policy, terms_digest FROM mandates JOIN escrows ON id = escrow_id WHERE id = $1",
    )
    .bind(job.escrow.uuid())
    .fetch_one(&mut world.sql().await)
    .await
    .unwrap();
    assert_eq!(terms, job.offer.payload());
    assert_eq!(policy, "on_attestation");
    assert_eq!(digest, chain::digest(&job).as_bytes());
    world.assert_sound().await;
}

#[tokio::test]
async fn the_same_hold_again_gives_the_same_answer_even_after_the_token_has_ended() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = job(&world, &payer, 100_000);
    let first = hold(&world, &job).await.unwrap();
    assert_eq!(hold(&world, &job).await.unwrap(), first);
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(hold(&world, &job).await.unwrap(), first);
    let payer = world.again(&payer);
    assert_eq!(world.balance(&payer).await, (900_000, 100_000));
    assert_eq!(world.entries(&payer).await.len(), 2);
}

#[tokio::test]
async fn another_hold_under_the_same_escrow_is_refused() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let first = chain::held(&world, &payer, 100_000).await;
    let other = Job {
        offer: offer_of(
            &world,
            first.task,
            Network::Simulated,
            terms(&world, payer.account, first.escrow, 200_000),
        ),
        ..first
    };
    let refused = refusal(hold(&world, &other).await);
    assert_eq!(refused, (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    assert_eq!(world.balance(&payer).await, (900_000, 100_000));
}

#[tokio::test]
async fn a_balance_that_does_not_cover_is_refused_and_may_be_asked_again() {
    let world = world().await;
    let payer = world.rich(100_000).await;
    let job = job(&world, &payer, 100_001);
    let refused = hold(&world, &job).await;
    assert_eq!(fact(refused.clone(), "available_msat"), "100000");
    assert_eq!(fact(refused.clone(), "needed_msat"), "100001");
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "INSUFFICIENT_FUNDS".to_owned()));
    world.fund(&payer, 1_000).await;
    hold(&world, &job).await.unwrap();
    let stranger = world.user();
    let nothing = hold(&world, &chain::job(&world, &stranger, 1)).await;
    assert_eq!(refusal(nothing).1, "INSUFFICIENT_FUNDS");
    world.assert_sound().await;
}

#[tokio::test]
async fn only_the_payers_own_token_with_the_scope_holds() {
    let world = world().await;
    let (payer, thief) = (world.rich(1_000_000).await, world.user());
    let job = job(&world, &payer, 100_000);
    let asked = |token: String| ask(&world, HoldFundsRequest { payer_token: token, ..hold_request(&job) });
    let bad = (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned());
    assert_eq!(asked("nonsense".to_owned()).await, bad);
    assert_eq!(asked(thief.token.clone()).await, bad);
    assert_eq!(asked(world.token(payer.account, "tasks.write", 0)).await, bad);
    let narrow = world.token(payer.account, "money.read tasks.read", 600);
    assert_eq!(asked(narrow).await, (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    assert_eq!(world.balance(&payer).await, (1_000_000, 0));
}

#[tokio::test]
async fn only_task_may_call() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = job(&world, &payer, 100_000);
    let refused = world.internal_as("attestation").hold_funds(hold_request(&job)).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    let mut bare = poa_proto::escrow::v1::escrow_internal_service_client::EscrowInternalServiceClient::new(
        world.public_channel(),
    );
    let refused = bare.hold_funds(with(&payer.token, hold_request(&job))).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
}

#[tokio::test]
async fn terms_that_say_something_else_than_the_order_or_the_platform_are_refused() {
    let world = world().await;
    let (payer, other) = (world.rich(1_000_000).await, world.user());
    let job = job(&world, &payer, 100_000);
    let sound = terms(&world, payer.account, job.escrow, 100_000);
    let dearer = poa_proto::escrow::v1::HoldFundsRequest { amount_msat: 100_001, ..hold_request(&job) };
    let with_terms = |edit: fn(&mut proof_of_agent::TermsOffered)| {
        let mut terms = sound.clone();
        edit(&mut terms);
        let offer = offer_of(&world, job.task, Network::Simulated, terms);
        HoldFundsRequest { terms: offer.payload().to_vec(), ..hold_request(&job) }
    };
    let cheaper = with_terms(|terms| {
        (terms.fee_bps, terms.fee_msat) = (400, Msat::new(4_000));
        terms.payee_net_msat = Msat::new(96_000);
    });
    let real_money = offer_of(&world, job.task, Network::Mainnet, sound.clone());
    let real_money = HoldFundsRequest { terms: real_money.payload().to_vec(), ..hold_request(&job) };
    let others = terms(&world, other.account, job.escrow, 100_000);
    let others = offer_of(&world, job.task, Network::Simulated, others);
    let others = HoldFundsRequest { terms: others.payload().to_vec(), ..hold_request(&job) };
    let other_escrow =
        HoldFundsRequest { escrow_id: world.nobody::<poa_common::EscrowId>(), ..hold_request(&job) };
    let other_task = HoldFundsRequest { task_id: world.nobody::<poa_common::TaskId>(), ..hold_request(&job) };
    let no_terms = HoldFundsRequest { terms: b"{}".to_vec(), ..hold_request(&job) };
    let no_ids = HoldFundsRequest { escrow_id: "escr_1".to_owned(), ..hold_request(&job) };
    let nothing = HoldFundsRequest { amount_msat: 0, ..hold_request(&job) };
    let acceptance =
        chain::statements(&world, &job, other.account, proof_of_agent::DecisionKind::CriteriaMet);
    let not_an_offer = HoldFundsRequest { terms: acceptance[1].payload().to_vec(), ..hold_request(&job) };
    for request in [
        dearer,
        cheaper,
        real_money,
        others,
        other_escrow,
        other_task,
        no_terms,
        no_ids,
        nothing,
        not_an_offer,
    ] {
        let shown = format!("{request:?}");
        assert_eq!(
            ask(&world, request).await,
            (Code::InvalidArgument, "FIELDS_INVALID".to_owned()),
            "{shown}"
        );
    }
    assert_eq!(world.count("SELECT count(*) FROM escrows").await, 0);
    assert_eq!(world.balance(&payer).await, (1_000_000, 0));
}

//! CaptureEscrow.

use ed25519_dalek::SigningKey;
use poa_proto::escrow::v1::escrow;
use proof_of_agent::{Author, DecisionKind, DidKey, Nonce};
use tonic::Code;

use crate::chain::{self, DECISION, capture, held, receipts, refund, sign, statements};
use crate::world::{fact, refusal, world};

#[tokio::test]
async fn a_capture_pays_the_account_of_the_chain_less_the_fee() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let job = held(&world, &payer, 100_999).await;
    let released = capture(&world, &job, receipts(&world, &job, payee.account)).await.unwrap();
    let escrow = released.escrow.unwrap();
    assert_eq!(escrow.state(), escrow::State::Released);
    assert_eq!((escrow.payee_id, escrow.fee_msat), (payee.account.to_string(), 5_049));
    assert!(escrow.end_time.is_some() && released.transfer_id.starts_with("xfer_"));
    assert_eq!(world.balance(&payer).await, (899_001, 0));
    assert_eq!(world.balance(&payee).await, (95_950, 0));
    let audit = world.audit().await;
    assert!(audit.clean);
    assert_eq!((audit.fees_msat, audit.user_liabilities_msat, audit.open_escrows), (5_049, 994_951, 0));
    let evidence = world.count("SELECT count(*) FROM releases WHERE decision = 'criteria_met'").await;
    assert_eq!(evidence, 1);
}

#[tokio::test]
async fn a_second_capture_gives_the_same_answer_and_moves_nothing() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let job = held(&world, &payer, 100_000).await;
    let chain = receipts(&world, &job, payee.account);
    let first = capture(&world, &job, chain.clone()).await.unwrap();
    assert_eq!(capture(&world, &job, chain).await.unwrap(), first);
    // A late hold is answered, too: it was carried out.
    assert_eq!(chain::hold(&world, &job).await.unwrap().escrow, first.escrow);
    assert_eq!(world.balance(&payee).await, (95_000, 0));
    assert_eq!(world.entries(&payee).await.len(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_capture_after_the_refund_is_refused() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let job = held(&world, &payer, 100_000).await;
    let chain = receipts(&world, &job, payee.account);
    refund(&world, &job).await.unwrap();
    let refused = capture(&world, &job, chain).await;
    assert_eq!(fact(refused.clone(), "escrow_id"), job.escrow.to_string());
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "ALREADY_REFUNDED".to_owned()));
    assert_eq!(world.balance(&payer).await, (1_000_000, 0));
    assert_eq!(world.balance(&payee).await, (0, 0));
}

#[tokio::test]
async fn a_capture_of_an_unknown_escrow_is_not_found() {
    let world = world().await;
    let payer = world.user();
    let job = chain::job(&world, &payer, 100_000);
    let refused = capture(&world, &job, receipts(&world, &job, payer.account)).await;
    assert_eq!(refusal(refused), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    assert_eq!(refusal(capture(&world, &job, Vec::new()).await).1, "FIELDS_INVALID");
}

#[tokio::test]
async fn whoever_hires_their_own_agent_pays_the_fee_alone() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let job = held(&world, &payer, 100_000).await;
    capture(&world, &job, receipts(&world, &job, payer.account)).await.unwrap();
    assert_eq!(world.balance(&payer).await, (995_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_price_too_small_for_a_fee_is_paid_whole() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let job = held(&world, &payer, 19).await;
    capture(&world, &job, receipts(&world, &job, payee.account)).await.unwrap();
    assert_eq!(world.balance(&payee).await, (19, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_forged_chain_releases_nothing() {
    let world = world().await;
    let (payer, payee, thief) = (world.rich(1_000_000).await, world.user(), world.user());
    let job = held(&world, &payer, 100_000).await;
    let other = held(&world, &payer, 100_000).await;
    let sound = receipts(&world, &job, payee.account);
    let criteria_met = DecisionKind::CriteriaMet;

    // The thief's account, in a receipt and a decision that the thief signs as a platform of their own.
    let forger = SigningKey::from_bytes(&[9; 32]);
    let mut forged = statements(&world, &job, thief.account, criteria_met);
    let by_forger = Author::platform(DidKey::of(&forger), Nonce::new(world.env.random()));
    forged[3] = forged[2].successor(by_forger, forged[3].body().clone()).unwrap();
    forged[4] = forged[3].successor(by_forger, forged[4].body().clone()).unwrap();

    // The envelope names another account than was signed.
    let mut altered = sound.clone();
    let swapped = sign(&statements(&world, &job, thief.account, criteria_met));
    altered[1].clone_from(&swapped[1]);

    let mut flipped = sound.clone();
    let place = flipped[DECISION].len() / 2;
    flipped[DECISION][place] ^= 1;

    for (chain, problem) in [
        (sign(&forged), "receipt-key"),
        (altered, "predecessor"),
        (flipped, "envelope"),
        (sound[..DECISION].to_vec(), "decision"),
        (sound[1..].to_vec(), "order"),
        (receipts(&world, &other, thief.account), "terms"),
        (sign(&statements(&world, &job, payee.account, DecisionKind::Rejected)), "decision"),
        (sign(&statements(&world, &job, payee.account, DecisionKind::DeadlinePassed)), "policy"),
        (vec![b"{}".to_vec()], "envelope"),
    ] {
        let refused = capture(&world, &job, chain).await;
        assert_eq!(fact(refused.clone(), "problem"), problem);
        assert_eq!(refusal(refused), (Code::FailedPrecondition, "RELEASE_NOT_AUTHORISED".to_owned()));
    }
    assert_eq!(world.balance(&payer).await, (800_000, 200_000));
    assert_eq!(world.balance(&thief).await, (0, 0));
    capture(&world, &job, sound).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn without_a_trust_root_nothing_is_released_and_the_rest_goes_on() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let path = world.keys().join("trust-root.json");
    let root = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let job = held(&world, &payer, 100_000).await;
    let chain = receipts(&world, &job, payee.account);
    let refused = capture(&world, &job, chain.clone()).await;
    assert_eq!(fact(refused.clone(), "dependency"), "trust-root");
    assert_eq!(refusal(refused), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    std::fs::write(&path, root).unwrap();
    capture(&world, &job, chain).await.unwrap();
}

//! What happens to a hold invoice when everything works.

use std::time::Duration;

use poa_common::EscrowId;
use poa_payment::simulated::{Fault, FinalityFault};
use poa_payment::{Provider as _, decode};
use poa_proto::escrow::v1::HoldFundsRequest;
use poa_proto::escrow::v1::escrow::State;
use poa_proto::escrow::v1::ledger_entry::Kind;
use proof_of_agent::DecisionKind;
use tonic::Code;

use super::{
    PRICE, accepted, assert_nothing_moved, awaiting, hash, job, job_with, now, pays, reaches, secure, world,
};
use crate::chain::{self, Job, capture, digest, hold, hold_request, receipts, refund, sign, statements};
use crate::world::{fact, refusal};

#[tokio::test]
async fn a_hold_invoice_is_paid_captured_and_released_with_the_fee_to_the_msat() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = job(&world, &payer, PRICE);
    let answer = hold(&world, &job).await.unwrap();
    assert_eq!(answer.transfer_id, "", "nothing is held yet");
    let escrow = answer.escrow.unwrap();
    assert_eq!((escrow.state(), escrow.amount_msat, escrow.fee_msat), (State::Awaiting, PRICE, 500_049));
    let invoice = escrow.hold_invoice.clone().unwrap();
    assert_eq!((invoice.paid_msat, invoice.expiry_height, invoice.guard_height), (0, 0, 0));
    let decoded = decode(&invoice.invoice).unwrap();
    assert_eq!(decoded.hash.as_bytes().as_slice(), invoice.payment_hash);
    assert_eq!(decoded.amount.unwrap().get(), PRICE);
    assert_eq!(decoded.description_hash, Some(*digest(&job).as_bytes()), "it is an invoice for these terms");
    assert_eq!(decoded.min_final_cltv, 80);
    assert_eq!(decoded.expires_at, world.env.now().replace_nanosecond(0).unwrap() + Duration::from_secs(600));
    assert_nothing_moved(&world, &payer).await;

    world.node().pay_invoice(&invoice.invoice).await.unwrap();
    let locked = reaches(&world, &job, State::Accepted).await.hold_invoice.unwrap();
    assert_eq!((locked.paid_msat, locked.expiry_height, locked.guard_height), (PRICE, 800_080, 800_044));
    assert!(locked.accept_time.is_some());
    assert_nothing_moved(&world, &payer).await;

    let chain = receipts(&world, &job, payee.account);
    let settling = capture(&world, &job, chain.clone()).await.unwrap();
    assert_eq!((settling.escrow.unwrap().state(), settling.transfer_id.as_str()), (State::Settling, ""));
    reaches(&world, &job, State::Held).await;
    assert_eq!(world.balance(&payer).await, (0, PRICE));
    assert_eq!(world.balance(&payee).await, (0, 0), "what is held is not captured by itself");
    world.assert_sound().await;

    let released = capture(&world, &job, chain.clone()).await.unwrap();
    assert_eq!(released.escrow.as_ref().unwrap().state(), State::Released);
    assert!(released.transfer_id.starts_with("xfer_"));
    assert_eq!(capture(&world, &job, chain).await.unwrap(), released, "twice is once");
    assert_eq!(world.balance(&payer).await, (0, 0));
    assert_eq!(world.balance(&payee).await, (9_500_950, 0));
    let audit = world.audit().await;
    assert!(audit.clean, "{:?}", audit.checks);
    assert_eq!((audit.fees_msat, audit.user_liabilities_msat), (500_049, 9_500_950));
    let kinds: Vec<Kind> = world.entries(&payer).await.iter().map(|entry| entry.kind()).collect();
    assert_eq!(kinds, [Kind::Capture, Kind::Fund]);
    assert_eq!(world.node().balance().await.unwrap().incoming.get(), 0);
}

#[tokio::test]
async fn what_is_paid_beyond_the_price_is_the_payers_at_the_release() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let (job, invoice) = awaiting(&world, &payer, PRICE).await;
    world.node().pay_invoice_with(&invoice, pays(2 * PRICE, 3)).await.unwrap();
    let locked = reaches(&world, &job, State::Accepted).await.hold_invoice.unwrap();
    assert_eq!(locked.paid_msat, 2 * PRICE);
    let chain = receipts(&world, &job, payee.account);
    capture(&world, &job, chain.clone()).await.unwrap();
    reaches(&world, &job, State::Held).await;
    assert_eq!(world.balance(&payer).await, (PRICE, PRICE));
    capture(&world, &job, chain).await.unwrap();
    assert_eq!(world.balance(&payer).await, (PRICE, 0));
    assert_eq!(world.balance(&payee).await, (9_500_950, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn the_same_hold_again_shows_the_same_invoice_even_after_the_token_has_ended() {
    let world = world().await;
    let payer = world.user();
    let job = job(&world, &payer, PRICE);
    let first = hold(&world, &job).await.unwrap();
    assert_eq!(hold(&world, &job).await.unwrap(), first);
    let no_token = HoldFundsRequest { payer_token: "ended".to_owned(), ..hold_request(&job) };
    let again = world.internal().hold_funds(no_token).await.unwrap().into_inner();
    assert_eq!(again, first);
    let other = Job {
        offer: job_with(&world, &payer, 2 * PRICE, |terms| terms.escrow = job.escrow).offer,
        ..job.clone()
    };
    // Another task's terms under this escrow, and other terms of this task.
    assert_eq!(refusal(hold(&world, &other).await).1, "FIELDS_INVALID");
    let mut terms = chain::terms(&world, payer.account, job.escrow, 2 * PRICE);
    terms.rail = proof_of_agent::Rail::HoldInvoice;
    let offer = chain::offer_of(&world, job.task, poa_common::Network::Simulated, terms);
    let other = Job { offer, ..job };
    assert_eq!(refusal(hold(&world, &other).await), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn a_capture_takes_what_is_locked_for_a_sound_chain_and_nothing_else() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let (unpaid, invoice) = awaiting(&world, &payer, PRICE).await;
    let chain = receipts(&world, &unpaid, payee.account);
    let refused = capture(&world, &unpaid, chain.clone()).await;
    assert_eq!(fact(refused.clone(), "state"), "awaiting");
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "ESCROW_STATE".to_owned()));
    world.node().pay_invoice(&invoice).await.unwrap();
    reaches(&world, &unpaid, State::Accepted).await;
    let rejected = sign(&statements(&world, &unpaid, payee.account, DecisionKind::Rejected));
    assert_eq!(refusal(capture(&world, &unpaid, rejected).await).1, "RELEASE_NOT_AUTHORISED");
    assert_eq!(now(&world, &unpaid).await.state(), State::Accepted);
    // While it is being taken, whatever the chain: the answer is where it stands.
    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    for _ in 0..2 {
        let settling = capture(&world, &unpaid, chain.clone()).await.unwrap();
        assert_eq!(settling.escrow.unwrap().state(), State::Settling);
    }
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn what_is_secured_is_a_ledger_escrow_whose_refund_is_a_credit() {
    let world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    assert_eq!(secure(&world, &job).await.unwrap().state(), State::Settling);
    reaches(&world, &job, State::Held).await;
    assert_eq!(secure(&world, &job).await.unwrap().state(), State::Held);
    let refunded = refund(&world, &job).await.unwrap();
    assert_eq!(refunded.escrow.as_ref().unwrap().state(), State::Refunded);
    assert!(refunded.transfer_id.starts_with("xfer_"));
    assert_eq!(world.balance(&payer).await, (PRICE, 0));
    assert_eq!(refund(&world, &job).await.unwrap(), refunded);
    assert_eq!(refusal(secure(&world, &job).await).1, "ALREADY_REFUNDED");
    let chain = receipts(&world, &job, payer.account);
    assert_eq!(refusal(capture(&world, &job, chain).await).1, "ALREADY_REFUNDED");
    world.assert_sound().await;
}

#[tokio::test]
async fn securing_says_how_an_escrow_stands_or_why_it_cannot_be() {
    let world = world().await;
    let rich = world.rich(1_000_000).await;
    let balance = chain::held(&world, &rich, 100_000).await;
    assert_eq!(secure(&world, &balance).await.unwrap().state(), State::Held);
    let (unpaid, _) = awaiting(&world, &rich, PRICE).await;
    let refused = secure(&world, &unpaid).await;
    assert_eq!(fact(refused.clone(), "state"), "awaiting");
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "ESCROW_STATE".to_owned()));
    let unknown = Job { escrow: world.env.new_id::<EscrowId>(), ..unpaid.clone() };
    assert_eq!(refusal(secure(&world, &unknown).await).1, "RESOURCE_NOT_FOUND");
    let other = Job { task: world.env.new_id(), ..unpaid.clone() };
    assert_eq!(refusal(secure(&world, &other).await).1, "RESOURCE_NOT_FOUND");
    refund(&world, &unpaid).await.unwrap();
    let refused = refusal(secure(&world, &unpaid).await);
    assert_eq!(refused, (Code::FailedPrecondition, "ALREADY_REFUNDED".to_owned()));
    let request = poa_proto::escrow::v1::SecureEscrowRequest {
        escrow_id: unpaid.escrow.to_string(),
        task_id: unpaid.task.to_string(),
    };
    let refused = refusal(world.internal_as("attestation").secure_escrow(request.clone()).await);
    assert_eq!(refused, (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    let malformed = poa_proto::escrow::v1::SecureEscrowRequest { escrow_id: "x".to_owned(), ..request };
    assert_eq!(refusal(world.internal().secure_escrow(malformed).await).1, "FIELDS_INVALID");
}

#[tokio::test]
async fn an_invoice_that_is_not_paid_in_time_ends_and_the_hold_says_so() {
    let world = world().await;
    let payer = world.user();
    let (job, invoice) = awaiting(&world, &payer, PRICE).await;
    world.clock.advance(Duration::from_secs(601));
    let ended = reaches(&world, &job, State::Canceled).await;
    assert!(ended.end_time.is_some());
    assert!(world.node().pay_invoice(&invoice).await.is_err());
    let again = hold(&world, &job).await.unwrap();
    assert_eq!(again.escrow.unwrap().state(), State::Canceled);
    assert_eq!(refund(&world, &job).await.unwrap().escrow.unwrap().state(), State::Canceled);
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn a_refund_cancels_an_invoice_that_waits_and_one_that_is_paid() {
    let world = world().await;
    let payer = world.user();
    let (unpaid, invoice) = awaiting(&world, &payer, PRICE).await;
    let paid = accepted(&world, &payer, PRICE).await;
    assert_eq!(world.node().balance().await.unwrap().incoming.get(), PRICE);
    for job in [&unpaid, &paid] {
        let canceling = refund(&world, job).await.unwrap();
        assert_eq!(canceling.transfer_id, "");
        assert!(matches!(canceling.escrow.unwrap().state(), State::Canceling | State::Canceled));
        reaches(&world, job, State::Canceled).await;
        let chain = receipts(&world, job, payer.account);
        assert_eq!(refusal(capture(&world, job, chain).await).1, "ALREADY_REFUNDED");
    }
    assert!(world.node().pay_invoice(&invoice).await.is_err());
    assert_eq!(
        world.node().balance().await.unwrap().incoming.get(),
        0,
        "the payer's channel has the sats back"
    );
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn a_refund_while_the_sats_are_being_taken_is_refused_until_they_are_held() {
    let mut world = world().await;
    let payer = world.user();
    let job = accepted(&world, &payer, PRICE).await;
    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    secure(&world, &job).await.unwrap();
    let refused = refund(&world, &job).await;
    assert_eq!(fact(refused.clone(), "state"), "settling");
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "ESCROW_STATE".to_owned()));
    // The node's script ends with it.
    world.stop().await;
    world.start().await;
    reaches(&world, &job, State::Held).await;
    refund(&world, &job).await.unwrap();
    assert_eq!(world.balance(&payer).await, (PRICE, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_refund_before_the_hold_leaves_a_tombstone_and_no_invoice() {
    let world = world().await;
    let payer = world.user();
    let job = job(&world, &payer, PRICE);
    assert_eq!(refund(&world, &job).await.unwrap().escrow.unwrap().state(), State::Void);
    assert_eq!(refusal(hold(&world, &job).await), (Code::FailedPrecondition, "ALREADY_REFUNDED".to_owned()));
    assert_eq!(world.count("SELECT count(*) FROM hold_invoices").await, 0);
    assert_nothing_moved(&world, &payer).await;
}

#[tokio::test]
async fn the_preimage_is_stored_sealed_and_shown_to_nobody() {
    let world = world().await;
    let (payer, payee) = (world.user(), world.user());
    let job = accepted(&world, &payer, PRICE).await;
    let chain = receipts(&world, &job, payee.account);
    capture(&world, &job, chain).await.unwrap();
    let escrow = reaches(&world, &job, State::Held).await;
    let state = world.node().lookup_invoice(hash(&escrow)).await.unwrap().unwrap();
    let poa_payment::InvoiceState::Settled { preimage: Some(preimage), .. } = state else {
        panic!("the simulated node shows the preimage of what it settled");
    };
    // Not in any table, in any column, as bytes or as text.
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut world.sql().await)
            .await
            .unwrap();
    assert!(tables.contains(&"hold_invoices".to_owned()) && tables.contains(&"events_published".to_owned()));
    for table in tables {
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t")))
                .fetch_all(&mut world.sql().await)
                .await
                .unwrap();
        assert!(rows.iter().all(|row| !row.contains(&preimage.to_hex())), "{table}");
    }
    assert!(!format!("{escrow:?}").contains(&format!("{:?}", preimage.as_bytes())));
}

//! GetReconciliation and the rounds behind it: node and ledger say the same of every payment hash, or somebody hears of it.

mod lists;
mod node;

use std::time::Duration;

use poa_common::Msat;
use poa_payment::simulated::{
    Answer, Fault, FinalityFault, OutsideInvoice, PayEffect, Resolution, SimulatedNode,
};
use poa_payment::{Invoice, NewInvoice, Outcome, PayIntent, Payer as _, PaymentHash, Provider as _};
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{GetReconciliationRequest, Reconciliation, escrow};
use poa_testkit::eventually;
use sqlx::Executor as _;
use tonic::{Code, Status};

use crate::chain::{capture, held, receipts, refund};
use crate::hold_invoices::{self, PRICE, accepted, reaches, secure};
use crate::world::{SOON, User, World, refusal, with, world, world_with};

/// Rows of a page that the service asks the node for.
const PAGE: usize = 500;

async fn ask(world: &World, full: bool) -> Result<Reconciliation, Status> {
    let request = world.as_operator(GetReconciliationRequest { full });
    Ok(world.admin().get_reconciliation(request).await?.into_inner().reconciliation.unwrap())
}

async fn look(world: &World) -> Reconciliation {
    ask(world, false).await.unwrap()
}

/// What differs: kind, what the node says, what the ledger says.
fn drifts(found: &Reconciliation) -> Vec<(&str, i64, i64)> {
    found.drifts.iter().map(|drift| (drift.kind.as_str(), drift.node_msat, drift.ledger_msat)).collect()
}

async fn assert_clean(world: &World) {
    for full in [false, true] {
        let found = ask(world, full).await.unwrap();
        assert!(found.clean && found.drifts.is_empty() && found.flow_difference_msat == 0, "{found:?}");
        assert!(found.full || !full, "{found:?}");
    }
}

/// An invoice of the node that no deposit is about.
async fn foreign_invoice(node: &SimulatedNode, sats: i64) -> Invoice {
    let new = NewInvoice {
        amount: Msat::from_sat(sats).unwrap(),
        description_hash: [1; 32],
        expiry: Duration::from_secs(3_600),
        min_final_cltv: None,
    };
    node.create_invoice(new).await.unwrap()
}

/// Somebody pays from the node, and no withdrawal has asked for it.
async fn spend(world: &World, sats: i64) -> PaymentHash {
    let amount = Msat::from_sat(sats).unwrap();
    let invoice = world.node().outside_invoice(OutsideInvoice::of(amount)).await.unwrap();
    let intent = PayIntent {
        hash: invoice.hash,
        bolt11: invoice.bolt11,
        amount,
        fee_limit: amount,
        deadline: world.env.now() + Duration::from_secs(60),
    };
    assert!(matches!(world.payer().pay(intent).await, Outcome::Settled { .. }));
    invoice.hash
}

async fn withdrawn(world: &World, user: &User, msat: i64) -> String {
    let invoice = world.outside_invoice(user, msat).await;
    let made = world.withdraw(user, &invoice, None).await.unwrap();
    world.reaches(user, &made.withdrawal_id, State::Succeeded).await;
    made.withdrawal_id
}

#[tokio::test]
async fn after_every_journey_node_and_ledger_say_the_same() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let paid = held(&world, &payer, 100_000).await;
    capture(&world, &paid, receipts(&world, &paid, payee.account)).await.unwrap();
    let back = held(&world, &payer, 100_000).await;
    refund(&world, &back).await.unwrap();
    withdrawn(&world, &payer, 50_000).await;
    let failed = world.outside_invoice(&payer, 50_000).await;
    let failed = world.withdraw(&payer, &failed, Some(0)).await.unwrap();
    world.reaches(&payer, &failed.withdrawal_id, State::Failed).await;
    // And what has not ended: an invoice that waits, a payment on its way.
    let _open = world.deposit(&payer, 5_000).await;
    assert!(world.node().script([Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given }]));
    let waiting = world.outside_invoice(&payer, 40_000).await;
    let waiting = world.withdraw(&payer, &waiting, None).await.unwrap();
    world.reaches(&payer, &waiting.withdrawal_id, State::InFlight).await;
    assert_clean(&world).await;
    let found = look(&world).await;
    assert_eq!(found.liabilities_msat, 1_000_000 - 5_000 - 50_050);
    assert!(found.assets_msat >= found.liabilities_msat);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_ends_after_it_was_first_seen_is_not_passed_over() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let deposit = world.deposit(&user, 30_000).await;
    assert!(world.node().script([Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given }]));
    let late = world.outside_invoice(&user, 20_000).await;
    let late = world.withdraw(&user, &late, None).await.unwrap();
    world.reaches(&user, &late.withdrawal_id, State::InFlight).await;
    assert!(look(&world).await.clean);
    // Others come after them, and end first.
    world.fund(&user, 10_000).await;
    withdrawn(&world, &user, 10_000).await;
    assert!(look(&world).await.clean);
    world.pay(&user, &deposit.invoice).await.unwrap();
    let hash = PaymentHash::try_from(late.payment_hash.as_slice()).unwrap();
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    world.reaches(&user, &late.withdrawal_id, State::Succeeded).await;
    eventually(SOON, "the deposit is credited", async || world.balance(&user).await.0 == 1_009_970).await;
    assert_clean(&world).await;
    // They count: node and ledger know of three deposits and two withdrawals.
    let matched = "SELECT count(*) FROM reconciliation_flows WHERE node_msat = ledger_msat";
    assert_eq!(world.count(matched).await, 5);
    assert_eq!(world.count("SELECT count(*) FROM reconciliation_waiting").await, 0);
}

#[tokio::test]
async fn a_sat_that_somebody_writes_into_the_ledger_is_found() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    assert!(look(&world).await.clean);
    // A sat more for the user, in every place that the audit holds against another.
    let mut sql = world.sql().await;
    sql.execute(
        "UPDATE deposits SET credited_msat = credited_msat + 1000;
         UPDATE postings SET available_msat = available_msat + 1000 WHERE available_msat > 0;
         UPDATE postings SET available_msat = available_msat - 1000 WHERE available_msat < 0;
         UPDATE accounts SET available_msat = available_msat + 1000 WHERE kind = 'user';
         UPDATE accounts SET available_msat = available_msat - 1000 WHERE kind = 'lightning'",
    )
    .await
    .unwrap();
    world.assert_sound().await;
    let found = look(&world).await;
    assert_eq!(drifts(&found), [("journal_altered", 0, 1_000)]);
    assert_eq!((found.clean, found.flow_difference_msat), (false, -1_000));
    let found = ask(&world, true).await.unwrap();
    assert_eq!(drifts(&found), [("amounts_differ", 1_000_000, 1_001_000)]);
    assert_eq!(found.flow_difference_msat, -1_000);
    assert!(found.drifts[0].subject_id.starts_with("dep_") && found.drifts[0].payment_hash.len() == 32);
    // And back.
    sql.execute(
        "UPDATE deposits SET credited_msat = credited_msat - 1000;
         UPDATE postings SET available_msat = available_msat - 1000 WHERE available_msat > 0;
         UPDATE postings SET available_msat = available_msat + 1000 WHERE available_msat < 0;
         UPDATE accounts SET available_msat = available_msat - 1000 WHERE kind = 'user';
         UPDATE accounts SET available_msat = available_msat + 1000 WHERE kind = 'lightning'",
    )
    .await
    .unwrap();
    // Only a look at everything can show that all is well again.
    assert!(!look(&world).await.clean);
    assert!(ask(&world, true).await.unwrap().clean);
    assert_eq!(world.balance(&user).await, (1_000_000, 0));
}

#[tokio::test]
async fn a_deposit_and_a_payment_that_the_node_never_had_are_found() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    withdrawn(&world, &user, 100_000).await;
    assert!(look(&world).await.clean);
    // As an intruder in the database would: rows that agree with each other, and a hash that nobody has.
    let mut sql = world.sql().await;
    sql.execute(
        "WITH d AS (
             INSERT INTO deposits (id, account_id, request_id, fingerprint, state, amount_msat, credited_msat, invoice,
                                   payment_hash, created_at, expires_at, settled_at)
             SELECT gen_random_uuid(), account_id, gen_random_uuid(), fingerprint, state, 1000, 1000, invoice,
                    sha256('nobody'), created_at, expires_at, settled_at FROM deposits RETURNING id, account_id),
         t AS (INSERT INTO transfers SELECT gen_random_uuid(), 'deposit', id, now() FROM d RETURNING id)
         INSERT INTO postings SELECT a.id, a.entries + 1, t.id, CASE a.kind WHEN 'user' THEN 1000 ELSE -1000 END, 0
         FROM accounts a, t WHERE a.kind IN ('user', 'lightning');
         UPDATE accounts SET available_msat = available_msat + CASE kind WHEN 'user' THEN 1000 ELSE -1000 END,
                             entries = entries + 1 WHERE kind IN ('user', 'lightning')",
    )
    .await
    .unwrap();
    world.assert_sound().await;
    let found = look(&world).await;
    assert_eq!(drifts(&found), [("credited_not_received", 0, 1_000)]);
    assert_eq!(found.flow_difference_msat, -1_000);
    sql.execute(
        "WITH w AS (
             INSERT INTO withdrawals (id, account_id, request_id, fingerprint, state, amount_msat, fee_limit_msat, fee_msat,
                                      invoice, payment_hash, invoice_expires_at, node_id, deadline, dispatches,
                                      failures_seen, preimage, created_at, ended_at)
             SELECT gen_random_uuid(), account_id, gen_random_uuid(), fingerprint, state, 1000, 0, 0, invoice,
                    sha256(sha256('nobody')), invoice_expires_at, node_id, deadline, 1, 0, sha256('nobody'), created_at,
                    ended_at FROM withdrawals RETURNING id, account_id),
         t AS (INSERT INTO transfers SELECT gen_random_uuid(), kind, w.id, now()
               FROM w, (VALUES ('withdraw_reserve'), ('withdraw')) AS k (kind) RETURNING id, kind)
         INSERT INTO postings SELECT a.id, a.entries + CASE t.kind WHEN 'withdraw' THEN 2 ELSE 1 END, t.id,
             CASE WHEN a.kind = 'lightning' THEN 1000 WHEN t.kind = 'withdraw' THEN 0 ELSE -1000 END,
             CASE WHEN a.kind = 'lightning' THEN 0 WHEN t.kind = 'withdraw' THEN -1000 ELSE 1000 END
         FROM accounts a, t WHERE a.kind = 'user' OR a.kind = 'lightning' AND t.kind = 'withdraw';
         UPDATE postings SET sequence = (SELECT entries + 1 FROM accounts WHERE kind = 'lightning')
         WHERE account_id = (SELECT id FROM accounts WHERE kind = 'lightning')
             AND sequence > (SELECT entries FROM accounts WHERE kind = 'lightning');
         UPDATE accounts SET available_msat = available_msat + CASE kind WHEN 'user' THEN -1000 ELSE 1000 END,
                             entries = entries + CASE kind WHEN 'user' THEN 2 ELSE 1 END
         WHERE kind IN ('user', 'lightning')",
    )
    .await
    .unwrap();
    world.assert_sound().await;
    let found = look(&world).await;
    let mut kinds = drifts(&found);
    kinds.sort_unstable();
    assert_eq!(kinds, [("booked_not_paid", 0, 1_000), ("credited_not_received", 0, 1_000)]);
    assert_eq!(found.flow_difference_msat, 0, "the two make up for each other, and are found all the same");
    assert!(!found.clean);
}

#[tokio::test]
async fn sats_that_the_node_moved_for_nobody_are_found_in_the_next_round() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    assert!(look(&world).await.clean);
    let hash = spend(&world, 1).await;
    let found = look(&world).await;
    // A sat and the fee of its route.
    assert_eq!(drifts(&found), [("unknown_payment", 1_001, 0)]);
    assert_eq!(found.drifts[0].payment_hash, hash.as_bytes());
    assert_eq!(found.flow_difference_msat, -1_001);
    // Payouts are paused by the time it is answered, and stay so until somebody lets them go on.
    let switch = found.payouts.clone().unwrap();
    assert!(switch.paused && switch.reason.contains("unknown_payment"), "{switch:?}");
    let out = world.outside_invoice(&user, 10_000).await;
    assert_eq!(refusal(world.withdraw(&user, &out, None).await).1, "PAYOUTS_PAUSED");
    let invoice = foreign_invoice(world.node(), 1).await;
    assert_eq!(look(&world).await.drifts.len(), 1, "an invoice that nobody has paid is none of ours either");
    world.node().pay_invoice(&invoice.bolt11).await.unwrap();
    let found = look(&world).await;
    let mut kinds = drifts(&found);
    kinds.sort_unstable();
    assert_eq!(kinds, [("unknown_invoice", 1_000, 0), ("unknown_payment", 1_001, 0)]);
    // It stays so until somebody who knows says why.
    assert_eq!(ask(&world, true).await.unwrap().drifts.len(), 2);
    let explain = "UPDATE reconciliation_flows SET explained = 'a test' WHERE ledger_msat IS NULL";
    world.sql().await.execute(explain).await.unwrap();
    assert_clean(&world).await;
    assert!(look(&world).await.payouts.unwrap().paused);
    world.pause(false, "it was a test").await;
    withdrawn(&world, &user, 10_000).await;
    assert_clean(&world).await;
    assert_eq!(world.balance(&user).await, (989_990, 0));
}

#[tokio::test]
async fn what_hold_invoices_lock_is_no_difference_before_it_is_booked_nor_when_it_is_lost() {
    let world = hold_invoices::world().await;
    let payer = world.user();
    let locked = accepted(&world, &payer, PRICE).await;
    assert_clean(&world).await;
    // Settled at the node, and not final for a long time.
    assert!(world.node().script([Fault::Finality(FinalityFault::Pending); 1_000]));
    secure(&world, &locked).await.unwrap();
    let hash = hold_invoices::now(&world, &locked).await.hold_invoice.unwrap().payment_hash;
    let hash = PaymentHash::try_from(hash.as_slice()).unwrap();
    eventually(SOON, "the node has settled it", async || {
        let state = world.node().lookup_invoice(hash).await.unwrap();
        matches!(state, Some(poa_payment::InvoiceState::Settled { .. }))
    })
    .await;
    for _ in 0..3 {
        assert!(look(&world).await.clean);
        world.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(world.count("SELECT count(*) FROM reconciliation_flows WHERE ledger_msat IS NULL").await, 1);
    // And one that the chain gave back after all.
    let lost = accepted(&world, &world.again(&payer), PRICE).await;
    assert_clean(&world).await;
    assert_eq!(hold_invoices::now(&world, &locked).await.state(), escrow::State::Settling);
    let mut world = world;
    world.stop().await;
    world.start().await;
    reaches(&world, &locked, escrow::State::Held).await;
    assert!(world.node().script([Fault::Finality(FinalityFault::Lost)]));
    secure(&world, &lost).await.unwrap();
    reaches(&world, &lost, escrow::State::FundingLost).await;
    assert_clean(&world).await;
    refund(&world, &locked).await.unwrap();
    assert_clean(&world).await;
    assert_eq!(world.balance(&world.again(&payer)).await, (PRICE, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_within_the_ledger_is_none_of_the_nodes() {
    let world = world().await;
    let (user, other) = (world.rich(1_000_000).await, world.user());
    let deposit = world.deposit(&other, 100_000).await;
    let paid = world.withdraw(&user, &deposit.invoice, None).await.unwrap();
    world.reaches(&user, &paid.withdrawal_id, State::Succeeded).await;
    assert_clean(&world).await;
    assert_eq!(world.count("SELECT count(*) FROM reconciliation_flows").await, 1, "the first deposit alone");
}

#[tokio::test]
async fn what_was_received_may_wait_to_be_credited_for_the_grace_and_no_longer() {
    // Nobody looks at deposits.
    let world = world_with(|config| config.deposits.poll_ms = 3_600_000).await;
    let user = world.user();
    let lost = Fault::Hint(poa_payment::simulated::HintFault::Lose);
    assert!(world.node().script([lost; 16]));
    let deposit = world.deposit(&user, 7_000).await;
    world.pay(&user, &deposit.invoice).await.unwrap();
    for _ in 0..3 {
        assert!(look(&world).await.clean);
    }
    world.clock.advance(Duration::from_secs(30));
    let found = look(&world).await;
    assert_eq!(drifts(&found), [("received_not_credited", 7_000, 0)]);
    assert_eq!(found.drifts[0].subject_id, deposit.deposit_id);
}

#[tokio::test]
async fn a_deposit_that_is_paid_after_its_end_is_no_difference() {
    let world = world().await;
    let user = world.rich(1_000).await;
    let late = world.deposit(&user, 7_000).await;
    assert!(look(&world).await.clean);
    // The node calls it over, and is paid all the same: as nodes do that keep no list of their own.
    let over =
        "INSERT INTO reconciliation_flows (direction, payment_hash, node_places, node_pass, ledger_sequence,
                                                  ledger_pass, looks)
                SELECT 'in', payment_hash, '{}', 0, 0, 0, 0 FROM deposits WHERE state = 'open'";
    world.sql().await.execute(over).await.unwrap();
    world.sql().await.execute("DELETE FROM reconciliation_waiting").await.unwrap();
    world.pay(&user, &late.invoice).await.unwrap();
    eventually(SOON, "it is credited", async || world.balance(&user).await.0 == 8_000).await;
    let end = "UPDATE deposits SET expires_at = settled_at WHERE amount_msat = 7000";
    world.sql().await.execute(end).await.unwrap();
    assert_clean(&world).await;
}

#[tokio::test]
async fn only_an_operator_may_ask() {
    let world = world().await;
    let user = world.user();
    let request = GetReconciliationRequest { full: false };
    let refused = world.admin().get_reconciliation(with(&user.token, request)).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
}

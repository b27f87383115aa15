//! ReplaceWithdrawalInvoice.

use poa_payment::FailureReason;
use poa_payment::simulated::{Answer, Fault, PayEffect};
use poa_proto::escrow::v1::withdrawal::State;
use poa_proto::escrow::v1::{ReplaceWithdrawalInvoiceRequest, Withdrawal};
use tonic::{Code, Status};

use crate::payee::{ALICE, Payee};
use crate::world::{User, World, fact, refusal, with, world, world_with};

fn request(world: &World, id: &str, invoice: &str) -> ReplaceWithdrawalInvoiceRequest {
    ReplaceWithdrawalInvoiceRequest {
        request_id: world.request_id(),
        withdrawal_id: id.to_owned(),
        invoice: invoice.to_owned(),
        fee_limit_msat: None,
    }
}

async fn replace(
    world: &World,
    user: &User,
    request: ReplaceWithdrawalInvoiceRequest,
) -> Result<Withdrawal, Status> {
    let answer = world.escrow().replace_withdrawal_invoice(with(&user.token, request)).await?;
    Ok(answer.into_inner().withdrawal.unwrap())
}

fn fails() -> Fault {
    Fault::Pay { effect: PayEffect::Fails(FailureReason::NoRoute), answer: Answer::Given }
}

async fn failed(world: &World, user: &User) -> Withdrawal {
    let invoice = world.outside_invoice(user, 100_000).await;
    assert!(world.node().script([fails()]));
    let made = world.withdraw(user, &invoice, None).await.unwrap();
    world.reaches(user, &made.withdrawal_id, State::Failed).await
}

#[tokio::test]
async fn a_failed_withdrawal_is_replaced_once_and_each_names_the_other() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let first = failed(&world, &user).await;
    let invoice = world.outside_invoice(&user, 100_000).await;
    let request_of = request(&world, &first.withdrawal_id, &invoice);
    let second = replace(&world, &user, request_of.clone()).await.unwrap();
    assert_eq!(second.replaces, first.withdrawal_id);
    world.reaches(&user, &second.withdrawal_id, State::Succeeded).await;
    let first = world.withdrawal(&user, &first.withdrawal_id).await;
    assert_eq!((first.state(), &first.replaced_by), (State::Failed, &second.withdrawal_id));
    // The same request again shows it; another one comes too late.
    let again = replace(&world, &user, request_of.clone()).await.unwrap();
    assert_eq!(again.withdrawal_id, second.withdrawal_id);
    let other = world.outside_invoice(&user, 100_000).await;
    let late = replace(&world, &user, request(&world, &first.withdrawal_id, &other)).await;
    assert_eq!(fact(late.clone(), "state"), "replaced");
    assert_eq!(refusal(late), (Code::FailedPrecondition, "WITHDRAWAL_STATE".to_owned()));
    let reused = ReplaceWithdrawalInvoiceRequest { invoice: other, ..request_of };
    assert_eq!(refusal(replace(&world, &user, reused).await).1, "REQUEST_ID_REUSED");
    assert_eq!(world.balance(&user).await, (899_900, 0));
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_replacements_at_once_one_is_made() {
    let world = world().await;
    let replica = world.replica().await;
    let user = world.rich(1_000_000).await;
    let first = failed(&world, &user).await;
    let mut invoices = Vec::new();
    for _ in 0..12 {
        invoices.push(world.outside_invoice(&user, 100_000).await);
    }
    let calls = invoices.iter().enumerate().map(|(place, invoice)| {
        let server = if place % 2 == 0 { &world } else { &replica };
        replace(server, &user, request(server, &first.withdrawal_id, invoice))
    });
    let answers = futures_util::future::join_all(calls).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1, "{made:?}");
    for refused in refused {
        assert_eq!(refusal(refused).1, "WITHDRAWAL_STATE");
    }
    assert_eq!(world.count("SELECT count(*) FROM withdrawals WHERE replaces IS NOT NULL").await, 1);
    world.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_replacement_at_once_is_answered_the_same_every_time() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let first = failed(&world, &user).await;
    let invoice = world.outside_invoice(&user, 100_000).await;
    let request = request(&world, &first.withdrawal_id, &invoice);
    let calls = (0..12).map(|_| replace(&world, &user, request.clone()));
    let answers = futures_util::future::join_all(calls).await;
    let ids: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().withdrawal_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    world.assert_sound().await;
}

#[tokio::test]
async fn only_what_failed_is_replaced_by_an_invoice_of_the_same_amount() {
    let world = world().await;
    let (user, eve) = (world.rich(1_000_000).await, world.rich(1_000_000).await);
    let first = failed(&world, &user).await;
    let less = world.outside_invoice(&user, 99_999).await;
    let refused = replace(&world, &user, request(&world, &first.withdrawal_id, &less)).await;
    assert_eq!(fact(refused.clone(), "problem"), "other-amount");
    assert_eq!(refusal(refused).1, "INVOICE_REFUSED");
    let refused = replace(&world, &user, request(&world, &first.withdrawal_id, &first.invoice)).await;
    assert_eq!(refusal(refused).1, "INVOICE_ALREADY_USED");
    // It went to no address that could be asked again.
    let refused = replace(&world, &user, request(&world, &first.withdrawal_id, "")).await;
    assert_eq!(refusal(refused).1, "FIELDS_INVALID");
    let invoice = world.outside_invoice(&user, 100_000).await;
    let foreign = replace(&world, &eve, request(&world, &first.withdrawal_id, &invoice)).await;
    assert_eq!(refusal(foreign), (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned()));
    let paid = world.withdraw(&user, &invoice, None).await.unwrap();
    world.reaches(&user, &paid.withdrawal_id, State::Succeeded).await;
    let other = world.outside_invoice(&user, 100_000).await;
    let refused = replace(&world, &user, request(&world, &paid.withdrawal_id, &other)).await;
    assert_eq!(fact(refused.clone(), "state"), "succeeded");
    assert_eq!(refusal(refused).1, "WITHDRAWAL_STATE");
    // A refusal uses nothing up.
    replace(&world, &user, request(&world, &first.withdrawal_id, &other)).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn what_went_to_an_address_is_replaced_by_asking_it_again() {
    let payee = Payee::start().await;
    let world = world_with(|config| payee.known_to(config)).await;
    let user = world.rich(1_000_000).await;
    assert!(world.node().script([fails(), fails()]));
    let mut ids = vec![world.send(&user, ALICE, 100_000).await.unwrap().withdrawal_id];
    for _ in 0..2 {
        let last = ids.last().unwrap().clone();
        world.reaches(&user, &last, State::Failed).await;
        let next = replace(&world, &user, request(&world, &last, "")).await.unwrap();
        assert_eq!(
            (next.lightning_address.as_str(), next.amount_msat, &next.replaces),
            (ALICE, 100_000, &last)
        );
        ids.push(next.withdrawal_id);
    }
    world.reaches(&user, ids.last().unwrap(), State::Succeeded).await;
    assert_eq!(payee.lnurl.invoices(), 3);
    assert_eq!(world.balance(&user).await, (899_900, 0));
    world.assert_sound().await;
}

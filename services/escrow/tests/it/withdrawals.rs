//! CreateWithdrawal, GetWithdrawal, ListWithdrawals.

use std::time::Duration;

use poa_common::{Msat, WithdrawalId};
use poa_payment::simulated::{Answer, Fault, OutsideInvoice, PayEffect, Resolution};
use poa_payment::{PaymentHash, Preimage};
use poa_proto::escrow::v1::{
    CreateWithdrawalRequest, GetWithdrawalRequest, ListWithdrawalsRequest, ledger_entry, withdrawal,
};
use tonic::Code;

use crate::world::{World, fact, refusal, with, world, world_with};

fn preimage_opens(shown: &withdrawal::State, preimage: &[u8], hash: &[u8]) -> bool {
    let opened = Preimage::new(preimage.try_into().unwrap()).hash();
    *shown == withdrawal::State::Succeeded && PaymentHash::try_from(hash) == Ok(opened)
}

#[tokio::test]
async fn a_withdrawal_is_paid_and_the_rest_of_the_fee_limit_comes_back() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let invoice = world.outside_invoice(&user, 500_000).await;
    let made = world.withdraw(&user, &invoice, None).await.unwrap();
    assert_eq!((made.amount_msat, made.fee_limit_msat), (500_000, 5_000));
    let paid = world.reaches(&user, &made.withdrawal_id, withdrawal::State::Succeeded).await;
    // The simulated route takes a tenth of a per cent.
    assert_eq!(paid.fee_msat, 500);
    assert!(preimage_opens(&paid.state(), &paid.preimage, &paid.payment_hash));
    assert_eq!(world.balance(&user).await, (499_500, 0));
    let kinds: Vec<_> = world.entries(&user).await.iter().map(|entry| entry.kind()).collect();
    use ledger_entry::Kind;
    assert_eq!(kinds, [Kind::WithdrawReturn, Kind::Withdraw, Kind::WithdrawReserve, Kind::Deposit]);
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
    world.assert_sound().await;
}

#[tokio::test]
async fn the_same_request_again_shows_the_withdrawal_as_it_is() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let invoice = world.outside_invoice(&user, 100_000).await;
    let request = CreateWithdrawalRequest {
        request_id: world.request_id(),
        invoice,
        fee_limit_msat: Some(1_000),
        ..Default::default()
    };
    let ask = async |request: CreateWithdrawalRequest, token: &str| {
        let answer = world.escrow().create_withdrawal(with(token, request)).await?;
        Ok::<_, tonic::Status>(answer.into_inner().withdrawal.unwrap())
    };
    let first = ask(request.clone(), &user.token).await.unwrap();
    world.reaches(&user, &first.withdrawal_id, withdrawal::State::Succeeded).await;
    // Long after the invoice has expired.
    world.clock.advance(Duration::from_secs(7_200));
    let user = world.again(&user);
    let again = ask(request.clone(), &user.token).await.unwrap();
    assert_eq!(
        (again.withdrawal_id, again.state),
        (first.withdrawal_id, withdrawal::State::Succeeded.into())
    );
    let other = CreateWithdrawalRequest { fee_limit_msat: Some(2_000), ..request };
    assert_eq!(refusal(ask(other, &user.token).await), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    assert_eq!(world.node().payments_taken().await.unwrap(), 1);
}

#[tokio::test]
async fn an_invoice_is_paid_once_over_all_accounts() {
    let world = world().await;
    let (user, other) = (world.rich(1_000_000).await, world.rich(1_000_000).await);
    let invoice = world.outside_invoice(&user, 100_000).await;
    world.withdraw(&user, &invoice, None).await.unwrap();
    let used = (Code::AlreadyExists, "INVOICE_ALREADY_USED".to_owned());
    assert_eq!(refusal(world.withdraw(&user, &invoice, None).await), used);
    assert_eq!(refusal(world.withdraw(&other, &invoice, None).await), used);
    assert_eq!(world.balance(&other).await, (1_000_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn amount_and_fee_limit_must_both_be_covered() {
    let world = world().await;
    let user = world.rich(100_000).await;
    let invoice = world.outside_invoice(&user, 99_000).await;
    let refused = world.withdraw(&user, &invoice, Some(1_001)).await;
    assert_eq!(fact(refused.clone(), "needed_msat"), "100001");
    assert_eq!(refusal(refused), (Code::FailedPrecondition, "INSUFFICIENT_FUNDS".to_owned()));
    // A refusal uses neither the invoice nor the balance up.
    let made = world.withdraw(&user, &invoice, Some(1_000)).await.unwrap();
    world.reaches(&user, &made.withdrawal_id, withdrawal::State::Succeeded).await;
    world.assert_sound().await;
}

#[tokio::test]
async fn an_account_has_so_many_withdrawals_on_their_way_and_no_more() {
    const LIMIT: usize = 3;
    let world = world_with(|config| {
        config.withdrawals.max_live = 3;
        // The first is with the node, the rest waits for room: reserved and dispatched count alike.
        config.withdrawals.max_in_flight = 1;
    })
    .await;
    let (user, other) = (world.rich(1_000_000).await, world.rich(1_000_000).await);
    let hangs = Fault::Pay { effect: PayEffect::StaysInFlight, answer: Answer::Given };
    assert!(world.node().script([hangs]));
    let mut made = Vec::new();
    for _ in 0..LIMIT {
        let invoice = world.outside_invoice(&user, 10_000).await;
        made.push(world.withdraw(&user, &invoice, None).await.unwrap());
        world.reaches(&user, &made[0].withdrawal_id, withdrawal::State::InFlight).await;
    }
    // All at once: they are counted one by one, and in one batch too.
    let mut invoices = Vec::new();
    for _ in 0..8 {
        invoices.push(world.outside_invoice(&user, 10_000).await);
    }
    let calls = invoices.iter().map(|invoice| world.withdraw(&user, invoice, None));
    for refused in futures_util::future::join_all(calls).await {
        assert_eq!(fact(refused.clone(), "limit"), "3");
        assert_eq!(refusal(refused), (Code::ResourceExhausted, "QUOTA_EXCEEDED".to_owned()));
    }
    assert_eq!(world.count("SELECT count(*) FROM withdrawals").await, 3);
    let invoice = world.outside_invoice(&other, 10_000).await;
    world.withdraw(&other, &invoice, None).await.unwrap();
    // Once they have ended there is room again, and the refused invoices are not used up.
    let hash = PaymentHash::try_from(made[0].payment_hash.as_slice()).unwrap();
    world.node().resolve_payment(hash, Resolution::Settles).await.unwrap();
    for row in &made {
        world.reaches(&user, &row.withdrawal_id, withdrawal::State::Succeeded).await;
    }
    world.withdraw(&user, &invoices[0], None).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn an_invoice_that_cannot_be_paid_is_refused_with_the_reason() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let refused = async |world: &World, invoice: &str| {
        let refused = world.withdraw(&world.again(&user), invoice, None).await;
        assert_eq!(refusal(refused.clone()), (Code::InvalidArgument, "INVOICE_REFUSED".to_owned()));
        fact(refused, "problem")
    };
    assert_eq!(refused(&world, "lnsb1nonsense").await, "malformed");
    // From the examples of BOLT11: a mainnet invoice.
    let mainnet = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
    assert_eq!(refused(&world, mainnet).await, "network");
    let greedy = OutsideInvoice { min_final_cltv: 433, ..OutsideInvoice::of(Msat::new(5_000)) };
    let greedy = world.node().outside_invoice(greedy).await.unwrap();
    assert_eq!(refused(&world, &greedy.bolt11).await, "cltv");
    let late = world.outside_invoice(&user, 5_000).await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(refused(&world, &late).await, "expired");
    assert_eq!(world.balance(&world.again(&user)).await, (1_000_000, 0));
    assert_eq!(world.count("SELECT count(*) FROM withdrawals").await, 0);
}

#[tokio::test]
async fn fields_out_of_bounds_are_refused() {
    let world = world().await;
    let user = world.rich(1_000_000).await;
    let invoice = world.outside_invoice(&user, 5_000).await;
    assert_eq!(refusal(world.withdraw(&user, &invoice, Some(-1)).await).1, "FIELDS_INVALID");
    assert_eq!(refusal(world.withdraw(&user, &"l".repeat(4_097), None).await).1, "FIELDS_INVALID");
    assert_eq!(refusal(world.withdraw(&user, "", None).await).1, "FIELDS_INVALID");
    let narrow = world.token(user.account, "money.read money.deposit", 600);
    let request = CreateWithdrawalRequest {
        request_id: world.request_id(),
        invoice,
        fee_limit_msat: None,
        ..Default::default()
    };
    let refused = world.escrow().create_withdrawal(with(&narrow, request)).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
}

#[tokio::test]
async fn a_list_holds_the_callers_own_newest_first_in_pages() {
    let world = world().await;
    let (user, eve) = (world.rich(1_000_000).await, world.user());
    let mut made = Vec::new();
    for _ in 0..3 {
        world.clock.advance(Duration::from_millis(1));
        let invoice = world.outside_invoice(&user, 10_000).await;
        made.push(world.withdraw(&user, &invoice, None).await.unwrap().withdrawal_id);
    }
    made.reverse();
    let list = async |token: &str, page_token: &str| {
        let request = ListWithdrawalsRequest { page_size: 2, page_token: page_token.to_owned() };
        let answer = world.escrow().list_withdrawals(with(token, request)).await?.into_inner();
        let ids: Vec<String> = answer.withdrawals.into_iter().map(|row| row.withdrawal_id).collect();
        Ok::<_, tonic::Status>((ids, answer.next_page_token))
    };
    let (first, next) = list(&user.token, "").await.unwrap();
    assert_eq!(first, made[..2]);
    assert_eq!(list(&user.token, &next).await.unwrap(), (made[2..].to_vec(), String::new()));
    let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned());
    assert_eq!(refusal(list(&eve.token, &next).await), invalid);
    assert_eq!(refusal(list(&user.token, "nonsense").await), invalid);
    assert_eq!(list(&eve.token, "").await.unwrap(), (Vec::new(), String::new()));

    let get = async |token: &str, id: &str| {
        let request = GetWithdrawalRequest { withdrawal_id: id.to_owned() };
        world.escrow().get_withdrawal(with(token, request)).await
    };
    get(&user.token, &made[0]).await.unwrap();
    let absent = (Code::NotFound, "RESOURCE_NOT_FOUND".to_owned());
    assert_eq!(refusal(get(&eve.token, &made[0]).await), absent);
    assert_eq!(refusal(get(&user.token, &world.nobody::<WithdrawalId>()).await), absent);
    assert_eq!(refusal(get(&user.token, "wdr_1").await).1, "FIELDS_INVALID");
}

//! SetFeeSchedule, ListFeeSchedules, QuoteFee, and what follows from them: the fee that was estimated is the fee that is
//! signed, held and taken.

use std::time::Duration;

use poa_common::{AccountId, Timestamp};
use poa_proto::escrow::v1::{
    EstimateFeesRequest, EstimateFeesResponse, FeeSchedule, ListFeeSchedulesRequest,
    ListFeeSchedulesResponse, QuoteFeeRequest, QuoteFeeResponse, SetFeeScheduleRequest,
};
use proof_of_agent::TermsOffered;
use tonic::{Code, Status};

use crate::chain::{Job, capture, hold, offer_of, receipts, refund, terms};
use crate::world::{User, World, refusal, with, world};

const PRICE: i64 = 100_999;
/// Everybody.
const ALL: Option<AccountId> = None;

fn moment(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).unwrap(),
    }
}

async fn set(
    world: &World,
    account: Option<AccountId>,
    points: i32,
    start: Option<Timestamp>,
) -> Result<FeeSchedule, Status> {
    let request = SetFeeScheduleRequest {
        account_id: account.map(|id| id.to_string()).unwrap_or_default(),
        fee_basis_points: Some(points),
        start_time: start.map(moment),
    };
    let answer = world.admin().set_fee_schedule(world.as_operator(request)).await?;
    Ok(answer.into_inner().schedule.unwrap())
}

async fn list(world: &World, page_size: i32, page_token: &str) -> ListFeeSchedulesResponse {
    let request = ListFeeSchedulesRequest { page_size, page_token: page_token.to_owned() };
    world.admin().list_fee_schedules(world.as_operator(request)).await.unwrap().into_inner()
}

async fn estimate(world: &World, user: &User) -> EstimateFeesResponse {
    let user = world.again(user);
    let request = EstimateFeesRequest { price_msat: PRICE };
    world.escrow().estimate_fees(with(&user.token, request)).await.unwrap().into_inner()
}

async fn quote(world: &World, user: &User) -> QuoteFeeResponse {
    let request = QuoteFeeRequest { payer_id: user.account.to_string(), price_msat: PRICE };
    world.internal().quote_fee(request).await.unwrap().into_inner()
}

/// A task whose terms name this fee.
fn job_at(world: &World, payer: &User, points: i32) -> Job {
    let (escrow, task) = (world.env.new_id(), world.env.new_id());
    let terms = terms(world, payer.account, escrow, PRICE);
    let fee_bps = u32::try_from(points).unwrap();
    let fee_msat = terms.price_msat.share_floor(fee_bps).unwrap();
    let payee_net_msat = terms.price_msat.checked_sub(fee_msat).unwrap();
    let terms = TermsOffered { fee_bps, fee_msat, payee_net_msat, ..terms };
    Job {
        escrow,
        task,
        payer: world.again(payer),
        offer: offer_of(world, task, poa_common::Network::Simulated, terms),
    }
}

async fn is_held(world: &World, payer: &User, points: i32) -> bool {
    let job = job_at(world, payer, points);
    match hold(world, &job).await {
        Ok(_) => {
            refund(world, &job).await.unwrap();
            true
        }
        Err(refused) => {
            assert_eq!(refusal::<()>(Err(refused)), (Code::InvalidArgument, "FIELDS_INVALID".to_owned()));
            false
        }
    }
}

#[tokio::test]
async fn the_fee_of_the_estimate_is_that_of_the_quote_the_terms_and_the_settlement_over_a_change() {
    let world = world().await;
    let (payer, payee) = (world.rich(1_000_000).await, world.user());
    let change = world.env.now() + Duration::from_secs(30);
    set(&world, ALL, 777, Some(change)).await.unwrap();
    let before = estimate(&world, &payer).await;
    assert_eq!((before.fee_basis_points, before.fee_msat, before.payee_msat), (500, 5_049, 95_950));
    assert_eq!((before.change_time, before.next_fee_basis_points), (Some(moment(change)), 777));
    let asked = quote(&world, &payer).await;
    assert_eq!((asked.fee_msat, asked.payee_msat), (before.fee_msat, before.payee_msat));
    assert_eq!((asked.fee_basis_points, asked.valid_ms), (500, 10_000));

    // Offered before the change, held after it, settled long after it.
    let job = job_at(&world, &payer, asked.fee_basis_points);
    world.clock.advance(Duration::from_secs(31));
    let held = hold(&world, &job).await.unwrap().escrow.unwrap();
    assert_eq!(held.fee_msat, before.fee_msat);
    let after = estimate(&world, &payer).await;
    assert_eq!((after.fee_basis_points, after.fee_msat, after.change_time), (777, 7_847, None));
    world.clock.advance(Duration::from_secs(500));
    capture(&world, &job, receipts(&world, &job, payee.account)).await.unwrap();
    assert_eq!(world.balance(&world.again(&payee)).await, (before.payee_msat, 0));
    let taken = "SELECT available_msat FROM accounts WHERE kind = 'fees'";
    assert_eq!(world.count(taken).await, before.fee_msat);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_fee_is_accepted_for_a_minute_after_its_end_and_not_before_its_start() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    let change = world.env.now() + Duration::from_secs(20);
    set(&world, ALL, 400, Some(change)).await.unwrap();
    assert!(is_held(&world, &payer, 500).await);
    assert!(!is_held(&world, &payer, 400).await);
    world.clock.advance(Duration::from_secs(20));
    assert!(is_held(&world, &payer, 400).await);
    world.clock.advance(Duration::from_secs(59));
    assert!(is_held(&world, &payer, 500).await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!is_held(&world, &payer, 500).await);
    assert!(is_held(&world, &payer, 400).await);
    assert_eq!(world.balance(&world.again(&payer)).await, (1_000_000, 0));
    world.assert_sound().await;
}

#[tokio::test]
async fn an_account_may_have_a_fee_of_its_own_until_it_ends() {
    let world = world().await;
    let (special, other) = (world.rich(1_000_000).await, world.user());
    let own = Some(special.account);
    let set_now = set(&world, own, 0, None).await.unwrap();
    assert_eq!(set_now.start_time, Some(moment(world.env.now())));
    assert_eq!(estimate(&world, &special).await.fee_msat, 0);
    assert_eq!(estimate(&world, &other).await.fee_basis_points, 500);
    // A free task is held at once: a fee that was read a moment before refuses nothing.
    assert!(is_held(&world, &special, 0).await);
    // Everybody's changes under it without effect, and holds once its own has ended.
    set(&world, ALL, 300, None).await.unwrap();
    assert_eq!(quote(&world, &special).await.fee_basis_points, 0);
    assert_eq!(quote(&world, &other).await.fee_basis_points, 300);
    let end = world.env.now() + Duration::from_secs(4);
    set(&world, own, -1, Some(end)).await.unwrap();
    assert_eq!(quote(&world, &special).await.valid_ms, 4_000);
    let shown = estimate(&world, &special).await;
    assert_eq!((shown.change_time, shown.next_fee_basis_points), (Some(moment(end)), 300));
    world.clock.advance(Duration::from_secs(4));
    assert_eq!(estimate(&world, &special).await.fee_basis_points, 300);
    assert!(is_held(&world, &special, 300).await);
    world.assert_sound().await;
}

#[tokio::test]
async fn what_has_begun_is_never_changed_and_what_has_not_is_replaced() {
    let world = world().await;
    let now = world.env.now();
    let start = now + Duration::from_secs(60);
    let first = set(&world, ALL, 400, Some(start)).await.unwrap();
    assert_eq!(set(&world, ALL, 400, Some(start)).await.unwrap(), first);
    assert_eq!(set(&world, ALL, 350, Some(start)).await.unwrap().fee_basis_points, 350);
    // From now on, twice: the same.
    let at_once = set(&world, ALL, 450, None).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(set(&world, ALL, 450, None).await.unwrap(), at_once);
    world.clock.advance(Duration::from_secs(60));
    // The same again, although it has begun.
    assert_eq!(set(&world, ALL, 350, Some(start)).await.unwrap().fee_basis_points, 350);
    let started = (Code::FailedPrecondition, "FEE_STARTED".to_owned());
    assert_eq!(refusal(set(&world, ALL, 300, Some(start)).await), started);
    let malformed = (Code::InvalidArgument, "FIELDS_INVALID".to_owned());
    for (account, points, start) in [
        (ALL, 300, Some(now + Duration::from_secs(1))),
        (ALL, -1, None),
        (ALL, -2, None),
        (ALL, 10_001, None),
        (ALL, 300, Some(now + Duration::from_secs(6 * 366 * 24 * 3_600))),
    ] {
        assert_eq!(refusal(set(&world, account, points, start).await), malformed, "{points} {start:?}");
    }
    let nobody = SetFeeScheduleRequest {
        account_id: "acct_1".to_owned(),
        fee_basis_points: Some(300),
        start_time: None,
    };
    // A message that says nothing is no fee of nothing.
    for wrong in [nobody, SetFeeScheduleRequest::default()] {
        assert_eq!(refusal(world.admin().set_fee_schedule(world.as_operator(wrong)).await), malformed);
    }
    let user = world.user();
    let asked = SetFeeScheduleRequest { fee_basis_points: Some(0), ..Default::default() };
    assert_eq!(
        refusal(world.admin().set_fee_schedule(with(&user.token, asked)).await).0,
        Code::PermissionDenied
    );
    assert_eq!(world.count("SELECT count(*) FROM fee_schedules").await, 2);
    world.assert_sound().await;
}

#[tokio::test]
async fn the_list_shows_what_is_in_force_or_will_be_everybodys_first() {
    let world = world().await;
    let whole = list(&world, 0, "").await;
    let configured = FeeSchedule { account_id: String::new(), fee_basis_points: 500, start_time: None };
    assert_eq!(whole.schedules, [configured]);
    let (one, two) = (world.user().account, world.user().account);
    let later = world.env.now() + Duration::from_secs(60);
    set(&world, ALL, 400, Some(later)).await.unwrap();
    for account in [one, two] {
        set(&world, Some(account), 100, None).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(1));
    // The first one's is over, the second one's will be.
    set(&world, Some(one), -1, None).await.unwrap();
    set(&world, Some(two), -1, Some(later)).await.unwrap();
    let shown = |page: &ListFeeSchedulesResponse| {
        page.schedules.iter().map(|it| (it.account_id.clone(), it.fee_basis_points)).collect::<Vec<_>>()
    };
    let (nobody, two) = (String::new(), two.to_string());
    let expected = [(nobody.clone(), 500), (nobody, 400), (two.clone(), 100), (two, -1)];
    assert_eq!(shown(&list(&world, 0, "").await), expected);
    let (mut paged, mut token) = (Vec::new(), String::new());
    for _ in 0..expected.len() {
        let page = list(&world, 1, &token).await;
        paged.extend(shown(&page));
        token = page.next_page_token;
    }
    assert_eq!((paged.as_slice(), token.as_str()), (expected.as_slice(), ""));
    // Once everybody's has begun the configured one holds no longer.
    world.clock.advance(Duration::from_secs(60));
    let (first, count) =
        (list(&world, 1, "").await.schedules.remove(0), list(&world, 0, "").await.schedules.len());
    assert_eq!((first.fee_basis_points, count), (400, 1));
    let wrong = ListFeeSchedulesRequest { page_size: 0, page_token: "x".to_owned() };
    let refused = world.admin().list_fee_schedules(world.as_operator(wrong)).await;
    assert_eq!(refusal(refused).1, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_replica_that_has_not_read_a_new_fee_refuses_nobody() {
    let world = world().await;
    let replica = world.replica().await;
    let payer = world.rich(1_000_000).await;
    // The replica has the old fees in its memory.
    assert!(is_held(&replica, &payer, 500).await);
    set(&world, ALL, 250, None).await.unwrap();
    assert!(is_held(&replica, &payer, 250).await);
    assert!(is_held(&replica, &payer, 500).await, "the old fee has its minute");
}

#[tokio::test]
async fn only_task_asks_for_quotes() {
    let world = world().await;
    let user = world.user();
    let request = QuoteFeeRequest { payer_id: user.account.to_string(), price_msat: PRICE };
    let refused = world.internal_as("attestation").quote_fee(request.clone()).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "AUDIENCE_MISMATCH".to_owned()));
    for wrong in [
        QuoteFeeRequest { payer_id: "me".to_owned(), ..request.clone() },
        QuoteFeeRequest { price_msat: 0, ..request },
    ] {
        assert_eq!(refusal(world.internal().quote_fee(wrong).await).1, "FIELDS_INVALID");
    }
}

#[tokio::test]
async fn the_audit_names_an_escrow_whose_fee_was_never_in_force() {
    let world = world().await;
    let payer = world.rich(1_000_000).await;
    set(&world, ALL, 300, None).await.unwrap();
    set(&world, Some(payer.account), 200, None).await.unwrap();
    world.clock.advance(Duration::from_secs(900));
    let payer = world.again(&payer);
    hold(&world, &job_at(&world, &payer, 200)).await.unwrap();
    world.assert_sound().await;
    let mut sql = world.sql().await;
    for (points, sound) in [(300, false), (250, false), (200, true)] {
        let change =
            "UPDATE escrows SET fee_basis_points = $1, fee_msat = div(amount_msat::numeric * $1, 10000),
                                         payee_msat = amount_msat - div(amount_msat::numeric * $1, 10000)";
        sqlx::query(change).bind(points).execute(&mut sql).await.unwrap();
        let broken = world.audit().await.checks.into_iter().filter(|check| check.violations > 0);
        let expected: &[&str] = if sound { &[] } else { &["escrows_have_a_fee_that_was_in_force"] };
        assert_eq!(broken.map(|check| check.name).collect::<Vec<_>>(), expected, "{points}");
    }
}

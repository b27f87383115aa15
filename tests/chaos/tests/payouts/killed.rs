//! Real kills of the escrow process, in a mesh of processes, while payouts are on their way.

use std::time::{Duration, Instant};

use poa_e2e::Deployment;
use poa_sdk::api::auth::RegisterRequest;
use poa_sdk::api::escrow::{CreateDepositRequest, CreateWithdrawalRequest, withdrawal};
use poa_sdk::{Admin, Client, Code, Error, Session, system_env};
use poa_testkit::SeededEntropy;
use tokio::task::LocalSet;

use crate::{ADDRESS, asked_for, node};

const KILLS: u64 = 50;
/// Payouts that are asked for before each kill.
const WAVE: u64 = 4;
/// The latest moment after the first of them at which the process is killed, in microseconds.
const KILLED_WITHIN_US: u64 = 150_000;
/// How long a call may take in all, with restarts in between.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the payer begins with, in msat.
const MEANS: i64 = 1_000_000_000;
/// What each payout sends, in msat.
const AMOUNT: i64 = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn payouts_over_kills_of_the_process_are_made_once() {
    let kills = asked_for("POA_PAYOUT_KILLS").unwrap_or(KILLS);
    let seed = asked_for("POA_PAYOUT_SEED").unwrap_or(1);
    let since = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let outside = crate::addresses(folder.path(), system_env()).await;
    let (server, roots) = (outside.https().address().to_string(), folder.path().join("roots.pem"));
    let mut mesh = Deployment::separate_with(&[
        ("escrow", "POA__EGRESS__SIMULATED_SERVER", &server),
        ("escrow", "POA__EGRESS__SIMULATED_ROOTS", &roots.to_string_lossy()),
        ("escrow", "POA__WITHDRAWALS__POLL_MS", "20"),
        ("escrow", "POA__WITHDRAWALS__MAX_LIVE", "10000"),
        ("escrow", "POA__DEPOSITS__MAX_OPEN", "10000"),
        // Whatever was told to the node twice and failed is given back within the test.
        ("escrow", "POA__WITHDRAWALS__PAYMENT_SECONDS", "10"),
        ("escrow", "POA__WITHDRAWALS__LOST_MARGIN_SECONDS", "1"),
    ])
    .await;
    let client = Client::connect(mesh.endpoint().as_str()).expect("an endpoint");
    let (payer, payee) = (sign_up(&client, "alice").await, sign_up(&client, "bob").await);
    deposit_and_pay(&payer, MEANS).await;
    let dice = SeededEntropy::new(seed);
    let killing = async {
        let mut payouts = Vec::new();
        for _ in 0..kills {
            for _ in 0..WAVE {
                let kind = dice.next_u64() % 10;
                payouts.push(tokio::task::spawn_local(payout(payer.clone(), payee.clone(), kind)));
            }
            tokio::time::sleep(Duration::from_micros(dice.next_u64() % KILLED_WITHIN_US)).await;
            mesh.kill_and_restart("escrow").await;
        }
        futures_util::future::try_join_all(payouts).await.expect("a payout")
    };
    let ended: Vec<Ended> = LocalSet::new().run_until(killing).await;
    let sum = |pick: fn(&Ended) -> i64| -> i64 { ended.iter().map(pick).sum() };
    let (out, within) = (sum(|ended| ended.out), sum(|ended| ended.within));
    let balance = insist(async || payer.balance().await).await;
    assert_eq!((balance.available_msat, balance.held_msat), (MEANS - out - within, 0));
    let balance = insist(async || payee.balance().await).await;
    assert_eq!((balance.available_msat, balance.held_msat), (within, 0));
    // By the node's own file: no hash was paid twice, and nothing but what was asked for.
    let journal = mesh.keys_folder().with_file_name("lightning").join("node.journal");
    let mut paid: Vec<i64> = node::payments(&journal).into_values().collect();
    let mut wanted: Vec<i64> = ended.iter().map(|ended| ended.out).filter(|out| *out > 0).collect();
    paid.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(paid, wanted);
    let token = std::fs::read_to_string(mesh.admin_token_file()).expect("the operator's token");
    let admin = Admin::connect(mesh.admin_endpoint().as_str(), &token).expect("an admin endpoint");
    let audit = insist(async || admin.audit_ledger().await).await;
    assert!(audit.clean, "{:#?}", audit.checks);
    eprintln!(
        "\n== payouts over {kills} kills of the escrow process (seed {seed}, {:.1?})\n{} payouts: {} to the network, {} \
         within the ledger, {} failed; invoices of Lightning addresses {}; double payments 0, lost 0, audit clean\n",
        since.elapsed(),
        ended.len(),
        wanted.len(),
        ended.iter().filter(|ended| ended.within > 0).count(),
        ended.iter().filter(|ended| ended.out + ended.within == 0).count(),
        outside.invoices(),
    );
}

/// What a payout has come to, in msat.
struct Ended {
    out: i64,
    within: i64,
}

/// Asks until it hears, and looks until it has ended: one payout, whatever dies meanwhile.
async fn payout(payer: Session, payee: Session, kind: u64) -> Ended {
    let mut request = CreateWithdrawalRequest { request_id: request_id(&payer), ..Default::default() };
    match kind {
        0 | 1 => (request.lightning_address, request.amount_msat) = (ADDRESS.to_owned(), AMOUNT),
        2 | 3 => {
            let deposit = CreateDepositRequest { request_id: request_id(&payee), amount_msat: AMOUNT };
            request.invoice = insist(async || payee.create_deposit(deposit.clone()).await).await.invoice;
        }
        _ => request.invoice = insist(async || payer.faucet_invoice(AMOUNT).await).await,
    }
    let made = insist(async || payer.create_withdrawal(request.clone()).await).await;
    let end = Instant::now() + PATIENCE;
    loop {
        let read = insist(async || payer.withdrawal(&made.withdrawal_id).await).await;
        match read.state() {
            withdrawal::State::Succeeded if read.internal => {
                return Ended { out: 0, within: read.amount_msat };
            }
            withdrawal::State::Succeeded => {
                return Ended { out: read.amount_msat + read.fee_msat, within: 0 };
            }
            // The node finds every route, but a busy machine may take longer than the node may try.
            withdrawal::State::Failed => return Ended { out: 0, within: 0 },
            _ => {}
        }
        assert!(Instant::now() < end, "{} has no end", made.withdrawal_id);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn deposit_and_pay(session: &Session, amount_msat: i64) {
    let request = CreateDepositRequest { request_id: request_id(session), amount_msat };
    let made = session.create_deposit(request).await.expect("a deposit");
    session.faucet_pay(&made.invoice).await.expect("the faucet");
    let end = Instant::now() + PATIENCE;
    while session.balance().await.expect("a balance").available_msat != amount_msat {
        assert!(Instant::now() < end, "the deposit is not credited");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn sign_up(client: &Client, username: &str) -> Session {
    let request = RegisterRequest {
        username: username.to_owned(),
        password: "correct horse battery staple".to_owned(),
        ..RegisterRequest::default()
    };
    let signed_in = client.register(request).await.expect("an account");
    client.session(signed_in.tokens, None)
}

fn request_id(session: &Session) -> String {
    let random = session.client().env().random();
    uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string()
}

/// Makes the same call until it is answered.
async fn insist<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let why = match tokio::time::timeout(Duration::from_secs(5), call()).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(error)) => {
                let open = matches!(
                    error.code(),
                    Some(Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
                );
                // The address was not heard while its asker died: nothing was written. And many ask at once here.
                let again = ["ADDRESS_REFUSED", "RATE_LIMITED"].contains(&error.reason());
                assert!(open || again, "{error}");
                error.to_string()
            }
            Err(_elapsed) => "no answer".to_owned(),
        };
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {why}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

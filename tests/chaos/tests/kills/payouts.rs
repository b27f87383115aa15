//! Stories of sats that go out: to Lightning addresses, within the ledger, by another invoice, by themselves, and not while
//! payouts are paused.

use std::path::Path;

use poa_common::Msat;
use poa_payment::simulated::{Options, OutsideInvoice, SimulatedNode};
use poa_sdk::api::escrow::{
    CreateDepositRequest, CreateWithdrawalRequest, ListWithdrawalsRequest, ReplaceWithdrawalInvoiceRequest,
    SetPayoutDestinationRequest, Withdrawal, withdrawal,
};
use poa_sdk::{Session, system_env};
use poa_testkit::LnurlServer;

use crate::books::Effect;
use crate::market::{Insisted, Market, insist, until};
use crate::stories::{PAYOUT, ROUTE, withdraw};

/// An address of somebody outside.
const ADDRESS: &str = "alice@pay.example";
/// What is paid within the ledger, in msat.
const WITHIN: i64 = 4_000;
/// From which balance on an account is paid out by itself, and what comes in each time, in msat.
const THRESHOLD: i64 = 40_000;
const INCOME: i64 = 50_000;
/// Automatic payouts of one story: how the first one went is written when the second one is due.
const PAYOUTS: usize = 2;

/// A host of Lightning addresses, with a wallet of the simulated network behind it.
pub(crate) async fn addresses(folder: &Path) -> LnurlServer {
    let options = Options::new(folder.join("wallet.journal"));
    let (wallet, _cannot_send) = SimulatedNode::open(&options, system_env()).expect("a wallet");
    LnurlServer::start(&["pay.example"], move |amount, description_hash| {
        let wallet = wallet.clone();
        let wanted = OutsideInvoice {
            description_hash: Some(description_hash),
            ..OutsideInvoice::of(Msat::new(amount))
        };
        async move { wallet.outside_invoice(wanted).await.expect("an invoice").bolt11 }
    })
    .await
}

/// Waits until a withdrawal has ended.
pub(crate) async fn ended(session: &Session, withdrawal_id: &str) -> Result<Withdrawal, String> {
    until("a withdrawal's end", async || {
        let read = insist("a withdrawal", async || session.withdrawal(withdrawal_id).await).await?;
        let ended = matches!(read.state(), withdrawal::State::Succeeded | withdrawal::State::Failed);
        Ok(ended.then_some(read))
    })
    .await
}

/// Makes a call until it is answered, also where an address was not heard: then nothing was written.
async fn insist_asking(
    what: &'static str,
    call: impl AsyncFn() -> Result<Withdrawal, poa_sdk::Error>,
) -> Result<Withdrawal, Insisted> {
    loop {
        match insist(what, &call).await {
            Err(error) if error.reason() == "ADDRESS_REFUSED" => {}
            answered => return answered,
        }
    }
}

fn paid(ended: &Withdrawal) -> Result<Effect, String> {
    if ended.state() != withdrawal::State::Succeeded || ended.fee_msat != ROUTE {
        return Err(format!("a withdrawal ended otherwise: {ended:?}"));
    }
    Ok(Effect { requester: -(PAYOUT + ROUTE), paid_out: vec![PAYOUT + ROUTE], ..Effect::default() })
}

/// An address is asked for an invoice, which is paid.
pub(crate) async fn to_address(market: &Market) -> Result<Effect, String> {
    let request = CreateWithdrawalRequest {
        request_id: market.request_id(),
        lightning_address: ADDRESS.to_owned(),
        amount_msat: PAYOUT,
        ..Default::default()
    };
    let call = async || market.requester.create_withdrawal(request.clone()).await;
    let made = insist_asking("withdraw to an address", call).await?;
    paid(&ended(&market.requester, &made.withdrawal_id).await?)
}

/// What finds no route under one invoice is paid under another.
pub(crate) async fn replaced(market: &Market) -> Result<Effect, String> {
    let failed = withdraw(market, Some(0)).await?;
    if failed.state() != withdrawal::State::Failed {
        return Err(format!("a withdrawal ended otherwise: {failed:?}"));
    }
    let invoice = insist("an invoice", async || market.requester.faucet_invoice(PAYOUT).await).await?;
    let request = ReplaceWithdrawalInvoiceRequest {
        request_id: market.request_id(),
        withdrawal_id: failed.withdrawal_id,
        invoice,
        fee_limit_msat: None,
    };
    let made = insist("replace", async || market.requester.replace_withdrawal_invoice(request.clone()).await)
        .await?;
    paid(&ended(&market.requester, &made.withdrawal_id).await?)
}

/// The requester pays a deposit of the worker's.
pub(crate) async fn within(market: &Market) -> Result<Effect, String> {
    let request = CreateDepositRequest { request_id: market.request_id(), amount_msat: WITHIN };
    let deposit = insist("deposit", async || market.worker.create_deposit(request.clone()).await).await?;
    let request = CreateWithdrawalRequest {
        request_id: market.request_id(),
        invoice: deposit.invoice,
        ..Default::default()
    };
    let made = insist("withdraw", async || market.requester.create_withdrawal(request.clone()).await).await?;
    let ended = ended(&market.requester, &made.withdrawal_id).await?;
    if !ended.internal || ended.fee_msat != 0 {
        return Err(format!("a withdrawal ended otherwise: {ended:?}"));
    }
    Ok(Effect { requester: -WITHIN, worker: WITHIN, ..Effect::default() })
}

/// Somebody new has sats coming in, and is paid out each time.
pub(crate) async fn paid_out(market: &Market) -> Result<Effect, String> {
    let newcomer = market.newcomer().await?;
    let request = SetPayoutDestinationRequest {
        request_id: market.request_id(),
        lightning_address: ADDRESS.to_owned(),
        automatic_threshold_msat: THRESHOLD,
    };
    insist("set", async || newcomer.set_payout_destination(request.clone()).await).await?;
    let mut out = Vec::new();
    for _ in 0..PAYOUTS {
        let request = CreateDepositRequest { request_id: market.request_id(), amount_msat: INCOME };
        let made = insist("deposit", async || newcomer.create_deposit(request.clone()).await).await?;
        insist("the faucet", async || newcomer.faucet_pay(&made.invoice).await).await?;
        out = until("an automatic payout", async || {
            let request = ListWithdrawalsRequest { page_size: 50, page_token: String::new() };
            let list = insist("a list", async || newcomer.list_withdrawals(request.clone()).await).await?;
            let paid: Vec<i64> = list
                .withdrawals
                .iter()
                .filter(|row| row.state() == withdrawal::State::Succeeded && row.automatic)
                .map(|row| row.amount_msat + row.fee_msat)
                .collect();
            Ok((paid.len() > out.len()).then_some(paid))
        })
        .await?;
    }
    if out.len() != PAYOUTS {
        return Err(format!("paid out otherwise: {out:?}"));
    }
    Ok(Effect { paid_out: out, ..Effect::default() })
}

/// An operator pauses payouts, and lets them go on.
pub(crate) async fn paused(market: &Market) -> Result<Effect, String> {
    for paused in [true, false] {
        let switch =
            insist("the switch", async || market.operator.pause_payouts(paused, "a story").await).await?;
        if switch.paused != paused {
            return Err(format!("the switch stands otherwise: {switch:?}"));
        }
    }
    Ok(Effect::default())
}

//! The stories of sats that come in, and of sats that do not.

use poa_sdk::api::escrow::{CreateDepositRequest, Deposit, deposit::State};

use crate::books::Effect;
use crate::market::{Market, insist, until};

/// What one more deposit brings, in msat.
const MORE: i64 = 3_000;

/// Sats come in from outside, and are credited.
pub(crate) async fn paid(market: &Market) -> Result<Effect, String> {
    credited(market, MORE).await
}

/// As much as this comes in from outside.
pub(crate) async fn credited(market: &Market, amount_msat: i64) -> Result<Effect, String> {
    let made = invoice(market, amount_msat).await?;
    insist("the faucet", async || market.requester.faucet_pay(&made.invoice).await).await?;
    reaches(market, &made, State::Settled).await?;
    Ok(Effect { requester: amount_msat, ..Effect::default() })
}

/// Nobody pays the invoice as long as it can be paid.
pub(crate) async fn unpaid(market: &Market) -> Result<Effect, String> {
    let made = invoice(market, MORE).await?;
    reaches(market, &made, State::Expired).await?;
    Ok(Effect::default())
}

async fn invoice(market: &Market, amount_msat: i64) -> Result<Deposit, String> {
    let request = CreateDepositRequest { request_id: market.request_id(), amount_msat };
    Ok(insist("deposit", async || market.requester.create_deposit(request.clone()).await).await?)
}

async fn reaches(market: &Market, made: &Deposit, state: State) -> Result<(), String> {
    until("the end of a deposit", async || {
        let read = insist("a deposit", async || market.requester.deposit(&made.deposit_id).await).await?;
        Ok((read.state() == state).then_some(()))
    })
    .await
}

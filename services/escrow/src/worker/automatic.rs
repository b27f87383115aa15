//! Pays accounts out by themselves once their balance has reached their threshold.
//!
//! Each payout has a request id that follows from the account and a number, so that it is made once, whoever makes it and
//! wherever it was interrupted: what comes before the reservation has no effect, and what comes after finds the row. The
//! number moves on when that payout has ended. One payout of an account is on its way at a time.

use std::sync::Arc;
use std::time::Duration;

use poa_common::{Msat, ServiceError as _};
use tokio_util::sync::CancellationToken;

use crate::domain::address::LightningAddress;
use crate::domain::destination::{Destination, payout};
use crate::domain::refusal::Refusal;
use crate::domain::withdrawal::State;
use crate::error::Error;
use crate::lnurl::AddressProblem;
use crate::metrics;
use crate::service::Service;
use crate::store::{accounts, payout_destinations, payout_switch, withdrawals};
use crate::withdraw::{self, Amount, Order, To};

/// Accounts that one pass looks at; the next one takes the rest.
const PASS: i64 = 50;
/// How long one account may take: two requests to its host, and a few transactions.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs until the process stops.
pub(super) async fn run(service: Arc<Service>, stopping: CancellationToken) {
    let pause = Duration::from_millis(service.config.payouts.automatic_poll_ms);
    while !stopping.is_cancelled() {
        if let Err(error) = pass(&service, &stopping).await {
            tracing::warn!(%error, "automatic payouts cannot go on");
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One account after the other: an account's host that hangs costs the others a few seconds, and only once in a while.
async fn pass(service: &Service, stopping: &CancellationToken) -> Result<(), Error> {
    if payout_switch::read(&service.db).await?.paused {
        return Ok(());
    }
    let due = payout_destinations::due(&service.db, service.env.now(), PASS).await?;
    for destination in due {
        if stopping.is_cancelled() {
            break;
        }
        let account = destination.account;
        match tokio::time::timeout(PATIENCE, attempt(service, destination)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(account_id = %account, %error, "automatic payout cannot go on"),
            Err(_elapsed) => tracing::warn!(account_id = %account, "an automatic payout did not end in time"),
        }
    }
    Ok(())
}

/// Goes on with the payout of an account's next number, or begins it.
async fn attempt(service: &Service, stored: Destination) -> Result<(), Error> {
    let now = service.env.now();
    let current = stored.clone().at(now);
    let (request_id, _) = current.next_request();
    let known = withdrawals::find_request(&service.db, current.account, request_id).await?;
    if known.as_ref().is_some_and(|row| !row.origin.automatic) {
        // The owner has asked for something under this very id: the next number has another.
        return note(service, &stored, current.after_payout()).await;
    }
    match known.map(|row| (row.state, row.failure)) {
        Some((State::Reserved | State::Dispatched, _)) => Ok(()),
        // The next number is due at once.
        Some((State::Succeeded, _)) => {
            let next = Destination { failures: 0, ..current.after_payout() };
            note(service, &stored, next).await
        }
        Some((State::Failed, failure)) => {
            let why = format!("the payout failed: {}", failure.unwrap_or_default());
            let next = with_problem(current.after_payout(), service, &why);
            note(service, &stored, next).await
        }
        None => {
            let begun = begin(service, stored.version, &current).await;
            metrics::automatic_payout(begun.as_ref().map_or_else(|error| error.reason(), |()| "ok"));
            match begun {
                Ok(()) => Ok(()),
                Err(error) if is_ours(&error) => Err(error),
                Err(error) => {
                    let next = with_problem(current, service, &error.to_string());
                    note(service, &stored, next).await
                }
            }
        }
    }
}

/// Reserves all that is available beside the largest fee, as far as the destination is the one that was read: its row has this
/// version.
async fn begin(service: &Service, version: i64, destination: &Destination) -> Result<(), Error> {
    let address = destination.address.as_deref().unwrap_or_default();
    let address = LightningAddress::parse(address).map_err(|_| AddressProblem::Malformed)?;
    let available = accounts::balance(&service.db, destination.account).await?.available;
    let largest = service.config.withdrawals.caps().account.largest();
    let fees = service.provider.capabilities().fees;
    let needed = destination.threshold.max(Msat::new(1));
    let amount = payout(available, largest, fees).ok_or(Refusal::InsufficientFunds { available, needed })?;
    let order = Order {
        account: destination.account,
        request: destination.next_request(),
        to: To::Address(address, Amount::UpTo(amount)),
        fee_limit: None,
        replaces: None,
        automatic: Some(version),
    };
    let reserved = withdraw::make(service, order).await?;
    tracing::info!(account_id = %destination.account, withdrawal_id = %reserved.id, "automatic payout begun");
    Ok(())
}

/// Whether it is this server or its database that failed, or an operator or the owner who came in between, and not the payout: then nothing is held against the destination.
fn is_ours(error: &Error) -> bool {
    matches!(
        error,
        Error::Storage(_)
            | Error::Chassis(_)
            | Error::Refused(Refusal::PayoutsPaused | Refusal::WrongState { .. })
    )
}

fn with_problem(destination: Destination, service: &Service, why: &str) -> Destination {
    let now = service.env.now();
    let (date, time) = (now.date(), now.time());
    let when = format!("{date} {:02}:{:02} UTC", time.hour(), time.minute());
    let pause = Duration::from_secs(u64::from(service.config.payouts.automatic_retry_seconds));
    destination.after_failure(&format!("{when}: {why}"), pause, now)
}

async fn note(service: &Service, was: &Destination, becomes: Destination) -> Result<(), Error> {
    payout_destinations::note(&service.db, was, becomes).await?;
    Ok(())
}

//! Hold invoices: accepted is not ours, and of settle and cancel exactly one wins.

use futures_util::StreamExt;

use super::*;
use crate::{Finality, Invoice, NewHoldInvoice, Preimage};

list_cases![
    a_hold_invoice_is_open_then_accepted_then_settled,
    accepted_sats_can_be_given_back,
    an_open_hold_invoice_cannot_be_settled,
    a_settled_hold_invoice_cannot_be_cancelled,
    a_cancelled_hold_invoice_can_neither_be_settled_nor_paid,
    an_unknown_hold_invoice_can_neither_be_settled_nor_cancelled,
    the_same_request_gives_the_same_hold_invoice_and_another_is_refused,
    a_watcher_hears_at_once_and_until_the_end,
    what_was_settled_becomes_final_and_what_is_accepted_is_not,
    an_unknown_hold_invoice_has_no_finality,
    a_hold_invoice_is_listed_as_accepted_and_as_settled_with_what_was_paid,
];

/// A preimage per case: a provider may live longer than one.
fn preimage(world: &dyn World) -> Preimage {
    let nanos = world.now().unix_timestamp_nanos().to_be_bytes();
    let mut bytes = [0x5a; 32];
    bytes[..nanos.len()].copy_from_slice(&nanos);
    Preimage::new(bytes)
}

fn order(preimage: &Preimage) -> NewHoldInvoice {
    NewHoldInvoice { hash: preimage.hash(), invoice: request(AMOUNT) }
}

async fn accepted(
    world: &dyn World,
    hold: &dyn HoldInvoices,
    preimage: &Preimage,
) -> Result<Invoice, Failure> {
    let invoice = hold.add(order(preimage)).await?;
    equal(&invoice.hash, &preimage.hash())?;
    equal(&state(world, invoice.hash).await?, &InvoiceState::Open)?;
    world.pay_from_outside(&invoice.bolt11).await?;
    let height = world.provider().info().await?.height;
    match until_state(world, invoice.hash, "accepted").await? {
        InvoiceState::Accepted { paid, parts, lowest_expiry_height } => {
            equal(&paid, &AMOUNT)?;
            check(parts >= 1, "accepted without a part")?;
            check(lowest_expiry_height > height, "accepted with a height that has passed")?;
        }
        InvoiceState::Open | InvoiceState::Settled { .. } | InvoiceState::Canceled => {}
    }
    Ok(invoice)
}

async fn a_hold_invoice_is_open_then_accepted_then_settled(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let before = at_rest(world).await?.spendable;
    let invoice = accepted(world, hold, &preimage).await?;
    until_balance(world, before, AMOUNT).await?;
    hold.settle(preimage.clone()).await?;
    until_state(world, invoice.hash, "settled").await?;
    hold.settle(preimage).await?;
    until_balance(world, sum(before, AMOUNT)?, Msat::ZERO).await?;
    Ok(Verdict::Passed)
}

async fn accepted_sats_can_be_given_back(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let before = at_rest(world).await?.spendable;
    let invoice = accepted(world, hold, &preimage(world)).await?;
    hold.cancel(invoice.hash).await?;
    until_state(world, invoice.hash, "canceled").await?;
    hold.cancel(invoice.hash).await?;
    until_balance(world, before, Msat::ZERO).await?;
    Ok(Verdict::Passed)
}

async fn an_open_hold_invoice_cannot_be_settled(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let invoice = hold.add(order(&preimage)).await?;
    wrong_state(hold.settle(preimage).await, "open")?;
    equal(&state(world, invoice.hash).await?, &InvoiceState::Open)?;
    Ok(Verdict::Passed)
}

async fn a_settled_hold_invoice_cannot_be_cancelled(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let invoice = accepted(world, hold, &preimage).await?;
    hold.settle(preimage).await?;
    let settled = until_state(world, invoice.hash, "settled").await?;
    wrong_state(hold.cancel(invoice.hash).await, "settled")?;
    equal(&state(world, invoice.hash).await?, &settled)?;
    Ok(Verdict::Passed)
}

async fn a_cancelled_hold_invoice_can_neither_be_settled_nor_paid(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let invoice = hold.add(order(&preimage)).await?;
    hold.cancel(invoice.hash).await?;
    wrong_state(hold.settle(preimage).await, "canceled")?;
    check(world.pay_from_outside(&invoice.bolt11).await.is_err(), "it was paid")?;
    equal(&state(world, invoice.hash).await?, &InvoiceState::Canceled)?;
    Ok(Verdict::Passed)
}

async fn an_unknown_hold_invoice_can_neither_be_settled_nor_cancelled(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let (settled, canceled) = (hold.settle(preimage.clone()).await, hold.cancel(preimage.hash()).await);
    check(matches!(settled, Err(Error::NotFound)), format_args!("{settled:?}"))?;
    check(matches!(canceled, Err(Error::NotFound)), format_args!("{canceled:?}"))?;
    Ok(Verdict::Passed)
}

async fn the_same_request_gives_the_same_hold_invoice_and_another_is_refused(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let mut order = order(&preimage(world));
    let first = hold.add(order.clone()).await?;
    equal(&hold.add(order.clone()).await?, &first)?;
    order.invoice.description_hash = [0; 32];
    wrong_state(hold.add(order).await, "existing")?;
    Ok(Verdict::Passed)
}

async fn a_watcher_hears_at_once_and_until_the_end(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let invoice = hold.add(order(&preimage)).await?;
    let mut hints = hold.watch(invoice.hash);
    let late = |_| Failure("no hint came".to_owned());
    let first = tokio::time::timeout(PATIENCE, hints.next()).await.map_err(late)?;
    check(first.is_some_and(|hint| hint.hash == invoice.hash), "no hint at once")?;
    world.pay_from_outside(&invoice.bolt11).await?;
    until_state(world, invoice.hash, "accepted").await?;
    hold.settle(preimage).await?;
    until_state(world, invoice.hash, "settled").await?;
    let rest: Vec<_> = tokio::time::timeout(PATIENCE, hints.collect()).await.map_err(late)?;
    check(!rest.is_empty(), "no hint of the payment")?;
    Ok(Verdict::Passed)
}

async fn what_was_settled_becomes_final_and_what_is_accepted_is_not(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let preimage = preimage(world);
    let invoice = accepted(world, hold, &preimage).await?;
    equal(&hold.finality(invoice.hash).await?, &Finality::Pending)?;
    hold.settle(preimage).await?;
    let look = || -> BoxFuture<'_, _> { Box::pin(async move { Ok(hold.finality(invoice.hash).await?) }) };
    let found = until(look, |found| *found != Finality::Pending, "an end").await?;
    equal(&found, &Finality::Final)?;
    equal(&state(world, invoice.hash).await?.as_str(), &"settled")?;
    Ok(Verdict::Passed)
}

async fn an_unknown_hold_invoice_has_no_finality(world: &dyn World) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let answer = hold.finality(PaymentHash::new([1; 32])).await;
    check(matches!(answer, Err(Error::NotFound)), format_args!("{answer:?}"))?;
    Ok(Verdict::Passed)
}

async fn a_hold_invoice_is_listed_as_accepted_and_as_settled_with_what_was_paid(
    world: &dyn World,
) -> Checked {
    let Some(hold) = hold(world) else { return Ok(Verdict::NotApplicable) };
    let end = listing::end_of_invoices(world).await?;
    let preimage = preimage(world);
    let invoice = accepted(world, hold, &preimage).await?;
    let found = listing::listed(world, end, &invoice).await?;
    let held = matches!(found, InvoiceState::Accepted { paid: AMOUNT, .. });
    check(held, format_args!("an accepted invoice is listed as {found:?}"))?;
    hold.settle(preimage).await?;
    until_state(world, invoice.hash, "settled").await?;
    let found = listing::listed(world, end, &invoice).await?;
    let taken = matches!(found, InvoiceState::Settled { paid: AMOUNT, .. });
    check(taken, format_args!("a settled invoice is listed as {found:?}"))?;
    Ok(Verdict::Passed)
}

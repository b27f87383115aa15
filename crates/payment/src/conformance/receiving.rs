//! Invoices and what the node says of itself.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use poa_common::Msat;

use super::*;
use crate::{Cursor, Unit};

list_cases![
    the_node_says_who_it_is_as_its_invoices_do,
    an_invoice_says_what_was_asked_for,
    an_amount_that_is_not_payable_is_refused,
    an_unknown_invoice_is_absent_and_not_an_error,
    an_invoice_is_open_until_it_is_paid_and_then_settled_with_what_arrived,
    a_paid_invoice_cannot_be_paid_again,
    a_paid_invoice_cannot_be_cancelled,
    a_cancelled_invoice_cannot_be_paid,
    an_unknown_invoice_cannot_be_cancelled,
    a_hint_follows_a_payment_and_a_cursor_resumes_after_it,
];

async fn the_node_says_who_it_is_as_its_invoices_do(world: &dyn World) -> Checked {
    let info = world.provider().info().await?;
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    let decoded = world.provider().decode(&invoice.bolt11).map_err(|error| Failure(error.to_string()))?;
    equal(&decoded.payee, &info.node)?;
    equal(&decoded.chain, &info.chain)?;
    check(info.height > 0, "a height of zero")?;
    Ok(Verdict::Passed)
}

async fn an_invoice_says_what_was_asked_for(world: &dyn World) -> Checked {
    let earliest = world.now() + Duration::from_secs(3_590);
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    let decoded = world.provider().decode(&invoice.bolt11).map_err(|error| Failure(error.to_string()))?;
    equal(&decoded.hash, &invoice.hash)?;
    equal(&decoded.amount, &Some(AMOUNT))?;
    equal(&decoded.description_hash, &Some(DESCRIPTION_HASH))?;
    equal(&decoded.expires_at, &invoice.expires_at)?;
    check(decoded.expires_at >= earliest, "it expires too early")?;
    let again = world.provider().create_invoice(request(AMOUNT)).await?;
    check(again.hash != invoice.hash, "two invoices share a hash")?;
    Ok(Verdict::Passed)
}

async fn an_amount_that_is_not_payable_is_refused(world: &dyn World) -> Checked {
    let mut amounts = vec![Msat::ZERO, Msat::new(-1_000), Msat::new(i64::MAX)];
    if world.provider().capabilities().unit == Unit::Sat {
        amounts.push(Msat::new(1_001));
    }
    for amount in amounts {
        let answer = world.provider().create_invoice(request(amount)).await;
        check(matches!(answer, Err(Error::Invalid(_))), format_args!("{amount} msat: {answer:?}"))?;
    }
    Ok(Verdict::Passed)
}

async fn an_unknown_invoice_is_absent_and_not_an_error(world: &dyn World) -> Checked {
    equal(&world.provider().lookup_invoice(PaymentHash::new([1; 32])).await?, &None)?;
    Ok(Verdict::Passed)
}

async fn an_invoice_is_open_until_it_is_paid_and_then_settled_with_what_arrived(
    world: &dyn World,
) -> Checked {
    let before = at_rest(world).await?.spendable;
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    equal(&state(world, invoice.hash).await?, &InvoiceState::Open)?;
    world.pay_from_outside(&invoice.bolt11).await?;
    match until_state(world, invoice.hash, "settled").await? {
        InvoiceState::Settled { paid, preimage, .. } => {
            equal(&paid, &AMOUNT)?;
            let opens = preimage.is_none_or(|preimage| preimage.hash() == invoice.hash);
            check(opens, "the preimage does not open the hash")?;
        }
        InvoiceState::Open | InvoiceState::Accepted { .. } | InvoiceState::Canceled => {}
    }
    until_balance(world, sum(before, AMOUNT)?, Msat::ZERO).await?;
    Ok(Verdict::Passed)
}

async fn a_paid_invoice_cannot_be_paid_again(world: &dyn World) -> Checked {
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    world.pay_from_outside(&invoice.bolt11).await?;
    let first = until_state(world, invoice.hash, "settled").await?;
    let again = world.pay_from_outside(&invoice.bolt11).await;
    check(again.is_err(), "it was paid twice")?;
    equal(&state(world, invoice.hash).await?, &first)?;
    Ok(Verdict::Passed)
}

async fn a_paid_invoice_cannot_be_cancelled(world: &dyn World) -> Checked {
    if !world.provider().capabilities().cancels_invoices {
        return Ok(Verdict::NotApplicable);
    }
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    world.pay_from_outside(&invoice.bolt11).await?;
    let paid = until_state(world, invoice.hash, "settled").await?;
    wrong_state(world.provider().cancel_invoice(invoice.hash).await, "settled")?;
    equal(&state(world, invoice.hash).await?, &paid)?;
    Ok(Verdict::Passed)
}

async fn a_cancelled_invoice_cannot_be_paid(world: &dyn World) -> Checked {
    if !world.provider().capabilities().cancels_invoices {
        return Ok(Verdict::NotApplicable);
    }
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    world.provider().cancel_invoice(invoice.hash).await?;
    world.provider().cancel_invoice(invoice.hash).await?;
    check(world.pay_from_outside(&invoice.bolt11).await.is_err(), "it was paid")?;
    equal(&state(world, invoice.hash).await?, &InvoiceState::Canceled)?;
    Ok(Verdict::Passed)
}

async fn an_unknown_invoice_cannot_be_cancelled(world: &dyn World) -> Checked {
    if !world.provider().capabilities().cancels_invoices {
        return Ok(Verdict::NotApplicable);
    }
    let answer = world.provider().cancel_invoice(PaymentHash::new([1; 32])).await;
    check(matches!(answer, Err(Error::NotFound)), format_args!("{answer:?}"))?;
    Ok(Verdict::Passed)
}

async fn a_hint_follows_a_payment_and_a_cursor_resumes_after_it(world: &dyn World) -> Checked {
    let (first, second) = (
        world.provider().create_invoice(request(AMOUNT)).await?,
        world.provider().create_invoice(request(AMOUNT)).await?,
    );
    world.pay_from_outside(&first.bolt11).await?;
    let cursor = hint_of(world, Cursor::start(), first.hash).await?;
    world.pay_from_outside(&second.bolt11).await?;
    hint_of(world, cursor.clone(), second.hash).await?;
    // A provider may repeat a hint, but a cursor that goes nowhere would repeat all of them for ever.
    check(cursor != Cursor::start(), "the cursor did not move")?;
    Ok(Verdict::Passed)
}

async fn hint_of(world: &dyn World, from: Cursor, hash: PaymentHash) -> Result<Cursor, Failure> {
    let hints = world.provider().watch_invoices(from).filter(|hint| ready(hint.hash == hash));
    match tokio::time::timeout(PATIENCE, pin!(hints).next()).await {
        Ok(Some(hint)) => Ok(hint.cursor),
        Ok(None) => Err(Failure("the hints ended".to_owned())),
        Err(_) => Err(Failure("no hint came".to_owned())),
    }
}

//! Payments: at most one per hash, and never a failure that is only a doubt.

use futures_util::future::join_all;
use poa_common::Msat;

use super::*;
use crate::{Balance, Chain, Doubt, FeeModel, Refusal};

list_cases![
    a_payment_settles_with_its_preimage_and_a_fee_within_the_limit,
    the_same_hash_again_gives_the_first_outcome_and_sends_nothing,
    many_at_once_with_one_hash_are_one_payment,
    an_unknown_payment_is_in_doubt_and_not_failed,
    an_invoice_of_another_network_is_refused,
    an_invoice_without_an_amount_is_refused,
    a_malformed_invoice_is_refused,
    an_invoice_of_the_own_node_is_refused,
    an_amount_other_than_the_invoices_is_refused,
    a_passed_deadline_sends_nothing,
];

/// From the specification (BOLT11, examples): mainnet, no amount, expired since 2017.
const AMOUNTLESS_MAINNET: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwz\
    qfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc\
    5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";

/// Calls at once with one hash.
const CROWD: usize = 16;

pub(super) async fn pay(world: &dyn World, intent: &PayIntent) -> Result<(Msat, Outcome), Failure> {
    world.payer().pay(intent.clone()).await;
    match until_terminal(world, intent.hash).await? {
        Outcome::Settled { preimage, fee } => {
            check(preimage.hash() == intent.hash, "the preimage does not open the hash")?;
            Ok((fee, Outcome::Settled { preimage, fee }))
        }
        other => Err(Failure(format!("it did not settle: {other:?}"))),
    }
}

/// The balance shrinks by one payment and its fee.
async fn spent(world: &dyn World, before: Balance, fee: Msat) -> Result<(), Failure> {
    let left = before.spendable.checked_sub(sum(AMOUNT, fee)?).map_err(|error| Failure(error.to_string()))?;
    until_balance(world, left, Msat::ZERO).await.map(drop)
}

/// The intent is refused, and the node knows nothing of its hash.
async fn refused(world: &dyn World, intent: PayIntent, allowed: &[Refusal]) -> Checked {
    let hash = intent.hash;
    let outcome = world.payer().pay(intent).await;
    let as_expected = matches!(&outcome, Outcome::NotSent(refusal) if allowed.contains(refusal));
    check(as_expected, format_args!("found {outcome:?}, expected one of {allowed:?}"))?;
    equal(&world.provider().lookup_payment(hash).await, &Outcome::Unknown(Doubt::NotFound))?;
    Ok(Verdict::Passed)
}

async fn a_payment_settles_with_its_preimage_and_a_fee_within_the_limit(world: &dyn World) -> Checked {
    let before = at_rest(world).await?;
    let intent = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    let (fee, _) = pay(world, &intent).await?;
    match world.provider().capabilities().fees {
        FeeModel::Limited => check(fee <= FEE_LIMIT, format_args!("a fee of {fee} msat"))?,
        FeeModel::Fixed { .. } => {}
    }
    spent(world, before, fee).await?;
    Ok(Verdict::Passed)
}

async fn the_same_hash_again_gives_the_first_outcome_and_sends_nothing(world: &dyn World) -> Checked {
    let mut intent = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    let (_, first) = pay(world, &intent).await?;
    let balance = at_rest(world).await?;
    for _ in 0..3 {
        let again = world.payer().pay(intent.clone()).await;
        check(!matches!(again, Outcome::NotSent(_) | Outcome::Failed(_)), format_args!("{again:?}"))?;
        equal(&until_terminal(world, intent.hash).await?, &first)?;
        // Not even a deadline that has passed speaks over what was sent.
        intent.deadline = world.now();
    }
    until_balance(world, balance.spendable, Msat::ZERO).await?;
    Ok(Verdict::Passed)
}

async fn many_at_once_with_one_hash_are_one_payment(world: &dyn World) -> Checked {
    let before = at_rest(world).await?;
    let intent = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    let outcomes = join_all((0..CROWD).map(|_| world.payer().pay(intent.clone()))).await;
    let refusal = outcomes.iter().find(|outcome| matches!(outcome, Outcome::NotSent(_) | Outcome::Failed(_)));
    check(refusal.is_none(), format_args!("one of them heard {refusal:?}"))?;
    let (fee, _) = pay(world, &intent).await?;
    spent(world, before, fee).await?;
    Ok(Verdict::Passed)
}

async fn an_unknown_payment_is_in_doubt_and_not_failed(world: &dyn World) -> Checked {
    let outcome = world.provider().lookup_payment(PaymentHash::new([2; 32])).await;
    equal(&outcome, &Outcome::Unknown(Doubt::NotFound))?;
    Ok(Verdict::Passed)
}

async fn an_invoice_of_another_network_is_refused(world: &dyn World) -> Checked {
    let intent = intent(world, AMOUNTLESS_MAINNET)?;
    if world.provider().info().await?.chain == Chain::Bitcoin {
        return Ok(Verdict::NotApplicable);
    }
    refused(world, intent, &[Refusal::WrongNetwork]).await
}

async fn an_invoice_without_an_amount_is_refused(world: &dyn World) -> Checked {
    let intent = intent(world, AMOUNTLESS_MAINNET)?;
    refused(world, intent, &[Refusal::Amountless, Refusal::WrongNetwork]).await
}

async fn a_malformed_invoice_is_refused(world: &dyn World) -> Checked {
    let good = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    for bolt11 in ["", "lnbc1", "é", &good.bolt11[..good.bolt11.len() - 1], &"l".repeat(100_000)] {
        let intent = PayIntent { bolt11: bolt11.to_owned(), ..good.clone() };
        refused(world, intent, &[Refusal::Malformed]).await?;
    }
    Ok(Verdict::Passed)
}

async fn an_invoice_of_the_own_node_is_refused(world: &dyn World) -> Checked {
    let invoice = world.provider().create_invoice(request(AMOUNT)).await?;
    let verdict = refused(world, intent(world, &invoice.bolt11)?, &[Refusal::OwnInvoice]).await?;
    equal(&state(world, invoice.hash).await?, &InvoiceState::Open)?;
    Ok(verdict)
}

async fn an_amount_other_than_the_invoices_is_refused(world: &dyn World) -> Checked {
    let good = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    for amount in [Msat::new(1_000), Msat::new(AMOUNT.get() + 1_000), Msat::ZERO, Msat::new(-1)] {
        refused(world, PayIntent { amount, ..good.clone() }, &[Refusal::Mismatch]).await?;
    }
    let hash = PaymentHash::new([3; 32]);
    refused(world, PayIntent { hash, ..good.clone() }, &[Refusal::Mismatch]).await?;
    refused(world, PayIntent { fee_limit: Msat::new(-1), ..good }, &[Refusal::Mismatch]).await
}

async fn a_passed_deadline_sends_nothing(world: &dyn World) -> Checked {
    let mut intent = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    intent.deadline = world.now();
    refused(world, intent, &[Refusal::DeadlinePassed]).await
}

//! The node's lists: in order, complete, and true to what a lookup says. The node may have done much before.

use super::sending::pay;
use super::*;
use crate::{Invoice, ListedInvoice, ListedPayment, Place};

list_cases![
    invoices_are_listed_in_the_order_of_their_making_and_resume_after_a_place,
    payments_are_listed_in_the_order_of_their_beginning_and_resume_after_a_place,
    a_listed_invoice_says_what_was_paid_and_a_pending_one_is_open,
    a_listed_payment_says_amount_and_fee,
    a_payment_that_failed_is_never_listed_as_settled,
];

/// Rows that a case asks for at a time.
const PAGE: u32 = 100;
/// Pages that a case reads at most: a list without an end fails.
const MAX_PAGES: usize = 1_000;

/// Reads the invoices after a place to the end, `page` at a time.
async fn invoices(world: &dyn World, after: Place, page: u32) -> Result<Vec<ListedInvoice>, Failure> {
    let (mut all, mut last) = (Vec::new(), after);
    for _ in 0..MAX_PAGES {
        let listed = world.provider().list_invoices(last, page).await?;
        if listed.is_empty() {
            return Ok(all);
        }
        last = ascending(last, listed.iter().map(|row| row.place))?;
        all.extend(listed);
    }
    Err(Failure("the list does not end".to_owned()))
}

/// Reads the payments after a place to the end, `page` at a time.
async fn payments(world: &dyn World, after: Place, page: u32) -> Result<Vec<ListedPayment>, Failure> {
    let (mut all, mut last) = (Vec::new(), after);
    for _ in 0..MAX_PAGES {
        let listed = world.provider().list_payments(last, page).await?;
        if listed.is_empty() {
            return Ok(all);
        }
        last = ascending(last, listed.iter().map(|row| row.place))?;
        all.extend(listed);
    }
    Err(Failure("the list does not end".to_owned()))
}

/// The last place, if each is after the one before it.
fn ascending(after: Place, places: impl Iterator<Item = Place>) -> Result<Place, Failure> {
    let mut last = after;
    for place in places {
        check(place > last, format_args!("{place:?} is listed after {last:?}"))?;
        last = place;
    }
    Ok(last)
}

/// The place after which a case's own invoices are listed.
pub(super) async fn end_of_invoices(world: &dyn World) -> Result<Place, Failure> {
    Ok(invoices(world, Place::START, PAGE).await?.last().map_or(Place::START, |row| row.place))
}

async fn end_of_payments(world: &dyn World) -> Result<Place, Failure> {
    Ok(payments(world, Place::START, PAGE).await?.last().map_or(Place::START, |row| row.place))
}

/// How the list shows an invoice: once.
pub(super) async fn listed(
    world: &dyn World,
    after: Place,
    invoice: &Invoice,
) -> Result<InvoiceState, Failure> {
    let mut rows = invoices(world, after, PAGE).await?.into_iter().filter(|row| row.hash == invoice.hash);
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row.state),
        (None, _) => Err(Failure("an invoice is not listed".to_owned())),
        (Some(_), Some(_)) => Err(Failure("an invoice is listed twice".to_owned())),
    }
}

async fn invoices_are_listed_in_the_order_of_their_making_and_resume_after_a_place(
    world: &dyn World,
) -> Checked {
    let end = end_of_invoices(world).await?;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(world.provider().create_invoice(request(AMOUNT)).await?.hash);
    }
    for page in [1, 2, PAGE] {
        let rows = invoices(world, end, page).await?;
        equal(&rows.iter().map(|row| row.hash).collect(), &made)?;
        let rest = invoices(world, rows[0].place, page).await?;
        equal(&rest.as_slice(), &&rows[1..])?;
    }
    Ok(Verdict::Passed)
}

async fn payments_are_listed_in_the_order_of_their_beginning_and_resume_after_a_place(
    world: &dyn World,
) -> Checked {
    let end = end_of_payments(world).await?;
    let mut made = Vec::new();
    for _ in 0..3 {
        let intent = intent(world, &world.outside_invoice(AMOUNT).await?)?;
        pay(world, &intent).await?;
        made.push(intent.hash);
    }
    for page in [1, 2, PAGE] {
        let rows = payments(world, end, page).await?;
        equal(&rows.iter().map(|row| row.hash).collect(), &made)?;
        let rest = payments(world, rows[0].place, page).await?;
        equal(&rest.as_slice(), &&rows[1..])?;
    }
    Ok(Verdict::Passed)
}

async fn a_listed_invoice_says_what_was_paid_and_a_pending_one_is_open(world: &dyn World) -> Checked {
    let end = end_of_invoices(world).await?;
    let paid = world.provider().create_invoice(request(AMOUNT)).await?;
    let pending = world.provider().create_invoice(request(AMOUNT)).await?;
    world.pay_from_outside(&paid.bolt11).await?;
    let InvoiceState::Settled { paid: arrived, .. } = until_state(world, paid.hash, "settled").await? else {
        return Err(Failure("settled is not settled".to_owned()));
    };
    let found = listed(world, end, &paid).await?;
    let same = matches!(found, InvoiceState::Settled { paid, .. } if paid == arrived);
    check(same, format_args!("{arrived} msat were paid, and {found:?} is listed"))?;
    equal(&listed(world, end, &pending).await?, &InvoiceState::Open)?;
    Ok(Verdict::Passed)
}

async fn a_listed_payment_says_amount_and_fee(world: &dyn World) -> Checked {
    let end = end_of_payments(world).await?;
    let intent = intent(world, &world.outside_invoice(AMOUNT).await?)?;
    let (_, outcome) = pay(world, &intent).await?;
    let rows = payments(world, end, PAGE).await?;
    let found: Vec<_> = rows.into_iter().map(|row| (row.hash, row.amount, row.outcome)).collect();
    equal(&found, &vec![(intent.hash, AMOUNT, outcome)])?;
    Ok(Verdict::Passed)
}

async fn a_payment_that_failed_is_never_listed_as_settled(world: &dyn World) -> Checked {
    let end = end_of_payments(world).await?;
    // A whole number of sats that the node does not have.
    let spendable = at_rest(world).await?.spendable.get();
    let amount = Msat::new((spendable / 1_000).saturating_mul(1_000).saturating_add(AMOUNT.get()));
    let intent = intent(world, &world.outside_invoice(amount).await?)?;
    let said = world.payer().pay(intent.clone()).await;
    if !matches!(said, Outcome::NotSent(_)) {
        let end = until_terminal(world, intent.hash).await?;
        check(matches!(end, Outcome::Failed(_)), format_args!("more was sent than there is: {end:?}"))?;
    }
    let row = payments(world, end, PAGE).await?.into_iter().find(|row| row.hash == intent.hash);
    match (said, row.map(|row| row.outcome)) {
        // What was refused before anything was tried need not be listed.
        (Outcome::NotSent(_), None) => {}
        (_, Some(Outcome::Failed(_) | Outcome::InFlight | Outcome::Unknown(_))) => {}
        (said, listed) => return Err(Failure(format!("{said:?}, and {listed:?} is listed"))),
    }
    Ok(Verdict::Passed)
}

//! PayInvoice and CreateOutsideInvoice.

use poa_common::Msat;
use poa_payment::decode;
use poa_proto::escrow::v1::{CreateOutsideInvoiceRequest, PayInvoiceRequest};
use tonic::Code;

use crate::world::{User, fact, refusal, with, world};

#[tokio::test]
async fn an_invoice_of_this_node_is_paid_once_and_says_so_again() {
    let world = world().await;
    let user = world.user();
    let made = world.deposit(&user, 25_000).await;
    assert_eq!(world.pay(&user, &made.invoice).await.unwrap(), 25_000);
    assert_eq!(world.pay(&user, &made.invoice).await.unwrap(), 25_000);
    poa_testkit::eventually(crate::world::SOON, "it is credited", async || {
        world.balance(&user).await == (25_000, 0)
    })
    .await;
    world.assert_sound().await;
}

#[tokio::test]
async fn other_invoices_and_other_callers_are_refused() {
    let world = world().await;
    let user = world.user();
    let outside = world.outside_invoice(&user, 7_000).await;
    assert_eq!(decode(&outside).unwrap().amount, Some(Msat::new(7_000)));
    for (invoice, problem) in [(outside.as_str(), "not-ours"), ("nonsense", "malformed")] {
        let refused = world.pay(&user, invoice).await;
        assert_eq!(fact(refused.clone(), "problem"), problem);
        assert_eq!(refusal(refused), (Code::InvalidArgument, "INVOICE_REFUSED".to_owned()));
    }
    assert_eq!(refusal(world.pay(&user, "").await).1, "FIELDS_INVALID");
    let narrow = User { token: world.token(user.account, "money.read", 600), ..user };
    assert_eq!(refusal(world.pay(&narrow, &outside).await).1, "SCOPE_MISSING");
    let nobody = world.faucet().pay_invoice(PayInvoiceRequest { invoice: outside }).await;
    assert_eq!(refusal(nobody).0, Code::Unauthenticated);
    let small = CreateOutsideInvoiceRequest { amount_msat: 999 };
    let refused = world.faucet().create_outside_invoice(with(&world.user().token, small)).await;
    assert_eq!(refusal(refused).1, "FIELDS_INVALID");
}

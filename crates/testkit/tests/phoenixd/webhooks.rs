//! A webhook is a hint, and only under phoenixd's own signature.

use poa_common::Msat;
use poa_payment::phoenixd::webhook::{SIGNATURE_HEADER, WebhookError, verify};
use poa_payment::{InvoiceState, Provider as _};
use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::support::{AMOUNT, Fixture, PATIENCE};

/// One call: the signature and the body, byte for byte.
async fn take(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 1_024];
        let read = stream.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the call ended too early");
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with(&name.to_lowercase()));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()).unwrap()
        };
        if body.len() == header("content-length").parse::<usize>().unwrap() {
            return (header(SIGNATURE_HEADER), body.as_bytes().to_vec());
        }
    }
}

#[tokio::test]
async fn a_webhook_leads_to_a_lookup_and_a_forged_one_to_nothing() {
    let fixture = Fixture::new(90).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    fixture.phoenixd.add_webhook(format!("http://{}/hook", listener.local_addr().unwrap()));
    let invoice = fixture.invoice().await;
    fixture.phoenixd.pay_from_outside(&invoice.bolt11).unwrap();
    let (signature, body) = tokio::time::timeout(PATIENCE, take(&listener)).await.unwrap();

    let secret = SecretString::from(fixture.phoenixd.webhook_secret());
    let hash = verify(&secret, &body, &signature).unwrap();
    assert_eq!(hash, invoice.hash);
    assert!(matches!(fixture.state(hash).await, InvoiceState::Settled { paid: AMOUNT, .. }));
    // Here nulls are written.
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(event["externalId"].is_null() && event.as_object().unwrap().contains_key("payerKey"), "{event}");

    let other = fixture.invoice().await;
    let text = String::from_utf8(body.clone()).unwrap();
    let forged = text.replace(&invoice.hash.to_hex(), &other.hash.to_hex());
    assert_eq!(verify(&secret, forged.as_bytes(), &signature), Err(WebhookError::Signature));
    assert_eq!(verify(&SecretString::from("guess"), &body, &signature), Err(WebhookError::Signature));
    // A call that is sent again says the same, and the lookup too: it is a hint.
    assert_eq!(verify(&secret, &body, &signature), Ok(invoice.hash));
}

#[tokio::test]
async fn a_webhook_that_nobody_takes_loses_nothing() {
    let fixture = Fixture::new(91).await;
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    fixture.phoenixd.add_webhook(format!("http://{port}/"));
    let invoice = fixture.invoice().await;
    fixture.phoenixd.pay_from_outside(&invoice.bolt11).unwrap();
    assert!(matches!(fixture.state(invoice.hash).await, InvoiceState::Settled { .. }));
    assert!(fixture.node.balance().await.unwrap().spendable > Msat::new(5_000_000_000));
}

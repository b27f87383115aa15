//! The webhooks: one attempt each, signed, with nulls written.

use std::sync::{Arc, PoisonError};

use ring::hmac;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::money::sat;
use super::state::Invoice;
use super::{Shared, WEBHOOK_SECRET};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentReceived<'a> {
    r#type: &'static str,
    timestamp: u64,
    amount_sat: i64,
    payment_hash: String,
    external_id: Option<&'a str>,
    payer_note: Option<&'a str>,
    payer_key: Option<&'a str>,
}

/// Calls every URL, and that of the invoice.
pub(super) fn received(shared: &Arc<Shared>, invoice: &Invoice, msat: i64) {
    let mut urls = shared.webhooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
    urls.extend(invoice.webhook.clone());
    let event = PaymentReceived {
        r#type: "payment_received",
        timestamp: shared.now(),
        amount_sat: sat(msat),
        payment_hash: hex::encode(invoice.hash),
        external_id: invoice.external_id.as_deref(),
        payer_note: None,
        payer_key: None,
    };
    let body = serde_json::to_string_pretty(&event).expect("an event of ours is JSON");
    let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_SECRET.as_bytes());
    let signature = hex::encode(hmac::sign(&key, body.as_bytes()));
    for url in urls {
        let request = request(&url, &signature, &body);
        // Whatever becomes of it: phoenixd only writes a line in its log.
        tokio::spawn(async move { call(request).await.ok() });
    }
}

/// Where to, and what.
fn request(url: &str, signature: &str, body: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("a webhook without TLS");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nX-Phoenix-Signature: {signature}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (host.to_owned(), head + body)
}

async fn call((host, request): (String, String)) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    // The answer is not looked at.
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

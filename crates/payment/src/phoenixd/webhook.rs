//! phoenixd's webhooks: a hint that a payment has come, to look it up by hash, and never more.
//!
//! It calls once and does not try again, so that some never arrive; a call can be recorded and sent again by others, since
//! nothing in it is of one time. All works without them.

use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::PaymentHash;

/// The header with the signature, in hexadecimal.
pub const SIGNATURE_HEADER: &str = "X-Phoenix-Signature";
/// A longer body is not phoenixd's. Whoever reads one stops there.
pub const MAX_BODY_BYTES: usize = 16 << 10;

/// Why a call is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The body is longer than [`MAX_BODY_BYTES`].
    #[error("the webhook's body is too long")]
    TooLong,
    /// The signature is not that of this body under this secret.
    #[error("the webhook is not signed with phoenixd's webhook-secret")]
    Signature,
    /// It is signed, and names no payment that was received.
    #[error("the webhook names no payment that was received")]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Event {
    #[serde(rename = "payment_received", rename_all = "camelCase")]
    PaymentReceived { payment_hash: PaymentHash },
    #[serde(other)]
    Other,
}

/// The hash that a call is about, if phoenixd has made it: `secret` is its `webhook-secret` as the text that it is, `body` the
/// bytes as they came, `signature` the header's value. Compared in constant time.
pub fn verify(secret: &SecretString, body: &[u8], signature: &str) -> Result<PaymentHash, WebhookError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(WebhookError::TooLong);
    }
    let mut tag = [0; 32];
    hex::decode_to_slice(signature, &mut tag).map_err(|_| WebhookError::Signature)?;
    // Not decoded, although it looks like hexadecimal.
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hmac::verify(&key, body, &tag).map_err(|_| WebhookError::Signature)?;
    match serde_json::from_slice(body) {
        Ok(Event::PaymentReceived { payment_hash }) => Ok(payment_hash),
        Ok(Event::Other) | Err(_) => Err(WebhookError::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"type":"payment_received","timestamp":1,"amountSat":7,"paymentHash":"0101010101010101010101010101010101010101010101010101010101010101","externalId":null,"payerNote":null,"payerKey":null}"#;

    fn sign(secret: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hex::encode(hmac::sign(&key, body))
    }

    #[test]
    fn a_webhook_names_a_hash_and_only_under_its_own_signature() {
        let secret = "00".repeat(32);
        let text = SecretString::from(secret.clone());
        let signature = sign(&secret, BODY);
        assert_eq!(verify(&text, BODY, &signature), Ok(PaymentHash::new([1; 32])));

        let mut forged = BODY.to_vec();
        forged[0] = b' ';
        assert_eq!(verify(&text, &forged, &signature), Err(WebhookError::Signature));
        assert_eq!(verify(&SecretString::from("other"), BODY, &signature), Err(WebhookError::Signature));
        for bad in ["", "zz", &signature[..62], &format!("{signature}00"), "é"] {
            assert_eq!(verify(&text, BODY, bad), Err(WebhookError::Signature), "{bad}");
        }
        // The secret is a text: its bytes in hexadecimal are another key.
        let decoded = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), BODY);
        assert_eq!(verify(&text, BODY, &hex::encode(decoded)), Err(WebhookError::Signature));
    }

    #[test]
    fn a_signed_body_that_is_not_understood_is_no_hint_and_no_panic() {
        let secret = SecretString::from("secret");
        for body in [
            "",
            "{",
            "[]",
            "null",
            r#"{"type":"payment_sent"}"#,
            r#"{"type":"payment_received","paymentHash":"1"}"#,
        ] {
            let signature = sign("secret", body.as_bytes());
            assert_eq!(verify(&secret, body.as_bytes(), &signature), Err(WebhookError::Other), "{body}");
        }
        let long = vec![b' '; MAX_BODY_BYTES + 1];
        assert_eq!(verify(&secret, &long, &sign("secret", &long)), Err(WebhookError::TooLong));
    }
}

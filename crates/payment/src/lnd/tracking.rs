//! What the node knows of a payment.

use super::connection::Line;
use super::contract::routerrpc::TrackPaymentRequest;
use super::mapping::{doubt, outcome};
use crate::{Doubt, Outcome, PaymentHash};

/// Looks a payment up: the first message is how it stands.
pub(super) async fn track(line: &Line, hash: PaymentHash) -> Outcome {
    let request = TrackPaymentRequest { payment_hash: hash.as_bytes().to_vec(), no_inflight_updates: false };
    let mut router = line.router();
    match line.first(router.track_payment_v2(request)).await {
        Ok(Some(payment)) => outcome(hash, &payment),
        Ok(None) => Outcome::Unknown(Doubt::NoAnswer),
        Err(refused) => Outcome::Unknown(doubt(&refused)),
    }
}

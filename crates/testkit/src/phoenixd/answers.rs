//! The JSON that the server writes: pretty-printed, absent fields left out.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::money::sat;
use super::state::{Invoice, Kind, Outgoing, State, Status};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo<'a> {
    node_id: String,
    channels: Vec<Channel>,
    chain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u32>,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Channel {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_sat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbound_liquidity_sat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_sat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    funding_tx_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    balance_sat: i64,
    fee_credit_sat: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_sat: Option<u64>,
    payment_hash: String,
    serialized: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IncomingRow<'a> {
    r#type: &'static str,
    sub_type: &'static str,
    payment_hash: String,
    preimage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    invoice: &'a str,
    is_paid: bool,
    is_expired: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_sat: Option<u64>,
    received_sat: i64,
    fees: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<u64>,
    created_at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutgoingRow<'a> {
    r#type: &'static str,
    sub_type: &'a str,
    payment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preimage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_id: Option<String>,
    is_paid: bool,
    sent: u64,
    fees: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<u64>,
    created_at: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentSent {
    recipient_amount_sat: u64,
    routing_fee_sat: u64,
    payment_id: String,
    payment_hash: String,
    payment_preimage: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentFailed<'a> {
    payment_hash: String,
    reason: &'a str,
}

/// A text, as every error is.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=UTF-8");
    (status, [(header::CONTENT_TYPE, plain)], text.into()).into_response()
}

/// A lookup without a result.
pub(super) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "Not found")
}

fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_string_pretty(value).expect("a value of ours is JSON");
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
}

pub(super) fn info(state: &State) -> Response {
    let balance = sat(state.balance);
    // A disconnected channel is another state around it, whose amounts are not shown.
    let channel = if state.connected {
        Channel {
            state: "Normal",
            channel_id: Some("c0".repeat(32)),
            balance_sat: Some(balance),
            inbound_liquidity_sat: Some(2_000_000),
            capacity_sat: Some(balance + 2_000_000),
            funding_tx_id: Some("f0".repeat(32)),
        }
    } else {
        let (channel_id, balance_sat, inbound_liquidity_sat, capacity_sat, funding_tx_id) =
            Default::default();
        Channel {
            state: "Offline(Normal)",
            channel_id,
            balance_sat,
            inbound_liquidity_sat,
            capacity_sat,
            funding_tx_id,
        }
    };
    json(&NodeInfo {
        node_id: state.wallet.id(),
        channels: vec![channel],
        chain: &state.chain,
        block_height: state.height,
        version: "0.8.0-standin",
    })
}

pub(super) fn balance(state: &State) -> Response {
    let balance_sat = if state.connected { sat(state.balance) } else { 0 };
    json(&Balance { balance_sat, fee_credit_sat: state.fee_credit / 1_000 })
}

pub(super) fn made(invoice: &Invoice) -> Response {
    json(&Made {
        amount_sat: invoice.requested_msat.map(|msat| msat / 1_000),
        payment_hash: hex::encode(invoice.hash),
        serialized: &invoice.bolt11,
    })
}

fn incoming_row(invoice: &Invoice, now: u64) -> IncomingRow<'_> {
    IncomingRow {
        r#type: "incoming_payment",
        sub_type: "lightning",
        payment_hash: hex::encode(invoice.hash),
        // Of an unpaid one too.
        preimage: hex::encode(invoice.preimage),
        external_id: invoice.external_id.as_deref(),
        description: invoice.description.as_deref(),
        invoice: &invoice.bolt11,
        is_paid: invoice.received.is_some(),
        // By the time alone: of a paid one too.
        is_expired: invoice.expires_at().is_some_and(|at| now > at),
        requested_sat: invoice.requested_msat.map(|msat| msat / 1_000),
        received_sat: invoice.received.map_or(0, |received| sat(received.msat)),
        fees: invoice.received.map_or(0, |received| received.fees_msat),
        expires_at: invoice.expires_at(),
        completed_at: invoice.received.map(|received| received.at),
        created_at: invoice.created_at,
    }
}

pub(super) fn invoice(invoice: &Invoice, now: u64) -> Response {
    json(&incoming_row(invoice, now))
}

pub(super) fn invoices<'a>(invoices: impl Iterator<Item = &'a Invoice>, now: u64) -> Response {
    json(&invoices.map(|invoice| incoming_row(invoice, now)).collect::<Vec<_>>())
}

fn outgoing_row(row: &Outgoing) -> OutgoingRow<'_> {
    let (payment_id, created_at) = (row.id.as_str(), row.created_at);
    match &row.kind {
        Kind::Lightning { hash, bolt11, amount_msat, status } => {
            let (preimage, fees, completed_at) = match status {
                Status::Pending => (None, 0, None),
                Status::Succeeded { preimage, fees_msat, at } => {
                    (Some(hex::encode(preimage)), *fees_msat, Some(*at))
                }
                Status::Failed { at, .. } => (None, 0, Some(*at)),
            };
            OutgoingRow {
                r#type: "outgoing_payment",
                sub_type: "lightning",
                payment_id,
                payment_hash: Some(hex::encode(hash)),
                is_paid: preimage.is_some(),
                preimage,
                tx_id: None,
                sent: (amount_msat + fees) / 1_000,
                fees,
                invoice: Some(bolt11),
                completed_at,
                created_at,
            }
        }
        Kind::OnChain { sub_type, sat } => OutgoingRow {
            r#type: "outgoing_payment",
            sub_type,
            payment_id,
            payment_hash: None,
            preimage: None,
            tx_id: Some("f1".repeat(32)),
            is_paid: true,
            sent: *sat,
            fees: 1_000,
            invoice: None,
            completed_at: Some(created_at),
            created_at,
        },
    }
}

pub(super) fn payment(row: &Outgoing) -> Response {
    json(&outgoing_row(row))
}

pub(super) fn payments<'a>(rows: impl Iterator<Item = &'a Outgoing>) -> Response {
    json(&rows.map(outgoing_row).collect::<Vec<_>>())
}

/// What a payment's request is answered with: a failure with status 200 too.
pub(super) fn paid(row: &Outgoing) -> Option<Response> {
    let Kind::Lightning { hash, amount_msat, status, .. } = &row.kind else { return None };
    match status {
        Status::Pending => None,
        Status::Succeeded { preimage, fees_msat, .. } => Some(json(&PaymentSent {
            recipient_amount_sat: amount_msat / 1_000,
            routing_fee_sat: fees_msat / 1_000,
            payment_id: row.id.clone(),
            payment_hash: hex::encode(hash),
            payment_preimage: hex::encode(preimage),
        })),
        Status::Failed { reason, .. } => Some(not_paid(hash, reason)),
    }
}

pub(super) fn not_paid(hash: &[u8; 32], reason: &str) -> Response {
    json(&PaymentFailed { payment_hash: hex::encode(hash), reason })
}

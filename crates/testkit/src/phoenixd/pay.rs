//! `POST /payinvoice`: takes a payment as lightning-kmp does, and answers at its end.

use std::sync::Arc;

use axum::response::Response;
use lightning_invoice::Bolt11Invoice;

use super::api::{Parameters, Refused};
use super::money::trampoline_fee;
use super::script::Effect;
use super::state::{Bytes32, Kind, Outgoing, State, Status};
use super::{Shared, answers};

/// Said of a node whose channel is not connected.
const NOT_CONNECTED: &str = "channel is not connected yet, please retry when connected";
const NOT_ENOUGH: &str = "not enough funds in wallet to afford payment";
const UNREACHABLE: &str = "the recipient was offline or did not have enough liquidity to receive the payment";

/// Takes the payment and waits for its end.
pub(super) async fn invoice(shared: &Arc<Shared>, form: &Parameters) -> Result<Response, Refused> {
    let amount = match (form.text("sendAll"), form.integer("amountSat")?) {
        (Some(_), Some(_)) => {
            return Err(super::api::bad("Cannot use both amountSat and sendAll request parameters"));
        }
        (Some(_), None) => Some(u64::try_from(shared.state().balance).unwrap_or(0)),
        (None, sat) => sat.map(|sat| u64::try_from(sat).unwrap_or(0).saturating_mul(1_000)),
    };
    let bolt11 = form.needed("invoice")?;
    let parsed: Bolt11Invoice = bolt11.parse().map_err(|_| form.wrong("invoice", "bolt11invoice"))?;
    let Some(amount) = amount.or(parsed.amount_milli_satoshis()) else {
        return Err(form.missing("amountSat"));
    };
    let hash: Bytes32 = *AsRef::<[u8; 32]>::as_ref(parsed.payment_hash());
    let mut changes = shared.changed.subscribe();
    let id = begin(shared, hash, bolt11, amount)?;
    loop {
        changes.borrow_and_update();
        let answer = shared.state().outgoing.iter().find(|row| row.id == id).and_then(answers::paid);
        if let Some(answer) = answer {
            return Ok(answer);
        }
        let _never_closed = changes.changed().await;
    }
}

/// The payment's id, or the answer where it was not taken.
fn begin(shared: &Shared, hash: Bytes32, bolt11: &str, amount_msat: u64) -> Result<String, Refused> {
    let mut state = shared.state();
    // The order is lightning-kmp's. These three leave no row.
    if amount_msat == 0 {
        return Err(Box::new(answers::not_paid(&hash, "payment amount must be positive")));
    }
    if state.attempts(hash).any(|(_, status)| matches!(status, Status::Succeeded { .. })) {
        return Err(Box::new(answers::not_paid(&hash, "this invoice has already been paid")));
    }
    if state.attempts(hash).any(|(_, status)| *status == Status::Pending) {
        return Err(Box::new(answers::not_paid(&hash, "another payment is in progress for that invoice")));
    }
    let id = uuid::Builder::from_random_bytes(shared.env.random()).into_uuid().to_string();
    let cost = i64::try_from(amount_msat + trampoline_fee(amount_msat)).expect("an amount that can be");
    let now = shared.now();
    let refused = match (state.connected, cost <= state.balance) {
        (false, _) => Some(NOT_CONNECTED),
        (true, false) => Some(NOT_ENOUGH),
        (true, true) => None,
    };
    let status = match refused {
        Some(reason) => Status::Failed { reason: reason.to_owned(), at: now },
        None => {
            state.balance -= cost;
            Status::Pending
        }
    };
    let kind = Kind::Lightning { hash, bolt11: bolt11.to_owned(), amount_msat, status };
    state.outgoing.push(Outgoing { id: id.clone(), created_at: now, kind });
    if refused.is_none() {
        match shared.script.next_effect() {
            Effect::StaysPending => {}
            Effect::Fails(reason) => end(&mut state, hash, Err(reason), now),
            Effect::Usual => {
                let preimage = state.outside_preimages.get(&hash).copied();
                end(&mut state, hash, preimage.ok_or_else(|| UNREACHABLE.to_owned()), now);
            }
        }
    }
    drop(state);
    shared.notify();
    Ok(id)
}

/// Ends the payment of a hash that is under way; nothing where there is none.
pub(super) fn end(state: &mut State, hash: Bytes32, how: Result<Bytes32, String>, at: u64) {
    let pending = state.outgoing.iter_mut().find_map(|row| match &mut row.kind {
        Kind::Lightning { hash: of, amount_msat, status, .. }
            if *of == hash && *status == Status::Pending =>
        {
            Some((*amount_msat, status))
        }
        Kind::Lightning { .. } | Kind::OnChain { .. } => None,
    });
    let Some((amount, status)) = pending else { return };
    let fees_msat = trampoline_fee(amount);
    let returned = match how {
        Ok(preimage) => {
            *status = Status::Succeeded { preimage, fees_msat, at };
            0
        }
        Err(reason) => {
            *status = Status::Failed { reason, at };
            amount + fees_msat
        }
    };
    state.balance += i64::try_from(returned).expect("an amount that can be");
}

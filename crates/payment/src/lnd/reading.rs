//! The node's answers about itself, its invoices and its lists, in our types. Whatever contradicts itself or the question is
//! no answer.

use std::time::Duration;

use poa_common::{Msat, Network};

use super::contract::lnrpc::payment::PaymentStatus;
use super::contract::lnrpc::{
    Amount, ChannelBalanceResponse, GetInfoResponse, ListInvoiceResponse, ListPaymentsResponse,
    PendingChannelsResponse, WalletBalanceResponse,
};
use super::mapping::{amount, invoice_state, no_answer, outcome};
use super::trouble::Trouble;
use crate::{
    Balance, Chain, Decoded, Error, Info, Invoice, ListedInvoice, ListedPayment, NewInvoice, PaymentHash,
    Place, Unit, decode,
};

/// What may be asked for, in blocks: LND's floor, and what senders cap a whole route at.
const FINAL_CLTV_BLOCKS: std::ops::RangeInclusive<u16> = 24..=2_016;
/// The longest that an invoice can be paid (LND's limit).
const MAX_EXPIRY: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Who the node is. One whose sats are neither money nor a private chain's is refused: a receipt could not say what they are.
pub(super) fn info(answer: &GetInfoResponse) -> Result<Info, Error> {
    let [chain] = answer.chains.as_slice() else { return Err(nonsense("a node of no chain or of several")) };
    let (network, chain) = match (chain.chain.as_str(), chain.network.as_str()) {
        ("bitcoin", "mainnet") => (Network::Mainnet, Chain::Bitcoin),
        ("bitcoin", "regtest") => (Network::Regtest, Chain::Regtest),
        ("bitcoin", "simnet") => (Network::Regtest, Chain::Simnet),
        _ => return Err(Error::Unsupported("work on this network: mainnet, regtest or simnet")),
    };
    Ok(Info {
        node: answer.identity_pubkey.parse().map_err(|_| nonsense("a node without a public key"))?,
        network,
        chain,
        height: answer.block_height,
        synced: answer.synced_to_chain,
    })
}

/// What the node holds. What is being opened and closed cannot be sent: it counts as on the chain.
pub(super) fn balance(
    channels: &ChannelBalanceResponse,
    wallet: &WalletBalanceResponse,
    pending: &PendingChannelsResponse,
) -> Result<Balance, Error> {
    let on_chain = [sats(wallet.total_balance)?, sats(pending.total_limbo_balance)?, {
        msats(channels.pending_open_local_balance.as_ref())?
    }];
    Ok(Balance {
        spendable: msats(channels.local_balance.as_ref())?,
        incoming: msats(channels.unsettled_local_balance.as_ref())?,
        outgoing: msats(channels.unsettled_remote_balance.as_ref())?,
        fee_credit: Msat::ZERO,
        on_chain: Msat::checked_sum(on_chain).map_err(|_| nonsense("an amount out of range"))?,
    })
}

fn msats(given: Option<&Amount>) -> Result<Msat, Error> {
    // Absent is zero, as everywhere in Protobuf.
    let msat = given.map_or(0, |given| given.msat);
    i64::try_from(msat)
        .map_err(|_| nonsense("an amount out of range"))
        .and_then(|msat| amount(msat).map_err(no_answer))
}

fn sats(sat: i64) -> Result<Msat, Error> {
    Msat::from_sat(sat)
        .ok_or(nonsense("an amount out of range"))
        .and_then(|msat| amount(msat.get()).map_err(no_answer))
}

/// Whether an invoice can be asked for at all.
pub(super) fn check_request(new: &NewInvoice) -> Result<(), Error> {
    if !Unit::Msat.fits(new.amount) {
        return Err(Error::Invalid("an amount that is not positive or beyond all bitcoin"));
    }
    if new.expiry < Duration::from_secs(1) || new.expiry > MAX_EXPIRY || new.expiry.subsec_nanos() != 0 {
        return Err(Error::Invalid("an expiry that is not whole seconds, from one to a year"));
    }
    if new.min_final_cltv.is_some_and(|blocks| !FINAL_CLTV_BLOCKS.contains(&blocks)) {
        return Err(Error::Invalid("a final CLTV delta out of range"));
    }
    Ok(())
}

/// Seconds, as LND takes them. Only for a request that was checked.
pub(super) fn seconds(expiry: Duration) -> Result<i64, Error> {
    i64::try_from(expiry.as_secs()).map_err(|_| Error::Invalid("an expiry of more than a year"))
}

/// The invoice that the node has made, if it is the one that was asked for.
pub(super) fn made(hash: PaymentHash, bolt11: String, new: &NewInvoice) -> Result<Invoice, Error> {
    let decoded = decode(&bolt11).map_err(|_| nonsense("an invoice that cannot be read"))?;
    if decoded.hash != hash || !is_same(&decoded, new) {
        return Err(nonsense("another invoice than the one that was asked for"));
    }
    Ok(Invoice { hash, bolt11, amount: new.amount, expires_at: decoded.expires_at })
}

/// Whether an invoice asks for what a request does.
pub(super) fn is_same(decoded: &Decoded, new: &NewInvoice) -> bool {
    decoded.amount == Some(new.amount)
        && decoded.description_hash == Some(new.description_hash)
        && new.min_final_cltv.is_none_or(|blocks| u64::from(blocks) == decoded.min_final_cltv)
}

/// A page of invoices after a place.
pub(super) fn invoices(after: Place, page: &ListInvoiceResponse) -> Result<Vec<ListedInvoice>, Error> {
    let read = page.invoices.iter().map(|invoice| {
        let hash = PaymentHash::try_from(invoice.r_hash.as_slice())
            .map_err(|_| nonsense("a hash that is not 32 bytes"))?;
        let state = invoice_state(hash, invoice).map_err(no_answer)?;
        Ok(ListedInvoice { place: Place::new(invoice.add_index), hash, state })
    });
    in_order(after, read.collect::<Result<_, Error>>()?, |listed| listed.place)
}

/// A page of payments after a place.
pub(super) fn payments(after: Place, page: &ListPaymentsResponse) -> Result<Vec<ListedPayment>, Error> {
    let read = page.payments.iter().map(|payment| {
        let hash = payment.payment_hash.parse().map_err(|_| nonsense("a hash that is not 32 bytes"))?;
        let value = amount(payment.value_msat).map_err(no_answer)?;
        let listed =
            ListedPayment::new(Place::new(payment.payment_index), hash, value, outcome(hash, payment));
        if PaymentStatus::try_from(payment.status) != Ok(PaymentStatus::Succeeded) {
            return Ok(listed);
        }
        // Kinds of payment that nothing of ours makes (AMP) have a preimage of another hash, and have left all the same.
        let fee = amount(payment.fee_msat).map_err(no_answer)?;
        Ok(ListedPayment { sent: Some(value.checked_add(fee).unwrap_or(Msat::SUPPLY)), ..listed })
    });
    in_order(after, read.collect::<Result<_, Error>>()?, |listed| listed.place)
}

/// Each place after the one before: whoever goes on from the last one comes to the end.
fn in_order<T>(after: Place, listed: Vec<T>, place: impl Fn(&T) -> Place) -> Result<Vec<T>, Error> {
    let mut last = after;
    for item in &listed {
        if place(item) <= last {
            return Err(nonsense("a list that is not in order"));
        }
        last = place(item);
    }
    Ok(listed)
}

/// An answer that makes no sense.
pub(super) fn nonsense(what: &'static str) -> Error {
    no_answer(Trouble::Nonsense(what))
}

//! Lightning addresses: from `name@host` to an invoice, in two questions to one host.
//!
//! Sources: <https://github.com/lnurl/luds/blob/luds/06.md> and 16.md there. What the specifications leave to the payer is
//! decided for safety:
//!
//! - The callback is on the host of the address, over HTTPS, at the usual port.
//! - The invoice is of exactly the amount that was asked for, of our network, and can still be paid.
//! - A description hash in it is the digest of the metadata. One without is taken: LUD-06 asked for it once, and no longer
//!   does (lnurl/luds #234).
//!
//! Each question gives another invoice, so whoever asks stores the answer with the reservation, and asks no more.

mod answers;
#[cfg(test)]
mod tests;

use poa_common::Msat;
use reqwest::Url;

pub use self::answers::AddressProblem;
pub(crate) use self::answers::Offer;
use crate::domain::address::LightningAddress;
use crate::egress::{Answer, Egress, EgressError};

/// What a host says of one of its addresses.
pub(crate) async fn ask(egress: &Egress, address: &LightningAddress) -> Result<Offer, AddressProblem> {
    let url = format!("https://{}/.well-known/lnurlp/{}", address.host(), address.name());
    let url = Url::parse(&url).map_err(|_| AddressProblem::Malformed)?;
    let Answer { status, json } = egress.get_json(url).await.map_err(problem)?;
    answers::offer(address.host(), status, json.as_deref())
}

/// An invoice of the amount. What is in it is for the caller to check: see [`Offer::describes`].
pub(crate) async fn invoice(egress: &Egress, offer: &Offer, amount: Msat) -> Result<String, AddressProblem> {
    let url = offer.callback(amount)?;
    let Answer { status, json } = egress.get_json(url).await.map_err(problem)?;
    answers::invoice(status, json.as_deref())
}

/// Reads both answers of a host as they come, for the tests that make them up: the host that is asked under the address, and
/// what is called at it for an invoice of the amount.
pub fn read_lnurl(address: &str, answer: &[u8], amount: Msat) -> Option<(String, String)> {
    let address = LightningAddress::parse(address).ok()?;
    let _second = answers::invoice(200, Some(answer));
    let offer = answers::offer(address.host(), 200, Some(answer)).ok()?;
    Some((address.host().to_owned(), offer.callback(amount).ok()?.into()))
}

fn problem(error: EgressError) -> AddressProblem {
    match error {
        EgressError::Unreachable(_) => AddressProblem::Unreachable,
        EgressError::Url | EgressError::Redirect | EgressError::TooLarge => AddressProblem::BadAnswer,
    }
}

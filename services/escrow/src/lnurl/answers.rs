//! What hosts answer, read as what a stranger says: strictly, and with bounds.

use poa_common::Msat;
use reqwest::Url;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::domain::address::NotAnAddress;
use crate::domain::invoice::Problem;

/// The longest callback that is called, in bytes.
const MAX_CALLBACK_BYTES: usize = 2_048;
/// What a host that does not know the name answers.
const NOT_FOUND: u16 = 404;

/// Why a Lightning address is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// Not `name@host`.
    #[error("{NotAnAddress}")]
    Malformed,
    /// The host does not know the name.
    #[error("its host knows no such name")]
    NoSuchName,
    /// No answer, or none from a host of the public internet.
    #[error("its host cannot be reached")]
    Unreachable,
    /// Not what the protocol says.
    #[error("its host does not answer as it must")]
    BadAnswer,
    /// Less than the payee takes, or more.
    #[error("its host takes between {min} and {max} msat")]
    OutOfBounds {
        /// The least.
        min: Msat,
        /// The most.
        max: Msat,
    },
    /// The callback leads to another host.
    #[error("its host sends us to another host")]
    OtherHost,
    /// The host gives no invoice.
    #[error("its host gives no invoice")]
    HostRefused,
    /// The invoice is of another amount.
    #[error("its host gives an invoice of another amount")]
    OtherAmount,
    /// The invoice is about something else than what was offered.
    #[error("its host gives an invoice for something else")]
    OtherDescription,
    /// The invoice cannot be paid.
    #[error("its host gives an invoice that cannot be paid: {0}")]
    Invoice(Problem),
}

/// What a host offers under an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    callback: Url,
    min: Msat,
    max: Msat,
    metadata: [u8; 32],
}

/// What both answers may be in the place of what they should be, and may be marked with.
#[derive(Deserialize)]
struct Status {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayRequest {
    tag: String,
    callback: String,
    min_sendable: i64,
    max_sendable: i64,
    metadata: String,
}

#[derive(Deserialize)]
struct Paid {
    pr: String,
}

/// Reads the first answer.
pub(crate) fn offer(host: &str, status: u16, json: Option<&[u8]>) -> Result<Offer, AddressProblem> {
    if status == NOT_FOUND {
        return Err(AddressProblem::NoSuchName);
    }
    let json = json.ok_or(AddressProblem::BadAnswer)?;
    refused(json, AddressProblem::NoSuchName)?;
    let said: PayRequest = serde_json::from_slice(json).map_err(|_| AddressProblem::BadAnswer)?;
    let bounds = 1 <= said.min_sendable && said.min_sendable <= said.max_sendable;
    if said.tag != "payRequest" || !bounds {
        return Err(AddressProblem::BadAnswer);
    }
    Ok(Offer {
        callback: callback(host, &said.callback)?,
        min: Msat::new(said.min_sendable),
        max: Msat::new(said.max_sendable),
        metadata: Sha256::digest(said.metadata.as_bytes()).into(),
    })
}

/// Reads the second answer: the text of an invoice, whatever is in it.
pub(crate) fn invoice(status: u16, json: Option<&[u8]>) -> Result<String, AddressProblem> {
    let json = json.ok_or(match status {
        200..300 => AddressProblem::BadAnswer,
        _ => AddressProblem::HostRefused,
    })?;
    refused(json, AddressProblem::HostRefused)?;
    let said: Paid = serde_json::from_slice(json).map_err(|_| AddressProblem::BadAnswer)?;
    Ok(said.pr)
}

/// An answer that says that it is an error, with any status of HTTP.
fn refused(json: &[u8], problem: AddressProblem) -> Result<(), AddressProblem> {
    let said: Status = serde_json::from_slice(json).map_err(|_| AddressProblem::BadAnswer)?;
    match said.status {
        Some(status) if status.eq_ignore_ascii_case("error") => Err(problem),
        Some(_) | None => Ok(()),
    }
}

/// A callback on the same host and at the usual port, without a password and a fragment.
fn callback(host: &str, text: &str) -> Result<Url, AddressProblem> {
    if text.len() > MAX_CALLBACK_BYTES {
        return Err(AddressProblem::BadAnswer);
    }
    let mut url = Url::parse(text).map_err(|_| AddressProblem::BadAnswer)?;
    let bare = url.username().is_empty() && url.password().is_none();
    if url.scheme() != "https" || !bare {
        return Err(AddressProblem::BadAnswer);
    }
    if url.domain() != Some(host) || url.port().is_some() {
        return Err(AddressProblem::OtherHost);
    }
    url.set_fragment(None);
    Ok(url)
}

// === impl Offer ===

impl Offer {
    /// The most that the payee takes at a time.
    pub(crate) fn max(&self) -> Msat {
        self.max
    }

    /// What is asked for an invoice.
    pub(crate) fn callback(&self, amount: Msat) -> Result<Url, AddressProblem> {
        if amount < self.min || amount > self.max {
            return Err(AddressProblem::OutOfBounds { min: self.min, max: self.max });
        }
        let mut url = self.callback.clone();
        url.query_pairs_mut().append_pair("amount", &amount.to_string());
        Ok(url)
    }

    /// Whether an invoice with this description hash is for what was offered.
    pub(crate) fn describes(&self, description_hash: Option<[u8; 32]>) -> bool {
        description_hash.is_none_or(|hash| hash == self.metadata)
    }
}

// === impl AddressProblem ===

impl AddressProblem {
    /// The name for a program.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoSuchName => "no-such-name",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad-answer",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::OtherHost => "other-host",
            Self::HostRefused => "host-refused",
            Self::OtherAmount => "other-amount",
            Self::OtherDescription => "other-description",
            Self::Invoice(_) => "invoice",
        }
    }

    /// Facts that a program can act on.
    pub(crate) fn metadata(self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("problem", self.as_str().to_owned())];
        match self {
            Self::OutOfBounds { min, max } => {
                facts.extend([("min_msat", min.to_string()), ("max_msat", max.to_string())]);
            }
            Self::Invoice(problem) => facts.push(("invoice_problem", problem.as_str().to_owned())),
            Self::Malformed
            | Self::NoSuchName
            | Self::Unreachable
            | Self::BadAnswer
            | Self::OtherHost
            | Self::HostRefused
            | Self::OtherAmount
            | Self::OtherDescription => {}
        }
        facts
    }
}

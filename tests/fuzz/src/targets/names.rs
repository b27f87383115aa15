//! Names and amounts: each value has one spelling.

use std::fmt::Display;
use std::str::FromStr;

use poa_common::{
    AccountId, AgentId, ApiKeyId, AttestationId, DepositId, EscrowId, EventId, Msat, Network, SessionId,
    TaskId, TransferId, WithdrawalId,
};
use poa_payment::decode;
use proof_of_agent::{DidKey, Digest, LogKey};

/// What is read from a text is written as that text.
fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

/// A `did:key` has one spelling, and is a key that can sign.
pub(crate) fn did(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    one_spelling::<DidKey>(&text);
    one_spelling::<LogKey>(&text);
    one_spelling::<Digest>(&text);
    if let Ok(key) = DidKey::from_slice(data) {
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!(!key.verifies(data, &[0; 64]), "no key takes a signature of zeros");
    }
}

/// Ids and networks have one spelling; an amount is the same after it was written.
pub(crate) fn names(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    one_spelling::<AccountId>(&text);
    one_spelling::<AgentId>(&text);
    one_spelling::<ApiKeyId>(&text);
    one_spelling::<AttestationId>(&text);
    one_spelling::<DepositId>(&text);
    one_spelling::<EscrowId>(&text);
    one_spelling::<EventId>(&text);
    one_spelling::<SessionId>(&text);
    one_spelling::<TaskId>(&text);
    one_spelling::<TransferId>(&text);
    one_spelling::<WithdrawalId>(&text);
    one_spelling::<Network>(&text);
    if let Ok(amount) = text.parse::<Msat>() {
        assert_eq!(amount.to_string().parse(), Ok(amount));
        for bps in [0, 1, 500, 9_999, 10_000] {
            let share = amount.share_floor(bps).expect("no share is above the whole");
            assert!(amount.is_negative() || share <= amount);
            assert_eq!(amount.checked_sub(share).and_then(|rest| rest.checked_add(share)), Ok(amount));
        }
    }
    if let Ok(value) = http::HeaderValue::from_bytes(data)
        && let Some(timeout) = poa_chassis::layers::parse_timeout(&value)
    {
        assert!(data.len() <= 9 && timeout.as_secs() <= 99_999_999 * 3_600);
    }
}

/// An invoice that can be read asks for an amount that exists, and is read the same way twice.
pub(crate) fn bolt11(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(decoded) = decode(&text) else { return };
    assert_eq!(decode(&text).as_ref(), Ok(&decoded));
    assert!(decoded.amount.is_none_or(|amount| !amount.is_negative() && amount <= Msat::SUPPLY));
}

/// What the host of a Lightning address answers: the first byte parts the first answer from the second. Whatever it says, only
/// that host is called, for exactly the amount.
pub(crate) fn lnurl(data: &[u8]) {
    let [share, rest @ ..] = data else { return };
    let (address, answer) = rest.split_at(rest.len() * usize::from(*share % 17) / 16);
    let address = String::from_utf8_lossy(address);
    for address in [&*address, "alice@pay.example"] {
        let Some((host, called)) = poa_escrow::read_lnurl(address, answer, Msat::new(10_000)) else {
            continue;
        };
        assert!(address.to_ascii_lowercase().ends_with(&format!("@{host}")));
        let called: http::Uri = called.parse().expect("what is called is a URL");
        assert_eq!((called.scheme_str(), called.host(), called.port()), (Some("https"), Some(&*host), None));
        assert!(called.query().is_some_and(|query| query.ends_with("amount=10000")));
    }
}

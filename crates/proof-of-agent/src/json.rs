//! The JSON rules of receipts: how times, amounts and bytes are spelt.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The largest whole number that every JSON reader keeps exactly: 2^53 − 1.
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Reads a file in the one shape in which it is written. Serde by itself reads a struct from the array of its fields too, and
/// the name of a case from an object: one reader's file must be every reader's.
pub(crate) fn from_file<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let read: T = serde_json::from_slice(bytes)?;
    if has_shape_of(&serde_json::from_slice(bytes)?, &serde_json::to_value(&read)?) {
        Ok(read)
    } else {
        Err(serde_json::Error::custom("an object or a name is expected where something else stands"))
    }
}

/// Whether what was found is of the types that are written. What is absent or null was a matter for the reader.
fn has_shape_of(found: &Value, written: &Value) -> bool {
    match (found, written) {
        (Value::Object(found), Value::Object(written)) => {
            written.iter().all(|(name, value)| found.get(name).is_none_or(|it| has_shape_of(it, value)))
        }
        (Value::Array(found), Value::Array(written)) => {
            found.len() == written.len()
                && found.iter().zip(written).all(|(it, value)| has_shape_of(it, value))
        }
        (found, written) => std::mem::discriminant(found) == std::mem::discriminant(written),
    }
}

/// Reads a value from its text, whether the JSON string was escaped or not.
pub(crate) fn from_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    let text = <Cow<'de, str>>::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// `N` bytes from lower-case hexadecimal digits. One spelling per value, so that a changed receipt is
/// never the same receipt.
pub(crate) fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Standard base 64 with padding, which is what receipts are written in.
pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base 64 with padding, standard or URL-safe: DSSE allows both.
pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    if text.contains(['-', '_']) { URL_SAFE.decode(text).ok() } else { STANDARD.decode(text).ok() }
}

/// Bytes as a base 64 string.
pub(crate) mod base64_bytes {
    use super::*;

    pub(crate) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        base64_decode(&text).ok_or_else(|| D::Error::custom("expected base 64 with padding"))
    }
}

/// Bytes that may be absent.
pub(crate) mod optional_base64_bytes {
    use super::*;

    pub(crate) fn serialize<S: serde::Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => base64_bytes::serialize(bytes, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        base64_bytes::deserialize(deserializer).map(Some)
    }
}

/// A moment as RFC 3339 in UTC, written with `Z`.
pub(crate) mod utc {
    use poa_common::Timestamp;
    use serde::ser::Error as _;
    use time::UtcOffset;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    /// The longest spelling: nine digits of a second's fraction.
    const MAX_LENGTH: usize = "2026-01-01T00:00:00.123456789Z".len();

    pub(crate) fn serialize<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(S::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom("expected an RFC 3339 time in UTC that ends with Z"))
    }

    /// Upper-case `T` and `Z` only: one spelling fewer for a verifier to disagree about.
    pub(crate) fn parse(text: &str) -> Option<Timestamp> {
        let exact = text.len() <= MAX_LENGTH && text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
        if exact { Timestamp::parse(text, &Rfc3339).ok() } else { None }
    }
}

/// A moment that may be absent.
pub(crate) mod optional_utc {
    use poa_common::Timestamp;

    use super::*;

    pub(crate) fn serialize<S: serde::Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => utc::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        utc::deserialize(deserializer).map(Some)
    }
}

/// An amount of millisatoshi as a decimal string without sign or leading zero: readers that keep numbers
/// as doubles would round it silently.
pub(crate) mod msat {
    use poa_common::Msat;

    use super::*;

    pub(crate) fn serialize<S: serde::Serializer>(amount: &Msat, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Msat, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom("expected an amount in msat as a decimal string"))
    }

    pub(crate) fn parse(text: &str) -> Option<Msat> {
        let amount: Msat = text.parse().ok()?;
        let canonical = !amount.is_negative() && amount.to_string() == text;
        (canonical && amount <= Msat::SUPPLY).then_some(amount)
    }
}

/// An amount that may be absent.
pub(crate) mod optional_msat {
    use poa_common::Msat;

    use super::*;

    pub(crate) fn serialize<S: serde::Serializer>(
        amount: &Option<Msat>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match amount {
            Some(amount) => msat::serialize(amount, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Msat>, D::Error> {
        let text = <Option<Cow<'de, str>>>::deserialize(deserializer)?;
        let Some(text) = text else { return Ok(None) };
        msat::parse(&text)
            .map(Some)
            .ok_or_else(|| D::Error::custom("expected an amount in msat as a decimal string"))
    }
}

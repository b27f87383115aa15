//! API keys.

use std::time::Duration;

use poa_common::{AccountId, AgentId, ApiKeyId, Timestamp};
use zeroize::Zeroizing;

/// What every secret begins with: scanners find one that leaked.
const PREFIX: &str = "poak_";
/// Keys of one account that work; revoked and expired ones do not count.
pub(crate) const MAX_API_KEYS: i64 = 100;
/// How long a key lasts at most, and where nothing else was asked.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3_600);

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiKey {
    pub(crate) id: ApiKeyId,
    pub(crate) account_id: AccountId,
    pub(crate) name: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) agent_id: Option<AgentId>,
    pub(crate) create_time: Timestamp,
    pub(crate) expire_time: Timestamp,
    pub(crate) revoke_time: Option<Timestamp>,
}

/// The secret of an API key: `poak_` and 32 bytes in lower-case hex.
pub(crate) struct ApiKeySecret(Zeroizing<[u8; 32]>);

/// When a new key ends.
///
/// # Errors
/// A sentence on what is wrong with the time that was asked for.
pub(crate) fn expiry(asked: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, &'static str> {
    let latest = now + MAX_LIFETIME;
    match asked {
        None => Ok(latest),
        Some(at) if at <= now => Err("must lie in the future"),
        Some(at) if at > latest => Err("must lie at most a year ahead"),
        Some(at) => Ok(at),
    }
}

// === impl ApiKey ===

impl ApiKey {
    /// Why the key opens nothing; `None` while it works.
    pub(crate) fn problem(&self, now: Timestamp) -> Option<&'static str> {
        if self.revoke_time.is_some() {
            Some("revoked")
        } else if now >= self.expire_time {
            Some("expired")
        } else {
            None
        }
    }
}

// === impl ApiKeySecret ===

impl ApiKeySecret {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret as the client sends it.
    pub(crate) fn text(&self) -> String {
        format!("{PREFIX}{}", hex::encode(self.0.as_slice()))
    }

    /// Reads a secret; `None` for anything that [`ApiKeySecret::text`] did not write.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    /// SHA-256 of the text: what is stored.
    pub(crate) fn hash(&self) -> [u8; 32] {
        poa_storage::secret::hash(self.text().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use time::macros::datetime;

    const NOW: Timestamp = datetime!(2026-03-01 12:00 UTC);

    #[test]
    fn a_secret_is_read_as_it_was_written_and_nothing_else_is() {
        let text = ApiKeySecret::from_bytes([0xab; 32]).text();
        assert_eq!(ApiKeySecret::parse(&text).unwrap().hash(), poa_storage::secret::hash(text.as_bytes()));
        for other in [
            String::new(),
            text.to_uppercase(),
            text.replace("ab", "AB"),
            text.replace("poak_", "poar_"),
            format!("{text}ab"),
            text[..text.len() - 2].to_owned(),
            text.replace("ab", "zz"),
        ] {
            assert!(ApiKeySecret::parse(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_key_lasts_until_the_time_that_was_asked_for_and_a_year_at_most() {
        let year = NOW + MAX_LIFETIME;
        assert_eq!(expiry(None, NOW), Ok(year));
        assert_eq!(expiry(Some(year), NOW), Ok(year));
        assert!(expiry(Some(year + Duration::from_secs(1)), NOW).is_err());
        assert!(expiry(Some(NOW), NOW).is_err());
    }
}

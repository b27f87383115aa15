//! What a caller demands beyond a document that is genuine, as it comes from JavaScript.

use poa_common::{Network, Timestamp};
use proof_of_agent::{Digest, Policy, TrustLevel};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::answer::Failure;

/// Nanoseconds of a millisecond, in which JavaScript counts.
const NANOS: i128 = 1_000_000;

/// A moment in milliseconds since 1970, as `Date.now()` says it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Millis(i64);

/// Options of `verify`. Unknown ones are an error: a demand with a typing error must not pass for none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReceiptOptions {
    pub(crate) time_ms: Millis,
    #[serde(default)]
    require_paid: bool,
    #[serde(default)]
    network: Option<Network>,
    #[serde(default)]
    min_log_size: u64,
    #[serde(default)]
    min_level: Option<String>,
    #[serde(default)]
    reproduced_build: Option<Digest>,
}

/// Options of `verifyBalance`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BalanceOptions {
    pub(crate) time_ms: Millis,
    #[serde(default)]
    pub(crate) network: Option<Network>,
    #[serde(default)]
    pub(crate) min_log_size: u64,
}

pub(crate) fn parse<T: DeserializeOwned>(options: &str) -> Result<T, Failure> {
    serde_json::from_str(options).map_err(|error| Failure::new("options", format!("the options: {error}")))
}

// === impl Millis ===

impl Millis {
    pub(crate) fn time(self) -> Result<Timestamp, Failure> {
        Timestamp::from_unix_timestamp_nanos(i128::from(self.0) * NANOS)
            .map_err(|_| Failure::new("options", "the options: the time is out of range"))
    }
}

// === impl ReceiptOptions ===

impl ReceiptOptions {
    pub(crate) fn policy(&self) -> Result<Policy, Failure> {
        let levels = [TrustLevel::Key, TrustLevel::Published, TrustLevel::Reproduced, TrustLevel::Tee];
        let min_level = match &self.min_level {
            Some(name) => {
                let level = levels.into_iter().find(|level| level.as_str() == name);
                Some(level.ok_or_else(|| Failure::new("options", "the options: minLevel is L0 to L3"))?)
            }
            None => None,
        };
        Ok(Policy {
            require_paid: self.require_paid,
            network: self.network,
            min_log_size: self.min_log_size,
            reproduced_build: self.reproduced_build,
            min_level,
        })
    }
}

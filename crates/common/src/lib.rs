#![doc = include_str!("../README.md")]

mod data_dir;
mod env;
mod error;
pub mod hold;
mod id;
pub mod lnd;
mod money;

pub use data_dir::default_data_dir;
pub use env::{Clock, Entropy, Env, Timestamp};
pub use error::{Code, FieldViolation, ServiceError, Violations};
pub use id::{
    AccountId, AgentId, ApiKeyId, AttestationId, DepositId, EscrowId, EventId, IdError, LiabilitiesId,
    SessionId, TaskId, TransferId, TypedId, WithdrawalId,
};
pub use money::{Msat, MsatError};

/// Which kind of sats a deployment moves. It stands in every receipt, so that simulated sats never verify
/// as money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Real money.
    Mainnet,
    /// A private chain for tests.
    Regtest,
    /// The simulated node: no chain, no value.
    Simulated,
}

// === impl Network ===

impl Network {
    /// The name that stands in receipts and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Regtest => "regtest",
            Self::Simulated => "simulated",
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "mainnet" => Ok(Self::Mainnet),
            "regtest" => Ok(Self::Regtest),
            "simulated" => Ok(Self::Simulated),
            other => Err(format!("`{other}` is not a network: mainnet, regtest or simulated")),
        }
    }
}

//! Why a phoenixd cannot be used at a start, in words that say what to do.

use super::answers::Misunderstood;

/// What stands between us and the node.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It does not answer, or something before it says that it does not. phoenixd itself opens its port only once it has
    /// reached its peer.
    #[error("phoenixd does not answer: is it running, and has it reached its peer?")]
    NoAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not take the password, or the one for sending is of limited access.
    #[error("phoenixd refuses the password: compare the file with phoenix.conf")]
    Password,
    /// It is on a chain that receipts have no name for.
    #[error("phoenixd is neither on mainnet nor on testnet3")]
    Chain,
    /// Whatever answers is not understood.
    #[error("what answers is not a phoenixd that is understood")]
    NotUnderstood(#[source] Box<dyn std::error::Error + Send + Sync>),
}

// === impl Trouble ===

impl Trouble {
    /// Whether waiting may help.
    pub fn passes(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Password | Self::Chain | Self::NotUnderstood(_) => false,
        }
    }
}

impl From<Misunderstood> for Trouble {
    fn from(why: Misunderstood) -> Self {
        match why {
            Misunderstood::Http(_) | Misunderstood::Status(500..) => Self::NoAnswer(Box::new(why)),
            Misunderstood::Password => Self::Password,
            Misunderstood::Chain => Self::Chain,
            Misunderstood::Status(_) | Misunderstood::Shape { .. } | Misunderstood::Contradiction(_) => {
                Self::NotUnderstood(Box::new(why))
            }
        }
    }
}

//! What can go wrong on the receiving side. The sending side has no error: see [`Outcome`](crate::Outcome).

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong, and will be for ever. Nothing was done.
    #[error("invalid request: {0}")]
    Invalid(&'static str),
    /// The node does not know the hash. It may have known it once: absence proves nothing.
    #[error("the node does not know this payment hash")]
    NotFound,
    /// The invoice is in a state that forbids this. Nothing was done.
    #[error("the invoice is {state}")]
    WrongState {
        /// The state that was found: `open`, `accepted`, `settled`, `canceled` or `existing`.
        state: &'static str,
    },
    /// The node cannot do this at all: see [`Capabilities`](crate::Capabilities). Nothing was done.
    #[error("this provider cannot {0}")]
    Unsupported(&'static str),
    /// The node is full. Nothing was done; it can be asked again later.
    #[error("the node has reached its limit of {0}")]
    Full(&'static str),
    /// The node gave no answer, or none that can be understood. **It may have done what was asked.**
    #[error("the node gave no answer")]
    NoAnswer(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

// === impl Error ===

impl Error {
    /// Whether the request certainly changed nothing at the node.
    pub fn certainly_not_applied(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::NotFound
            | Self::WrongState { .. }
            | Self::Unsupported(_)
            | Self::Full(_) => true,
            Self::NoAnswer(_) => false,
        }
    }

    /// Whether the same request may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Full(_) | Self::NoAnswer(_) => true,
            Self::Invalid(_) | Self::NotFound | Self::WrongState { .. } | Self::Unsupported(_) => false,
        }
    }
}

//! Inputs and results.

use proof_of_agent::{Content, Digest};

/// An input or a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// Such as `application/json`; may be empty.
    pub(crate) media_type: String,
    /// Where the bytes are.
    pub(crate) place: Place,
}

/// Where the bytes of an input or result are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here.
    Inline(Vec<u8>),
    /// Elsewhere: what is said of them is not checked.
    Remote {
        /// An https URI.
        uri: String,
        /// The SHA-256 of the bytes.
        sha256: Digest,
        /// How many bytes they are.
        size: u64,
    },
}

// === impl Body ===

impl Body {
    /// The SHA-256 of the bytes.
    pub(crate) fn sha256(&self) -> Digest {
        match &self.place {
            Place::Inline(bytes) => Digest::of(bytes),
            Place::Remote { sha256, .. } => *sha256,
        }
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> u64 {
        match &self.place {
            Place::Inline(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Place::Remote { size, .. } => *size,
        }
    }

    /// How statements name it.
    pub(crate) fn content(&self) -> Content {
        Content::new(self.sha256(), self.size(), self.media_type.clone())
    }
}

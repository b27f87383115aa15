#![doc = include_str!("../README.md")]

mod check;
mod policy;

pub use check::{Check, Found};
pub use policy::{Audience, METHODS, Method};

/// The encoded `FileDescriptorSet` of every contract, custom options included: for reflection, routing and tests.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.binpb");

/// Accounts, sign-in, keys and agents.
pub mod auth {
    /// Version 1.
    pub mod v1 {
        include!("gen/poa.auth.v1.rs");
    }
}

/// Tasks.
pub mod task {
    /// Version 1.
    pub mod v1 {
        include!("gen/poa.task.v1.rs");
    }
}

/// Balances, deposits, withdrawals and escrows.
pub mod escrow {
    /// Version 1.
    pub mod v1 {
        include!("gen/poa.escrow.v1.rs");
    }
}

/// Receipts and the transparency log.
pub mod attestation {
    /// Version 1.
    pub mod v1 {
        include!("gen/poa.attestation.v1.rs");
    }
}

/// Finding agents and tasks.
pub mod search {
    /// Version 1.
    pub mod v1 {
        include!("gen/poa.search.v1.rs");
    }
}

/// The registry of error reasons.
pub mod errors {
    /// Version 1.
    pub mod v1 {
        include!("gen/poa.errors.v1.rs");
    }
}

mod checks {
    use crate::check::{Check, Found, join};

    include!("gen/checks.rs");
}

//! What stands in every statement, whatever it says.

use std::fmt;

use poa_common::{Network, TaskId};
use serde::{Deserialize, Serialize};

use crate::did::DidKey;
use crate::digest::Digest;

/// 128 random bits of the signer, so that nobody can guess a statement and look its digest up in the log.
/// Its text is 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce([u8; Nonce::LENGTH]);

/// In which role a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Who offers the task and pays for it.
    Requester,
    /// Who does the work.
    Agent,
    /// Who witnesses, logs and moves the sats.
    Platform,
    /// Who judges a dispute, with a key of its own that the trust root names.
    Arbiter,
}

/// Who makes a statement, and with which nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    signer: DidKey,
    role: Role,
    on_behalf_of: Option<Role>,
    nonce: Nonce,
}

/// What a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which thing the digest is of.
    pub name: SubjectName,
    /// The SHA-256 of that thing.
    pub sha256: Digest,
}

/// Which thing a statement's subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubjectName {
    /// The input of the task: of its terms.
    Input,
    /// The terms themselves, by the digest of their statement: of all that happens before there is a result.
    Terms,
    /// The result.
    Result,
}

/// What stands in every statement beside what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The task.
    pub task: TaskId,
    /// Which kind of sats: simulated sats never verify as money.
    pub network: Network,
    /// The origin of the log that the statement goes into: one per platform instance.
    pub origin: String,
    /// 128 random bits.
    pub nonce: Nonce,
    /// The digest of the statement before; only the terms have none.
    pub predecessor: Option<Digest>,
    /// The key that signs.
    pub signer: DidKey,
    /// The role in which it signs.
    pub role: Role,
    /// For whom it signs, where that is not the signer.
    pub on_behalf_of: Option<Role>,
}

// === impl Nonce ===

impl Nonce {
    /// Bytes of a nonce.
    pub const LENGTH: usize = 16;

    /// A nonce from 16 bytes of a cryptographic source, never used before.
    pub const fn new(random: [u8; Self::LENGTH]) -> Self {
        Self(random)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Nonce {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        crate::json::lower_hex(text).map(Self).ok_or("expected a nonce of 32 lower-case hexadecimal digits")
    }
}

impl Serialize for Nonce {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::json::from_text(deserializer)
    }
}

// === impl Role ===

impl Role {
    /// The spelling in a statement.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Agent => "agent",
            Self::Platform => "platform",
            Self::Arbiter => "arbiter",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Author ===

impl Author {
    /// The agent, with its own key.
    pub const fn agent(signer: DidKey, nonce: Nonce) -> Self {
        Self { signer, role: Role::Agent, on_behalf_of: None, nonce }
    }

    /// The platform, with its receipt key.
    pub const fn platform(signer: DidKey, nonce: Nonce) -> Self {
        Self { signer, role: Role::Platform, on_behalf_of: None, nonce }
    }

    /// An arbiter, with its own key.
    pub const fn arbiter(signer: DidKey, nonce: Nonce) -> Self {
        Self { signer, role: Role::Arbiter, on_behalf_of: None, nonce }
    }

    /// The platform, with its receipt key, for a requester who is signed in but has no key of its own.
    pub const fn platform_for_requester(signer: DidKey, nonce: Nonce) -> Self {
        Self { signer, role: Role::Platform, on_behalf_of: Some(Role::Requester), nonce }
    }

    /// The requester, with its own key.
    pub const fn requester(signer: DidKey, nonce: Nonce) -> Self {
        Self { signer, role: Role::Requester, on_behalf_of: None, nonce }
    }
}

// === impl Context ===

impl Context {
    pub(crate) fn new(
        task: TaskId,
        network: Network,
        origin: String,
        predecessor: Option<Digest>,
        author: Author,
    ) -> Self {
        let Author { signer, role, on_behalf_of, nonce } = author;
        Self { task, network, origin, nonce, predecessor, signer, role, on_behalf_of }
    }

    /// Whether this is said by the requester, or by the platform for the requester.
    pub fn speaks_for_requester(&self) -> bool {
        self.role == Role::Requester || self.on_behalf_of == Some(Role::Requester)
    }
}

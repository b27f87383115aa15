//! The public fields of a leaf.

use poa_common::{AgentId, Msat, Timestamp, TypedId as _};

use super::Facts;

/// The version of the encoding.
const VERSION: u8 = 1;
/// Bytes of an encoded record.
pub const RECORD_BYTES: usize = 42;
/// The flag of a result that came in time.
const ON_TIME: u8 = 1;
/// The flag of a task whose requester is paid by itself.
const SELF_DEALING: u8 = 2;

/// What became of an agent's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Verdict {
    /// The requester took the result, and it was paid.
    Accepted = 1,
    /// The requester did not judge in time, and the result was paid.
    DeadlinePassed = 2,
    /// The result fulfilled all criteria that a machine checks, and was paid.
    CriteriaMet = 3,
    /// A part of the work was taken, and paid.
    PaidInPart = 4,
    /// An arbiter gave the agent all or a part.
    Awarded = 5,
    /// The result was rejected.
    Rejected = 6,
    /// The agent claimed the task and did not deliver.
    Lapsed = 7,
    /// An arbiter gave the agent nothing.
    Denied = 8,
}

/// A requester as one agent's records name it: the same for all tasks between the two, and another for each agent, so that nobody
/// follows a requester from agent to agent. 16 bytes, made by the platform with a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; 16]);

/// What a statement means for an agent's reputation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What follows from the chain: a verifier who has it checks this.
    pub facts: Facts,
    /// Whose task it was.
    pub requester: Pseudonym,
    /// The [`bucket`] of the fees that the requester had paid before, for the work of others than itself, as the platform says.
    pub standing: u8,
}

/// How many bits an amount has: 0 for nothing, else one more than the whole part of its logarithm to the base 2. Public records
/// say amounts to within a factor of two.
pub fn bucket(amount: Msat) -> u8 {
    let amount = u64::try_from(amount.get()).unwrap_or_default();
    u8::try_from(u64::BITS - amount.leading_zeros()).unwrap_or(u8::MAX)
}

/// The day of a moment, from 1970-01-01 on, in UTC.
pub fn day_of(at: Timestamp) -> u32 {
    u32::try_from(at.unix_timestamp().div_euclid(86_400)).unwrap_or_default()
}

// === impl Verdict ===

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::DeadlinePassed,
        Self::CriteriaMet,
        Self::PaidInPart,
        Self::Awarded,
        Self::Rejected,
        Self::Lapsed,
        Self::Denied,
    ];

    /// The number that stands in a record.
    #[expect(clippy::as_conversions, reason = "the number of a case, which has a byte")]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The verdict of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }
}

// === impl Pseudonym ===

impl Pseudonym {
    /// A pseudonym from its 16 bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

// === impl Record ===

impl Record {
    /// The bytes: version (1 byte, 1), the agent's UUID (16), the requester's pseudonym (16), verdict (1), bucket of the amount (1),
    /// bucket of the fee (1), flags (1), standing (1), day (4, big-endian).
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let facts = &self.facts;
        let mut flags = 0;
        if facts.on_time {
            flags |= ON_TIME;
        }
        if facts.self_dealing {
            flags |= SELF_DEALING;
        }
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(facts.agent.uuid().as_bytes());
        bytes[17..33].copy_from_slice(&self.requester.0);
        bytes[33] = facts.verdict.number();
        bytes[34] = facts.amount_bucket;
        bytes[35] = facts.fee_bucket;
        bytes[36] = flags;
        bytes[37] = self.standing;
        bytes[38..].copy_from_slice(&facts.day.to_be_bytes());
        bytes
    }

    /// Reads the bytes; none where they are not a record of a known version in its one spelling.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RECORD_BYTES] = bytes.try_into().ok()?;
        let flags = bytes[36];
        let amounts = [bytes[34], bytes[35], bytes[37]];
        if bytes[0] != VERSION || flags > (ON_TIME | SELF_DEALING) || amounts.iter().any(|it| *it > 64) {
            return None;
        }
        let facts = Facts {
            agent: AgentId::from_uuid(uuid::Uuid::from_slice(&bytes[1..17]).ok()?),
            verdict: Verdict::from_number(bytes[33])?,
            amount_bucket: bytes[34],
            fee_bucket: bytes[35],
            on_time: flags & ON_TIME != 0,
            self_dealing: flags & SELF_DEALING != 0,
            day: u32::from_be_bytes(bytes[38..].try_into().ok()?),
        };
        Some(Self { facts, requester: Pseudonym(bytes[17..33].try_into().ok()?), standing: bytes[37] })
    }
}

impl serde::Serialize for Record {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.encode()))
    }
}

impl<'de> serde::Deserialize<'de> for Record {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;

        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        crate::json::lower_hex::<RECORD_BYTES>(&text).and_then(|bytes| Self::decode(&bytes)).ok_or_else(
            || D::Error::custom("expected a record of reputation in lower-case hexadecimal digits"),
        )
    }
}

//! Typed ids: a lower-case prefix and a UUIDv7, as TypeID 0.3 writes them (`task_01h455vb4pex5vsknk084sn02q`).
//!
//! Source: <https://github.com/jetify-com/typeid/tree/main/spec>.

use std::fmt;

use uuid::Uuid;

/// Crockford's base 32 in lower case, the alphabet of a TypeID's suffix.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five, the first of three.
const SUFFIX_LENGTH: usize = 26;

/// An id of one kind of thing. The prefix keeps an account's id from being taken for a task's.
pub trait TypedId: Copy + fmt::Display + std::str::FromStr<Err = IdError> {
    /// What stands before the underscore.
    const PREFIX: &'static str;

    /// An id from its 128 bits.
    fn from_uuid(uuid: Uuid) -> Self;

    /// The 128 bits, as databases keep them.
    fn uuid(self) -> Uuid;
}

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdError {
    /// The prefix that was expected.
    pub expected: &'static str,
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl TypedId for $name {
            const PREFIX: &'static str = $prefix;

            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($prefix, text).map(Self).ok_or(IdError { expected: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

typed_ids! {
    /// An account: it owns a balance and tokens.
    AccountId = "acct";
    /// An agent: it belongs to an account and signs with a key of its own.
    AgentId = "agent";
    /// An API key's record. The secret itself is another thing.
    ApiKeyId = "key";
    /// A sign-in session: one family of refresh tokens.
    SessionId = "sess";
    /// A task.
    TaskId = "task";
    /// An escrow: the sats held for one task.
    EscrowId = "escr";
    /// A deposit over Lightning.
    DepositId = "dep";
    /// A withdrawal over Lightning.
    WithdrawalId = "wdr";
    /// A transfer in the ledger: postings that sum to zero.
    TransferId = "xfer";
    /// A statement of a receipt chain, as logged.
    AttestationId = "att";
    /// A snapshot of what the platform owes: the balances of one moment.
    LiabilitiesId = "liab";
    /// An entry of a service's event stream.
    EventId = "evt";
}

fn write(f: &mut fmt::Formatter<'_>, prefix: &str, uuid: Uuid) -> fmt::Result {
    f.write_str(prefix)?;
    f.write_str("_")?;
    let bits = uuid.as_u128();
    for place in (0..SUFFIX_LENGTH).rev() {
        let digit = usize::try_from((bits >> (5 * place)) & 31).unwrap_or(0);
        fmt::Write::write_char(f, char::from(ALPHABET[digit]))?;
    }
    Ok(())
}

fn parse(prefix: &str, text: &str) -> Option<Uuid> {
    let suffix = text.strip_prefix(prefix)?.strip_prefix('_')?;
    // A first digit above 7 would need 129 bits.
    if suffix.len() != SUFFIX_LENGTH || suffix.as_bytes().first()? > &b'7' {
        return None;
    }
    let mut bits = 0u128;
    for byte in suffix.bytes() {
        let digit = ALPHABET.iter().position(|candidate| *candidate == byte)?;
        bits = (bits << 5) | u128::try_from(digit).ok()?;
    }
    Some(Uuid::from_u128(bits))
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected an id of the form {}_ and {SUFFIX_LENGTH} characters", self.expected)
    }
}

impl std::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's valid.yml: the UUID 0188bac7-4afa-78aa-bc3b-bd1eef28d881.
    const SPEC_SUFFIX: &str = "01h2xcejqtf2nbrexx3vqjhp41";
    const SPEC_UUID: u128 = 0x0188_bac7_4afa_78aa_bc3b_bd1e_ef28_d881;

    #[test]
    fn an_id_is_written_as_the_specification_has_it() {
        let id = TaskId::from_uuid(Uuid::from_u128(SPEC_UUID));
        assert_eq!(id.to_string(), format!("task_{SPEC_SUFFIX}"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_text_that_is_not_exactly_an_id_is_refused() {
        for text in [
            format!("agent_{SPEC_SUFFIX}"),
            format!("TASK_{SPEC_SUFFIX}"),
            format!("task_{}", SPEC_SUFFIX.to_uppercase()),
            format!("task_8{}", &SPEC_SUFFIX[1..]),
            format!("task_{SPEC_SUFFIX}0"),
            format!("task{SPEC_SUFFIX}"),
            "task_".to_owned(),
            String::new(),
            format!("task_l{}", &SPEC_SUFFIX[1..]),
        ] {
            assert_eq!(text.parse::<TaskId>(), Err(IdError { expected: "task" }), "{text}");
        }
    }
}

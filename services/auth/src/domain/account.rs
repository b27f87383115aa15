//! Accounts.

use std::str::FromStr;

use poa_common::{AccountId, Timestamp};

/// An account, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) create_time: Timestamp,
}

/// A name to sign in with: 3 to 32 of a-z, 0-9, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Username(String);

// === impl Username ===

impl Username {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if (3..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 3 to 32 of a-z, 0-9, - and _")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_exactly_what_the_contract_says() {
        for text in ["ada", "a-b_c", "007", &"a".repeat(32)] {
            assert!(text.parse::<Username>().is_ok(), "{text}");
        }
        for text in ["", "ab", "Ada", "ada ", "ädä", "a.b.c", "ada\0", &"a".repeat(33)] {
            assert!(text.parse::<Username>().is_err(), "{text:?}");
        }
    }
}

//! Lightning addresses: `name@host`, and nothing that could be read as anything else.
//!
//! Source: <https://github.com/lnurl/luds/blob/luds/16.md>.

use std::fmt;

/// The longest name, in bytes. LUD-16 has no limit; mail has this one.
const MAX_NAME_BYTES: usize = 64;
/// The longest host and the longest label, in bytes (RFC 1035).
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A Lightning address in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LightningAddress {
    name: String,
    host: String,
}

/// Not a Lightning address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a Lightning address is name@host: letters, digits and -_.+ in the name, and the full name of a host"
)]
pub(crate) struct NotAnAddress;

// === impl LightningAddress ===

impl LightningAddress {
    /// Reads an address. Upper case is read as lower case: LUD-16 has no other.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnAddress> {
        let (name, host) = text.split_once('@').ok_or(NotAnAddress)?;
        let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
        if is_name(&name) && is_host(&host) { Ok(Self { name, host }) } else { Err(NotAnAddress) }
    }

    /// What stands before the at sign.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The host that is asked.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for LightningAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.host)
    }
}

/// The characters of LUD-16, and not a step in a path.
fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.+".contains(&byte);
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(known)
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

/// A full domain name: at least two labels, and the last begins with a letter, so that no spelling of an IP address is one.
fn is_host(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    host.len() <= MAX_HOST_BYTES
        && labels.len() >= 2
        && labels.iter().all(|label| is_label(label))
        && labels.last().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_lowercase()))
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL_BYTES
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_a_name_at_a_full_host() {
        for good in [
            "satoshi@bitcoin.org",
            "a@b.co",
            "under_score-and.dot+tag@pay.example.com",
            "1@xn--bcher-kva.example",
            "..a@x.y1",
        ] {
            assert_eq!(LightningAddress::parse(good).map(|read| read.to_string()), Ok(good.to_owned()));
        }
        let read = LightningAddress::parse("Alice@Pay.Example").unwrap();
        assert_eq!((read.name(), read.host()), ("alice", "pay.example"));
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_address() {
        for bad in [
            "",
            "@",
            "alice",
            "alice@",
            "@host.example",
            "alice@host",
            "alice@localhost",
            "alice@127.0.0.1",
            "alice@1.1",
            "alice@0x7f.0x1",
            "alice@[::1]",
            "alice@host.example:8080",
            "alice@host.example/path",
            "alice@host.example?x",
            "alice@host.example#x",
            "alice@host.example.",
            "alice@.example",
            "alice@-a.example",
            "alice@a-.example",
            "alice@user@host.example",
            "alice:secret@host.example",
            ".@host.example",
            "..@host.example",
            "../../admin@host.example",
            "%2e%2e@host.example",
            "a b@host.example",
            "alice@host .example",
            "alice@host.example\n",
            "älice@host.example",
            "alice@höst.example",
        ] {
            assert_eq!(LightningAddress::parse(bad), Err(NotAnAddress), "{bad}");
        }
        assert!(LightningAddress::parse(&format!("{}@a.example", "a".repeat(65))).is_err());
        assert!(LightningAddress::parse(&format!("a@{}.example", "a".repeat(64))).is_err());
        assert!(LightningAddress::parse(&format!("a@{}example", "a.".repeat(130))).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_as_it_is_read(text in "\\PC{0,40}") {
            if let Ok(address) = LightningAddress::parse(&text) {
                prop_assert_eq!(address.to_string(), text.to_ascii_lowercase());
                prop_assert_eq!(LightningAddress::parse(&address.to_string()), Ok(address));
            }
        }

        #[test]
        fn whatever_is_read_is_the_host_of_its_url(text in "[a-zA-Z0-9._+@:/?#%-]{1,30}") {
            if let Ok(address) = LightningAddress::parse(&text) {
                let url = reqwest::Url::parse(&format!("https://{}/.well-known/lnurlp/{}", address.host(), address.name()));
                let url = url.unwrap();
                prop_assert_eq!(url.domain(), Some(address.host()));
                prop_assert_eq!(url.path(), format!("/.well-known/lnurlp/{}", address.name()));
            }
        }
    }
}

//! From the contract's messages to domain types: all violations of a request at once.

use std::time::Duration;

use poa_common::{FieldViolation, Violations};
use poa_proto::task::v1 as proto;
use proof_of_agent::{Criterion, Digest, Rail, ReleasePolicy};

use crate::domain::{Body, Place, State};
use crate::error::Error;

/// Where remote content may be.
const SCHEME: &str = "https://";

/// The error that names what was collected, if anything was.
pub(super) fn refuse(violations: Violations) -> Result<(), Error> {
    if violations.is_empty() { Ok(()) } else { Err(Error::fields(violations.into_vec())) }
}

/// An id that must be well formed. What is not is nobody's.
pub(super) fn id<T: poa_common::TypedId>(resource: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_malformed| Error::NotFound { resource })
}

/// An input or a result.
pub(super) fn content(found: &mut Violations, field: &str, content: Option<proto::Content>) -> Option<Body> {
    let Some(content) = content else {
        found.add(field, "is required");
        return None;
    };
    if !content.media_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        found.add(format!("{field}.media_type"), "must be printable ASCII");
    }
    let place = match content.body {
        Some(proto::content::Body::Inline(bytes)) => Place::Inline(bytes),
        Some(proto::content::Body::Remote(remote)) => place(found, field, remote)?,
        None => {
            found.add(field, "needs its bytes inline, or where they are");
            return None;
        }
    };
    Some(Body { media_type: content.media_type, place })
}

fn place(found: &mut Violations, field: &str, remote: proto::RemoteContent) -> Option<Place> {
    let host = remote.uri.strip_prefix(SCHEME).and_then(|rest| rest.split('/').next());
    let sound =
        host.is_some_and(|host| !host.is_empty()) && remote.uri.bytes().all(|byte| byte.is_ascii_graphic());
    if !sound {
        found.add(format!("{field}.remote.uri"), "must be an https URI");
    }
    let sha256 = Digest::try_from(remote.sha256.as_slice()).ok();
    let size = u64::try_from(remote.size_bytes).ok();
    Some(Place::Remote { uri: remote.uri, sha256: sha256?, size: size? }).filter(|_| sound)
}

/// A span of whole seconds within bounds; the default where unset.
pub(super) fn span(
    found: &mut Violations,
    field: &str,
    span: Option<prost_types::Duration>,
    default: u32,
    bounds: std::ops::RangeInclusive<u32>,
) -> u32 {
    let Some(span) = span else {
        return default;
    };
    match u32::try_from(span.seconds) {
        Ok(seconds) if span.nanos == 0 && bounds.contains(&seconds) => seconds,
        Ok(_) | Err(_) => {
            let (from, to) = (bounds.start(), bounds.end());
            found.add(field, format!("must be whole seconds, from {from} to {to}"));
            default
        }
    }
}

/// Seconds as a span.
pub(super) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// What the result must be. Whether each can be decided is for the caller to find out: that takes time.
pub(super) fn criteria(found: &mut Violations, criteria: Vec<proto::Criterion>) -> Vec<Criterion> {
    let parsed = criteria.into_iter().enumerate().filter_map(|(place, criterion)| {
        let field = |name: &str| format!("criteria[{place}]{name}");
        match criterion.check {
            Some(check) => {
                let parsed = self::criterion(check);
                if parsed.is_none() {
                    found.add(field(""), "is out of its bounds");
                }
                parsed
            }
            None => {
                found.add(field(""), "needs a check");
                None
            }
        }
    });
    parsed.collect()
}

fn criterion(check: proto::criterion::Check) -> Option<Criterion> {
    use proto::criterion::Check;
    Some(match check {
        Check::JsonSchema(schema) => Criterion::JsonSchema { schema },
        Check::Sha256(sha256) => Criterion::Digest { sha256: Digest::try_from(sha256.as_slice()).ok()? },
        Check::Size(range) => Criterion::Size {
            min_bytes: u64::try_from(range.min_bytes).ok()?,
            max_bytes: match u64::try_from(range.max_bytes).ok()? {
                0 => None,
                max => Some(max),
            },
        },
        Check::Pattern(pattern) => Criterion::Regex { pattern },
        Check::Manual(text) => Criterion::Manual { text },
    })
}

/// A violation for each criterion that cannot be decided.
pub(super) fn undecidable(criteria: &[Criterion]) -> Vec<FieldViolation> {
    let places = criteria.iter().enumerate();
    let found = places.filter_map(|(place, criterion)| {
        let description = crate::domain::criteria::decidable(criterion).err()?;
        Some(FieldViolation { field: format!("criteria[{place}]"), description })
    });
    found.collect()
}

/// The policy that was asked for; `None`: the server's choice.
pub(super) fn policy(number: i32) -> Option<ReleasePolicy> {
    match proto::ReleasePolicy::try_from(number).unwrap_or_default() {
        proto::ReleasePolicy::Unspecified => None,
        proto::ReleasePolicy::OnAttestation => Some(ReleasePolicy::OnAttestation),
        proto::ReleasePolicy::OnAcceptance => Some(ReleasePolicy::OnAcceptance),
    }
}

/// Where the price comes from: the balance where unset.
pub(super) fn funding(found: &mut Violations, number: i32) -> Rail {
    match proto::Funding::try_from(number) {
        Ok(proto::Funding::Unspecified | proto::Funding::Balance) => Rail::Balance,
        Ok(proto::Funding::HoldInvoice) => Rail::HoldInvoice,
        Err(_) => {
            found.add("funding", "is not a way to fund a task");
            Rail::Balance
        }
    }
}

/// A state of a filter.
pub(super) fn state(found: &mut Violations, place: usize, number: i32) -> Option<State> {
    let state = i16::try_from(number).ok().and_then(State::from_number);
    if state.is_none() {
        found.add(format!("states[{place}]"), "is not a state");
    }
    state
}

/// A capability: a-z, 0-9, `.`, `-` and `_`.
pub(super) fn capability(found: &mut Violations, field: &str, text: &str) {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if text.is_empty() || !text.bytes().all(sound) {
        found.add(field, "must be of a-z, 0-9, `.`, `-` and `_`");
    }
}

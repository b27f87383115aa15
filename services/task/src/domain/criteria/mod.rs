//! Acceptance criteria: refused at the offer where they cannot be decided, decided at the submission.

mod schema;

use proof_of_agent::{Criterion, ReleasePolicy};
use regex::{Regex, RegexBuilder};

use super::content::{Body, Place};

/// Bytes of a compiled pattern: more would cost more memory than a task is worth.
pub(crate) const PATTERN_BYTES: usize = 1 << 20;
/// Characters of a criterion's complaint that an answer repeats.
const MAX_WHY: usize = 300;

/// The first criterion that a result fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// Its place, from 0.
    pub(crate) place: usize,
    /// What is wrong, in at most 300 characters.
    pub(crate) why: String,
}

/// Whether a criterion can be decided at all; the reason where not.
pub(crate) fn decidable(criterion: &Criterion) -> Result<(), String> {
    match criterion {
        Criterion::JsonSchema { schema } => schema::compile(schema).map(|_| ()),
        Criterion::Regex { pattern } => compile(pattern).map(|_| ()),
        Criterion::Size { min_bytes, max_bytes } if max_bytes.is_some_and(|max| max < *min_bytes) => {
            Err("max_bytes is below min_bytes".to_owned())
        }
        Criterion::Size { .. } | Criterion::Digest { .. } | Criterion::Manual { .. } => Ok(()),
    }
}

/// Whether all machine-checkable criteria hold for a result. Takes processor time in proportion to the product of
/// both: not for the thread of a runtime.
pub(crate) fn check(criteria: &[Criterion], policy: ReleasePolicy, result: &Body) -> Result<(), Failed> {
    for (place, criterion) in criteria.iter().enumerate() {
        holds(criterion, policy, result)
            .map_err(|why| Failed { place, why: why.chars().take(MAX_WHY).collect() })?;
    }
    Ok(())
}

fn holds(criterion: &Criterion, policy: ReleasePolicy, result: &Body) -> Result<(), String> {
    // What is elsewhere is not checked, so it must not release anybody's sats by itself.
    let trusts_claims = policy == ReleasePolicy::OnAcceptance;
    let remote = matches!(result.place, Place::Remote { .. });
    if remote && criterion.is_machine_checkable() && !trusts_claims {
        return Err("it can be checked only of a result that is sent inline".to_owned());
    }
    match criterion {
        Criterion::Manual { .. } => Ok(()),
        Criterion::Digest { sha256 } => {
            let found = result.sha256();
            ensure(found == *sha256, || format!("the SHA-256 is {found}, expected {sha256}"))
        }
        Criterion::Size { min_bytes, max_bytes } => {
            let size = result.size();
            let fits = size >= *min_bytes && max_bytes.is_none_or(|max| size <= max);
            ensure(fits, || format!("the size is {size} bytes"))
        }
        Criterion::JsonSchema { schema } => schema::check(schema, inline(result)?),
        Criterion::Regex { pattern } => {
            let text = std::str::from_utf8(inline(result)?).map_err(|_| "it is not UTF-8 text".to_owned())?;
            ensure(compile(pattern)?.is_match(text), || "the pattern is not found in it".to_owned())
        }
    }
}

fn inline(result: &Body) -> Result<&[u8], String> {
    match &result.place {
        Place::Inline(bytes) => Ok(bytes),
        Place::Remote { .. } => Err("it can be checked only of a result that is sent inline".to_owned()),
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large once compiled".to_owned(),
            error => format!("not a pattern of RE2 syntax: {error}"),
        },
    )
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

#[cfg(test)]
mod tests {
    use proof_of_agent::Digest;

    use super::*;

    fn text(bytes: &[u8]) -> Body {
        Body { media_type: "text/plain".to_owned(), place: Place::Inline(bytes.to_vec()) }
    }

    fn remote(size: u64, sha256: Digest) -> Body {
        let uri = "https://example.org/result".to_owned();
        Body { media_type: String::new(), place: Place::Remote { uri, sha256, size } }
    }

    fn verdict(criterion: &Criterion, result: &Body) -> bool {
        check(std::slice::from_ref(criterion), ReleasePolicy::OnAttestation, result).is_ok()
    }

    #[test]
    fn each_kind_of_criterion_accepts_and_refuses() {
        let size = Criterion::Size { min_bytes: 2, max_bytes: Some(3) };
        assert!(verdict(&size, &text(b"ab")) && verdict(&size, &text(b"abc")));
        assert!(!verdict(&size, &text(b"a")) && !verdict(&size, &text(b"abcd")));
        let digest = Criterion::Digest { sha256: Digest::of(b"abc") };
        assert!(verdict(&digest, &text(b"abc")) && !verdict(&digest, &text(b"abd")));
        let pattern = Criterion::Regex { pattern: "^b+$".to_owned() };
        assert!(verdict(&pattern, &text(b"bbb")) && !verdict(&pattern, &text(b"abb")));
        assert!(!verdict(&pattern, &text(&[0xff])));
        let schema = Criterion::JsonSchema { schema: r#"{"required":["n"]}"#.to_owned() };
        assert!(verdict(&schema, &text(br#"{"n":1}"#)) && !verdict(&schema, &text(b"{}")));
        assert!(!verdict(&schema, &text(b"not json")));
        assert!(verdict(&Criterion::Manual { text: "nice".to_owned() }, &text(b"")));
    }

    #[test]
    fn the_first_criterion_that_fails_is_named() {
        let criteria = [
            Criterion::Size { min_bytes: 0, max_bytes: Some(9) },
            Criterion::Regex { pattern: "x".to_owned() },
        ];
        let failed = check(&criteria, ReleasePolicy::OnAttestation, &text(b"abc")).unwrap_err();
        assert_eq!(failed.place, 1);
    }

    #[test]
    fn a_result_that_is_elsewhere_releases_nothing_by_what_it_says_of_itself() {
        let size = Criterion::Size { min_bytes: 0, max_bytes: Some(9) };
        let result = remote(5, Digest::of(b"hello"));
        assert!(check(std::slice::from_ref(&size), ReleasePolicy::OnAttestation, &result).is_err());
        assert!(check(std::slice::from_ref(&size), ReleasePolicy::OnAcceptance, &result).is_ok());
        let pattern = Criterion::Regex { pattern: "h".to_owned() };
        assert!(check(&[pattern], ReleasePolicy::OnAcceptance, &result).is_err());
    }

    #[test]
    fn patterns_that_cannot_be_decided_cheaply_are_refused_at_the_offer() {
        for pattern in ["(", "(?=a)b", "\\1", "((a{100}){100}){100}"] {
            assert!(decidable(&Criterion::Regex { pattern: pattern.to_owned() }).is_err(), "{pattern}");
        }
        assert!(decidable(&Criterion::Regex { pattern: "(a+)+$".to_owned() }).is_ok());
        assert!(decidable(&Criterion::Size { min_bytes: 3, max_bytes: Some(2) }).is_err());
    }
}

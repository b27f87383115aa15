//! Acceptance criteria of strangers over results of other strangers.

use proof_of_agent::Criterion;

/// The longest input: what libFuzzer makes of it must end within its own time limit.
const MAX_BYTES: usize = 8 * 1_024;

/// The first byte says which kind, the second how long the criterion is (in sixteenths); the rest is the result. Deciding
/// ends, and gives the same answer twice.
pub(crate) fn criteria(data: &[u8]) {
    let [kind, share, rest @ ..] = data else { return };
    if rest.len() > MAX_BYTES {
        return;
    }
    let (text, result) = rest.split_at(rest.len() * usize::from(*share % 17) / 16);
    let Ok(text) = String::from_utf8(text.to_vec()) else { return };
    let criterion = match kind % 2 {
        0 => Criterion::Regex { pattern: text },
        _ => Criterion::JsonSchema { schema: text },
    };
    let first = poa_task::decide(&criterion, result);
    if let Ok(Err(why)) = &first {
        assert!(why.chars().count() <= 300, "an answer repeats so much and no more");
    }
    assert_eq!(poa_task::decide(&criterion, result), first);
}

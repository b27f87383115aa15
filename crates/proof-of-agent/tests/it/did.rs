//! Names of keys: one spelling per key.

use proof_of_agent::{DidError, DidKey};

use crate::plan::did;

/// The number of the field: keys are numbers below it, in little-endian order.
const FIELD: [u8; 32] = {
    let mut field = [0xff; 32];
    field[0] = 0xed;
    field[31] = 0x7f;
    field
};

/// A number that is the field's plus a little: the same as the little alone to a reader that reduces it.
fn unreduced(little: u8, sign: bool) -> [u8; 32] {
    let mut number = FIELD;
    number[0] += little;
    number[31] |= u8::from(sign) << 7;
    number
}

#[test]
fn a_key_whose_number_is_not_reduced_is_refused() {
    // Up to 2^255 - 1: there are no more such numbers.
    for little in 0..=18 {
        for sign in [false, true] {
            let number = unreduced(little, sign);
            assert_eq!(DidKey::from_bytes(number), Err(DidError::WeakKey), "{little}");
        }
    }
}

#[test]
fn the_reduced_spelling_of_such_a_key_is_a_key() {
    // Three is the number of a point that is not of small order, and so would have been p + 3.
    let mut three = [0; 32];
    three[0] = 3;
    assert!(DidKey::from_bytes(three).is_ok());
}

#[test]
fn a_number_that_is_no_point_is_no_key() {
    let mut two = [0; 32];
    two[0] = 2;
    assert_eq!(DidKey::from_bytes(two), Err(DidError::WeakKey));
    assert_eq!(DidKey::from_slice(&two[..31]), Err(DidError::Malformed));
}

#[test]
fn no_text_but_its_own_names_a_key() {
    let text = did(1).to_string();
    assert_eq!(text.parse(), Ok(did(1)));
    for place in 0..text.len() {
        for other in *b"1zA" {
            let mut changed = text.clone().into_bytes();
            changed[place] = other;
            let changed = String::from_utf8(changed).unwrap();
            if changed != text {
                assert_ne!(changed.parse(), Ok(did(1)), "{changed}");
            }
        }
    }
}

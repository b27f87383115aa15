//! The transparency log: checkpoints, proofs, entries.

use std::collections::HashMap;

use proof_of_agent::tlog::{
    LogEntry, consistency_proof, inclusion_proof, root, verify_consistency, verify_inclusion,
};
use proof_of_agent::{Checkpoint, Digest, LogKey};

use crate::world::{PAID, altered, grow};

/// The largest tree that a target builds.
const MAX_LEAVES: u64 = 64;

/// A note is believed where a log key signed its exact text, and an altered one never says something else.
pub(crate) fn checkpoint(data: &[u8]) {
    let keys = PAID.trust_root.log_keys();
    let genuine = Checkpoint::open(&PAID.bundle.checkpoint, keys).expect("the fixture's checkpoint");
    for note in [data.to_vec(), altered(PAID.bundle.checkpoint.as_bytes(), data)] {
        let Ok(note) = String::from_utf8(note) else { continue };
        if let Ok(read) = Checkpoint::read_unverified(&note) {
            let unsigned = format!("{}\n", read.text());
            assert_eq!(Checkpoint::read_unverified(&format!("{unsigned}\u{2014} x AAAAAA==\n")), Ok(read));
        }
        if let Ok(opened) = Checkpoint::open(&note, keys) {
            assert_eq!(opened, genuine, "the fixture's key signed one checkpoint");
        }
    }
    if let Ok(key) = std::str::from_utf8(data).unwrap_or_default().parse::<LogKey>() {
        assert_eq!(key.to_string().as_bytes(), data);
    }
}

/// Some leaves and the nodes over them.
fn tree(size: u64) -> (Vec<Digest>, HashMap<proof_of_agent::tlog::Node, Digest>) {
    let leaves: Vec<Digest> = (0..size).map(|place| Digest::of(&place.to_be_bytes())).collect();
    let nodes = grow(&leaves);
    (leaves, nodes)
}

/// A proof with changes: hashes altered, added, left out.
fn spoilt(proof: &[Digest], changes: &[u8]) -> Vec<Digest> {
    let bytes: Vec<u8> = proof.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let hashes = altered(&bytes, changes);
    hashes.chunks_exact(Digest::LENGTH).map(|hash| Digest::try_from(hash).expect("32 bytes")).collect()
}

/// A proof of inclusion proves one leaf at one place, and nothing when it is altered.
pub(crate) fn inclusion(data: &[u8]) {
    let [size, index, other, changes @ ..] = data else { return };
    let size = u64::from(*size) % MAX_LEAVES + 1;
    let (index, other) = (u64::from(*index) % size, u64::from(*other) % size);
    let (leaves, nodes) = tree(size);
    let top = root(size, &nodes).expect("a root");
    let proof = inclusion_proof(index, size, &nodes).expect("a proof");
    let leaf = &leaves[usize::try_from(index).expect("a place")];
    assert_eq!(verify_inclusion(leaf, index, size, &proof, &top), Ok(()));
    assert_eq!(verify_inclusion(leaf, other, size, &proof, &top).is_ok(), other == index);
    let spoilt = spoilt(&proof, changes);
    assert_eq!(verify_inclusion(leaf, index, size, &spoilt, &top).is_ok(), spoilt == proof);
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(changes) {
        *to = *from;
    }
    let anything = u64::from_le_bytes(eight);
    let _ends_without_a_panic = verify_inclusion(leaf, index, anything, &spoilt, &top);
    let _ends_without_a_panic = verify_inclusion(leaf, anything, anything.wrapping_add(1), &spoilt, &top);
}

/// A proof of consistency proves one pair of trees, and nothing when it is altered.
pub(crate) fn consistency(data: &[u8]) {
    let [size, old, changes @ ..] = data else { return };
    let size = u64::from(*size) % MAX_LEAVES + 1;
    let old = u64::from(*old) % (size + 1);
    let (_, nodes) = tree(size);
    let (before, after) = (root(old, &nodes).expect("a root"), root(size, &nodes).expect("a root"));
    let proof = consistency_proof(old, size, &nodes).expect("a proof");
    assert_eq!(verify_consistency(old, &before, size, &after, &proof), Ok(()));
    let spoilt = spoilt(&proof, changes);
    assert_eq!(verify_consistency(old, &before, size, &after, &spoilt).is_ok(), spoilt == proof);
    let forked = Digest::of(&[b"another tree", changes].concat());
    assert!(verify_consistency(old, &forked, size, &after, &proof).is_err(), "another beginning");
    // Every tree begins with the empty one: that proves nothing of the rest.
    assert!(old == 0 || verify_consistency(old, &before, size, &forked, &proof).is_err(), "another end");
    assert!(verify_consistency(size + 1, &after, size, &after, &proof).is_err(), "a tree that shrank");
}

/// An entry has one encoding.
pub(crate) fn log_entry(data: &[u8]) {
    if let Ok(entry) = LogEntry::decode(data) {
        assert_eq!(entry.encode().as_slice(), data);
    }
    let genuine = LogEntry::of(&PAID.envelopes[0]).expect("the fixture's entry").encode();
    let altered = altered(&genuine, data);
    if let Ok(entry) = LogEntry::decode(&altered) {
        assert_eq!(entry.encode().as_slice(), altered);
    }
}

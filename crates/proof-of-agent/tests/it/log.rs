//! The Merkle tree: known vectors, and every proof of every small tree.

use std::collections::HashMap;

use proof_of_agent::tlog::{
    self, LogEntry, MAX_SIZE, Node, Slot, TlogError, consistency_proof, inclusion_proof, leaf_hash,
    new_nodes_for_append, node_hash, root, verify_consistency, verify_inclusion,
};
use proof_of_agent::{Digest, Kind};

use crate::fixture::{World, grow};

/// The leaves and roots of the Certificate Transparency reference tests.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn digests(texts: &[&str]) -> Vec<Digest> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn reference_tree() -> HashMap<Node, Digest> {
    let leaves: Vec<Digest> = LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
    grow(&leaves)
}

/// Leaf hashes of a tree whose leaves all differ.
fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

#[test]
fn the_roots_are_those_of_the_reference_tests() {
    let nodes = reference_tree();
    assert_eq!(
        root(0, &nodes).unwrap().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(root(size, &nodes).unwrap().to_string(), expected);
    }
}

#[test]
fn the_proofs_are_those_of_the_reference_tests() {
    let nodes = reference_tree();
    let inclusion = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(inclusion_proof(0, 8, &nodes), Ok(digests(&inclusion)));
    let consistency = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(consistency_proof(6, 8, &nodes), Ok(digests(&consistency)));
}

/// The definition, word for word, to hold the other implementation against.
fn root_by_definition(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => tlog::empty_root(),
        [leaf] => *leaf,
        _ => {
            let middle = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(middle);
            node_hash(&root_by_definition(left), &root_by_definition(right))
        }
    }
}

#[test]
fn every_proof_of_every_small_tree_holds_and_no_changed_one_does() {
    let all = leaves(33);
    let nodes = grow(&all);
    let other = leaf_hash(b"other");
    for (size, known) in (0..=33).map(|size: usize| (u64::try_from(size).unwrap(), &all[..size])) {
        let whole = root(size, &nodes).unwrap();
        assert_eq!(whole, root_by_definition(known));
        for (index, leaf) in (0..).zip(known) {
            let proof = inclusion_proof(index, size, &nodes).unwrap();
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &whole), Ok(()));
            assert!(verify_inclusion(&other, index, size, &proof, &whole).is_err());
            assert!(verify_inclusion(leaf, index, size, &proof, &other).is_err());
            assert!(verify_inclusion(leaf, index ^ 1, size, &proof, &whole).is_err() || size == 1);
            let mut longer = proof.clone();
            longer.push(other);
            assert_eq!(verify_inclusion(leaf, index, size, &longer, &whole), Err(TlogError::WrongLength));
            for place in 0..proof.len() {
                let mut changed = proof.clone();
                changed[place] = other;
                assert_eq!(verify_inclusion(leaf, index, size, &changed, &whole), Err(TlogError::WrongRoot));
                let shorter = &proof[..place];
                assert!(verify_inclusion(leaf, index, size, shorter, &whole).is_err());
            }
        }
        for old_size in 0..=size {
            let old = root(old_size, &nodes).unwrap();
            let proof = consistency_proof(old_size, size, &nodes).unwrap();
            assert_eq!(verify_consistency(old_size, &old, size, &whole, &proof), Ok(()));
            assert!(verify_consistency(old_size, &other, size, &whole, &proof).is_err());
            assert!(verify_consistency(old_size, &old, size, &other, &proof).is_err() || old_size == 0);
            for place in 0..proof.len() {
                let mut changed = proof.clone();
                changed[place] = other;
                assert!(verify_consistency(old_size, &old, size, &whole, &changed).is_err());
                assert!(verify_consistency(old_size, &old, size, &whole, &proof[..place]).is_err());
            }
        }
    }
}

#[test]
fn a_place_outside_the_tree_is_refused() {
    let nodes = grow(&leaves(3));
    let hash = leaf_hash(b"");
    assert_eq!(inclusion_proof(3, 3, &nodes), Err(TlogError::OutOfRange));
    assert_eq!(inclusion_proof(0, 0, &nodes), Err(TlogError::OutOfRange));
    assert_eq!(inclusion_proof(0, MAX_SIZE + 1, &nodes), Err(TlogError::OutOfRange));
    assert_eq!(consistency_proof(3, 2, &nodes), Err(TlogError::OutOfRange));
    assert_eq!(root(MAX_SIZE + 1, &nodes), Err(TlogError::OutOfRange));
    assert_eq!(verify_inclusion(&hash, 3, 3, &[], &hash), Err(TlogError::OutOfRange));
    assert_eq!(verify_inclusion(&hash, 0, u64::MAX, &[], &hash), Err(TlogError::OutOfRange));
    assert_eq!(verify_consistency(3, &hash, 2, &hash, &[]), Err(TlogError::OutOfRange));
    assert_eq!(verify_consistency(2, &hash, 2, &hash, &[hash]), Err(TlogError::WrongLength));
    assert_eq!(verify_consistency(3, &hash, 5, &hash, &[]), Err(TlogError::WrongLength));
    let full = new_nodes_for_append(MAX_SIZE, &[hash], &nodes);
    assert_eq!(full, Err(TlogError::OutOfRange));
}

#[test]
fn growing_bit_by_bit_reads_only_the_nodes_that_were_asked_for() {
    let all = leaves(40);
    let mut stored: HashMap<Node, Digest> = HashMap::new();
    let mut size = 0;
    for batch in [1, 2, 5, 8, 24] {
        let (from, to) = (usize::try_from(size).unwrap(), usize::try_from(size).unwrap() + batch);
        let loaded: HashMap<Node, Digest> =
            tlog::nodes_needed_for_append(size).into_iter().map(|node| (node, stored[&node])).collect();
        stored.extend(new_nodes_for_append(size, &all[from..to], &loaded).unwrap());
        size += u64::try_from(batch).unwrap();
        let needed: HashMap<Node, Digest> =
            tlog::nodes_needed_for_root(size).into_iter().map(|node| (node, stored[&node])).collect();
        assert_eq!(root(size, &needed), Ok(root_by_definition(&all[..to])));
    }
    assert_eq!(stored, grow(&all));
    for index in 0..size {
        let needed = tlog::nodes_needed_for_inclusion(index, size).unwrap();
        let loaded: HashMap<Node, Digest> = needed.into_iter().map(|node| (node, stored[&node])).collect();
        assert!(inclusion_proof(index, size, &loaded).is_ok());
    }
    for old_size in 0..size {
        let needed = tlog::nodes_needed_for_consistency(old_size, size).unwrap();
        let loaded: HashMap<Node, Digest> = needed.into_iter().map(|node| (node, stored[&node])).collect();
        assert!(consistency_proof(old_size, size, &loaded).is_ok());
    }
}

#[test]
fn a_missing_node_is_named() {
    let mut nodes = grow(&leaves(4));
    let missing = Node { level: 1, index: 1 };
    nodes.remove(&missing);
    assert_eq!(inclusion_proof(0, 4, &nodes), Err(TlogError::MissingNode(missing)));
    let left = Node { level: 0, index: 2 };
    nodes.remove(&left);
    assert_eq!(new_nodes_for_append(3, &leaves(1), &nodes), Err(TlogError::MissingNode(left)));
}

#[test]
fn an_entry_reads_back_and_covers_statement_and_signature() {
    let world = World::new();
    let paid = world.paid();
    let entry = LogEntry::of(&world.sign(&paid[2])).unwrap();
    let bytes = entry.encode();
    assert_eq!(bytes.len(), 100);
    assert_eq!(entry.slot, Slot::next(&paid[1].digest()));
    assert_eq!((bytes[0], bytes[1]), (1, Kind::WorkSubmitted.number()));
    assert_eq!(LogEntry::decode(&bytes), Ok(entry));
    assert_eq!(entry.leaf_hash(), leaf_hash(&bytes));
    assert_eq!(entry.statement, paid[2].digest());
    let mut pair = world.agent.verifying_key().to_bytes().to_vec();
    pair.extend_from_slice(&world.sign(&paid[2]).signatures()[0].sig);
    assert_eq!(entry.signatures, Digest::of(&pair));
    for (place, to) in [(0, 2), (1, 0), (1, 10), (98, 1), (99, 1)] {
        let mut changed = bytes.clone();
        changed[place] = to;
        assert!(LogEntry::decode(&changed).is_err());
    }
    assert!(LogEntry::decode(&bytes[1..]).is_err());
}

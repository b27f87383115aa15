//! Tiles: which there are, how they are named, and what is in them.

use std::collections::HashMap;

use proof_of_agent::reputation::{Pseudonym, Record};
use proof_of_agent::tlog::{
    LogEntry, MAX_SIZE, Node, Slot, TILE_WIDTH, Tile, TileKind, inclusion_proof, leaf_hash, read_entries,
    read_hashes, root, verify_inclusion, write_entries,
};
use proof_of_agent::{Digest, Kind};

use crate::fixture::{World, grow};

fn tile(kind: TileKind, index: u64, width: u64) -> Tile {
    Tile { kind, index, width }
}

#[test]
fn a_tile_is_named_as_the_specification_has_it() {
    for (tile, path) in [
        (tile(TileKind::Hashes(0), 0, 256), "0/000"),
        (tile(TileKind::Hashes(0), 67, 256), "0/067"),
        (tile(TileKind::Hashes(0), 999, 256), "0/999"),
        (tile(TileKind::Hashes(0), 1_000, 256), "0/x001/000"),
        (tile(TileKind::Hashes(1), 1_234_067, 256), "1/x001/x234/067"),
        (tile(TileKind::Hashes(1), 0, 17), "1/000.p/17"),
        (tile(TileKind::Hashes(3), 999_999, 255), "3/x999/999.p/255"),
        (tile(TileKind::Hashes(6), 0, 31), "6/000.p/31"),
        (tile(TileKind::Entries, 0, 256), "entries/000"),
        (tile(TileKind::Entries, 1_067, 1), "entries/x001/067.p/1"),
    ] {
        assert_eq!(tile.to_string(), path);
        assert_eq!(Tile::parse(path), Some(tile), "{path}");
    }
}

#[test]
fn a_path_in_another_spelling_names_no_tile() {
    for path in [
        "",
        "0",
        "0/",
        "/000",
        "00/000",
        "+0/000",
        "-1/000",
        "7/000",
        "256/000",
        "0/0",
        "0/00",
        "0/0000",
        "0/001/000",
        "0/x000/001",
        "0/x001/x000",
        "0/x0/10067",
        "0/x0010/67",
        "0/x001/00",
        "0/X001/000",
        "0/x001/000/",
        "0/\u{661}\u{661}\u{661}",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/017",
        "0/000.p/+1",
        "0/000.p/",
        "0/000.p/1.p/1",
        "0/000.P/1",
        "entry/000",
        "Entries/000",
        "entries/0",
        // The first leaf below it is beyond the largest log.
        "6/001",
        "0/x036/x028/x797/x018/964",
        "0/x999/x999/x999/x999/x999/x999/999",
        "0/x018/x446/x744/x073/x709/x551/616",
    ] {
        assert_eq!(Tile::parse(path), None, "{path}");
    }
}

#[test]
fn a_tree_has_as_many_hashes_of_a_tile_as_are_complete() {
    for (kind, index, size, width) in [
        (TileKind::Hashes(0), 0, 0, None),
        (TileKind::Hashes(0), 0, 1, Some(1)),
        (TileKind::Hashes(0), 0, 256, Some(256)),
        (TileKind::Hashes(0), 1, 256, None),
        (TileKind::Hashes(0), 1, 257, Some(1)),
        (TileKind::Hashes(1), 0, 255, None),
        (TileKind::Hashes(1), 0, 256, Some(1)),
        (TileKind::Hashes(1), 0, 70_000, Some(256)),
        (TileKind::Hashes(1), 1, 70_000, Some(17)),
        (TileKind::Hashes(2), 0, 70_000, Some(1)),
        (TileKind::Hashes(6), 0, MAX_SIZE, Some(31)),
        (TileKind::Entries, 273, 70_000, Some(112)),
        (TileKind::Entries, u64::MAX, 70_000, None),
    ] {
        let expected = width.map(|width| tile(kind, index, width));
        assert_eq!(Tile::in_tree(kind, index, size), expected, "{kind:?} {index} of {size}");
    }
}

#[test]
fn a_tile_above_the_highest_level_is_in_no_tree() {
    for level in [7, 8, 31, 32, 200, u8::MAX] {
        assert_eq!(Tile::in_tree(TileKind::Hashes(level), 0, MAX_SIZE), None, "{level}");
        assert!(!tile(TileKind::Hashes(level), 0, 1).is_in_tree(u64::MAX), "{level}");
    }
}

#[test]
fn a_part_of_a_tile_is_in_every_larger_tree() {
    let part = tile(TileKind::Hashes(0), 1, 3);
    let sizes: Vec<u64> = (0..600).filter(|size| part.is_in_tree(*size)).collect();
    assert_eq!(sizes, (259..600).collect::<Vec<u64>>());
}

#[test]
fn every_tile_of_a_tree_reads_back_from_its_name() {
    for size in [1, 255, 256, 257, 65_535, 65_536, 70_000, 16_777_216, MAX_SIZE] {
        for kind in (0..=6).map(TileKind::Hashes).chain([TileKind::Entries]) {
            let last = (size >> (8 * u32::from(level(kind)))).saturating_sub(1) / TILE_WIDTH;
            for index in [0, 1, last.saturating_sub(1), last] {
                if let Some(tile) = Tile::in_tree(kind, index, size) {
                    assert_eq!(Tile::parse(&tile.to_string()), Some(tile));
                    assert_eq!(tile.nodes().count(), usize::try_from(tile.width).unwrap());
                    assert_eq!(tile.start(), index * TILE_WIDTH);
                    assert!(tile.nodes().all(|node| node.level == 8 * level(kind)));
                }
            }
        }
    }
}

fn level(kind: TileKind) -> u8 {
    match kind {
        TileKind::Hashes(level) => level,
        TileKind::Entries => 0,
    }
}

/// Whoever has the tiles makes every proof: what is between two levels of tiles is hashed anew.
#[test]
fn the_tiles_of_a_tree_prove_every_entry_of_it() {
    let size: u64 = 600;
    let leaves: Vec<Digest> = (0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect();
    let nodes = grow(&leaves);
    let mut known: HashMap<Node, Digest> = HashMap::new();
    for level in 0..=6 {
        for index in 0..3 {
            let Some(tile) = Tile::in_tree(TileKind::Hashes(level), index, size) else { continue };
            let bytes: Vec<u8> = tile.nodes().flat_map(|node| nodes[&node].to_vec()).collect();
            let hashes = read_hashes(&bytes).unwrap();
            assert_eq!(hashes.len(), usize::try_from(tile.width).unwrap());
            known.extend(tile.nodes().zip(hashes));
        }
    }
    let stored: Vec<u8> = {
        let mut levels: Vec<u8> = known.keys().map(|node| node.level).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    };
    assert_eq!(stored, [0, 8]);
    let rebuilt =
        grow(&leaves.iter().zip(0..).map(|(_, index)| known[&Node { level: 0, index }]).collect::<Vec<_>>());
    assert_eq!(rebuilt[&Node { level: 8, index: 1 }], known[&Node { level: 8, index: 1 }]);
    let whole = root(size, &rebuilt).unwrap();
    for index in [0, 255, 256, 511, 599] {
        let proof = inclusion_proof(index, size, &rebuilt).unwrap();
        let leaf = &leaves[usize::try_from(index).unwrap()];
        assert_eq!(verify_inclusion(leaf, index, size, &proof, &whole), Ok(()));
    }
}

#[test]
fn a_tile_of_hashes_is_a_row_of_whole_hashes() {
    let row: Vec<u8> = [Digest::of(b"a"), Digest::of(b"b")].iter().flat_map(|it| it.to_vec()).collect();
    assert_eq!(read_hashes(&row), Ok(vec![Digest::of(b"a"), Digest::of(b"b")]));
    assert_eq!(read_hashes(&[]), Ok(vec![]));
    assert!(read_hashes(&row[..63]).is_err());
    assert!(read_hashes(&row[1..]).is_err());
}

/// An entry without and one with a record.
fn entries() -> Vec<LogEntry> {
    let world = World::new();
    let paid = world.paid();
    let facts = proof_of_agent::reputation::Facts::of(&world.chain(&paid[..5]), &paid[5]).unwrap();
    let record = Record { facts, requester: Pseudonym::new([9; 16]), standing: 20 };
    let entry = |place: usize| LogEntry::of(&world.sign(&paid[place])).unwrap();
    vec![entry(0), entry(5).with_record(Some(record)), entry(2)]
}

#[test]
fn a_bundle_of_entries_reads_back() {
    let entries = entries();
    let encoded: Vec<Vec<u8>> = entries.iter().map(LogEntry::encode).collect();
    let lengths: Vec<usize> = encoded.iter().map(Vec::len).collect();
    assert_eq!(lengths, [100, 142, 100]);
    let bytes = write_entries(encoded.iter().map(Vec::as_slice));
    assert_eq!(bytes.len(), 3 * 2 + 100 + 142 + 100);
    assert_eq!(bytes[..2], [0, 100]);
    assert_eq!(read_entries(&bytes), Ok(entries));
    assert_eq!(read_entries(&[]), Ok(vec![]));
}

#[test]
fn a_bundle_of_entries_that_is_cut_short_or_too_long_is_refused() {
    let encoded: Vec<Vec<u8>> = entries().iter().map(LogEntry::encode).collect();
    let bytes = write_entries(encoded.iter().map(Vec::as_slice));
    let whole: Vec<usize> = vec![0, 102, 246, bytes.len()];
    for length in 0..bytes.len() {
        assert_eq!(read_entries(&bytes[..length]).is_ok(), whole.contains(&length), "{length}");
    }
    let mut more = bytes.clone();
    more.push(0);
    assert!(read_entries(&more).is_err());
    for length in [99_u16, 101, 143, u16::MAX] {
        let mut other = bytes.clone();
        other[..2].copy_from_slice(&length.to_be_bytes());
        assert!(read_entries(&other).is_err(), "{length}");
    }
}

#[test]
fn an_entry_with_a_record_reads_back_and_its_leaf_covers_the_record() {
    let [_, entry, _] = &entries()[..] else { panic!("three entries") };
    let bytes = entry.encode();
    assert_eq!(LogEntry::decode(&bytes), Ok(*entry));
    assert_eq!(bytes[98..100], [0, 42]);
    assert_eq!(Record::decode(&bytes[100..]), entry.record);
    assert_ne!(entry.leaf_hash(), entry.with_record(None).leaf_hash());
    for length in 0..bytes.len() {
        assert!(LogEntry::decode(&bytes[..length]).is_err(), "{length}");
    }
    // A length of nothing before a record, and a record that is none.
    let mut other = bytes.clone();
    other[99] = 0;
    assert!(LogEntry::decode(&other).is_err());
    let mut other = bytes;
    other[100] = 2;
    assert!(LogEntry::decode(&other).is_err());
    assert_eq!(entry.slot, Slot::end(&World::new().paid()[5].context().task));
    assert_eq!(entry.kind.number(), Kind::Settlement.number());
}

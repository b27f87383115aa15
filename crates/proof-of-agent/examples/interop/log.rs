//! A log of some hundred entries, of which a few are receipts'.

use std::collections::{BTreeMap, HashMap};

use proof_of_agent::tlog::{self, EntryKind, LogEntry, Node, Slot, Tile, TileKind};
use proof_of_agent::{Checkpoint, DidKey, Digest, LogKey, WitnessKey};

use crate::fixture::{NOW, ORIGIN, World, grow};

/// Entries: two full tiles and a part of a third, and two hashes in the tile above.
pub(crate) const SIZE: u64 = 700;
/// The witness that has seen the log.
const WITNESS: &str = "witness.example/w1";

pub(crate) struct Log {
    entries: Vec<Vec<u8>>,
    nodes: HashMap<Node, Digest>,
}

/// The log's key under its origin.
pub(crate) fn log_key(world: &World) -> LogKey {
    LogKey::new(ORIGIN, DidKey::of(&world.log)).unwrap()
}

/// The witness's key under its name.
pub(crate) fn witness(world: &World) -> WitnessKey {
    WitnessKey::new(WITNESS, DidKey::of(&world.witness)).unwrap()
}

// === impl Log ===

impl Log {
    /// A log with these entries at their places, and others in between.
    pub(crate) fn new(placed: &BTreeMap<u64, LogEntry>) -> Self {
        let entries: Vec<LogEntry> =
            (0..SIZE).map(|index| placed.get(&index).copied().unwrap_or_else(|| filler(index))).collect();
        let leaves: Vec<Digest> = entries.iter().map(LogEntry::leaf_hash).collect();
        Self { nodes: grow(&leaves), entries: entries.iter().map(LogEntry::encode).collect() }
    }

    pub(crate) fn leaf_hash(&self, index: u64) -> Digest {
        self.nodes[&Node { level: 0, index }]
    }

    pub(crate) fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint { origin: ORIGIN.to_owned(), size, root: tlog::root(size, &self.nodes).unwrap() }
    }

    /// The checkpoint, signed by the log and cosigned by the witness.
    pub(crate) fn note(&self, size: u64, world: &World) -> String {
        let checkpoint = self.checkpoint(size);
        let at = u64::try_from(NOW.unix_timestamp()).unwrap();
        let cosignature = witness(world).cosign(&checkpoint.text(), at, &world.witness);
        checkpoint.sign(&world.log).unwrap() + &cosignature
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Digest> {
        tlog::inclusion_proof(index, size, &self.nodes).unwrap()
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        tlog::consistency_proof(old, new, &self.nodes).unwrap()
    }

    /// Every tile of the log, with its path and its bytes.
    pub(crate) fn tiles(&self) -> Vec<(String, Vec<u8>)> {
        let kinds = [TileKind::Entries, TileKind::Hashes(0), TileKind::Hashes(1)];
        let tiles =
            kinds.into_iter().flat_map(|kind| (0..).map_while(move |index| Tile::in_tree(kind, index, SIZE)));
        tiles.map(|tile| (tile.to_string(), self.tile(&tile))).collect()
    }

    fn tile(&self, tile: &Tile) -> Vec<u8> {
        match tile.kind {
            TileKind::Hashes(_) => tile.nodes().flat_map(|node| self.nodes[&node].to_vec()).collect(),
            TileKind::Entries => {
                let start = usize::try_from(tile.start()).unwrap();
                let end = start + usize::try_from(tile.width).unwrap();
                tlog::write_entries(self.entries[start..end].iter().map(Vec::as_slice))
            }
        }
    }
}

/// An entry of somebody else.
fn filler(index: u64) -> LogEntry {
    let digest = |what: &[u8]| Digest::of_parts(&[what, &index.to_be_bytes()]);
    LogEntry {
        kind: EntryKind::KeyEvent,
        statement: digest(b"statement"),
        signatures: digest(b"signatures"),
        slot: Slot::from_digest(digest(b"slot")),
        record: None,
    }
}

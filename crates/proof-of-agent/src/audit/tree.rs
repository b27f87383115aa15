//! The right edge of a tree, as tiles have it: enough to append to it, and to check the tiles at its end.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::tlog::{
    HashReader, MAX_SIZE, TILE_WIDTH, Tile, TileKind, TlogError, leaf_hash, node_hash, read_entries,
    read_hashes, root,
};

/// The tree's levels that one level of tiles spans.
const TILE_HEIGHT: u8 = 8;
/// Hashes of a full tile.
const WIDTH: usize = 1 << TILE_HEIGHT;

/// A tree of which the partial tiles are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tree {
    size: u64,
    levels: Vec<Level>,
}

/// The end of one level of tiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Level {
    /// The hashes of the partial tile, at most 255.
    edge: Vec<Digest>,
    /// The hash over the last full tile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full: Option<Digest>,
}

// === impl Tree ===

impl Tree {
    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    ///
    /// # Errors
    /// `OutOfRange` beyond [`MAX_SIZE`].
    pub fn push(&mut self, leaf: Digest) -> Result<(), TlogError> {
        if self.size >= MAX_SIZE {
            return Err(TlogError::OutOfRange);
        }
        self.size += 1;
        let mut hash = leaf;
        let mut place = 0;
        loop {
            if self.levels.len() == place {
                self.levels.push(Level::default());
            }
            let Some(level) = self.levels.get_mut(place) else { return Ok(()) };
            level.edge.push(hash);
            if level.edge.len() < WIDTH {
                return Ok(());
            }
            let Some(full) = fold(&level.edge) else { return Ok(()) };
            level.edge.clear();
            level.full = Some(full);
            hash = full;
            place += 1;
        }
    }

    /// The root over all leaves.
    pub fn root(&self) -> Digest {
        // The partial tiles hold every subtree that the root is folded from.
        root(self.size, self).unwrap_or_else(|_| crate::tlog::empty_root())
    }

    /// Whether it is the edge of a tree of its size.
    pub(super) fn is_sound(&self) -> bool {
        let hashes = |place: usize| {
            let bits = u32::try_from(place).unwrap_or(u32::MAX).saturating_mul(u32::from(TILE_HEIGHT));
            self.size.checked_shr(bits).unwrap_or(0)
        };
        let sound = |(place, level): (usize, &Level)| {
            let (here, above) = (hashes(place), hashes(place + 1));
            u64::try_from(level.edge.len()).is_ok_and(|width| width == here % TILE_WIDTH)
                && level.full.is_some() == (above > 0)
        };
        self.size <= MAX_SIZE
            && self.levels.iter().enumerate().all(sound)
            && hashes(self.levels.len()) == 0
            && self.levels.len().checked_sub(1).is_none_or(|last| hashes(last) > 0)
    }

    /// The tiles at the end of the tree: of each level, and of the entries, the last full one and the partial one.
    pub fn last_tiles(&self) -> Vec<Tile> {
        let mut tiles = Vec::new();
        for (place, level) in (0u8..).zip(&self.levels) {
            let full_tiles = self.hashes_of(place) / TILE_WIDTH;
            let width = u64::try_from(level.edge.len()).unwrap_or_default();
            let mut ends = Vec::new();
            if let Some(index) = full_tiles.checked_sub(1) {
                ends.push((index, TILE_WIDTH));
            }
            if width > 0 {
                ends.push((full_tiles, width));
            }
            for (index, width) in ends {
                tiles.push(Tile { kind: TileKind::Hashes(place), index, width });
                if place == 0 {
                    tiles.push(Tile { kind: TileKind::Entries, index, width });
                }
            }
        }
        tiles
    }

    /// Whether the bytes are the tile: one of [`Tree::last_tiles`].
    pub fn agrees(&self, tile: &Tile, data: &[u8]) -> bool {
        let (place, hashes) = match tile.kind {
            TileKind::Hashes(level) => (level, read_hashes(data).ok()),
            TileKind::Entries => {
                let leaves = |entries: Vec<crate::tlog::LogEntry>| {
                    entries.iter().map(|entry| leaf_hash(&entry.encode())).collect()
                };
                (0, read_entries(data).ok().map(leaves))
            }
        };
        let (Some(hashes), Some(level)) = (hashes, self.levels.get(usize::from(place))) else {
            return false;
        };
        if tile.width == TILE_WIDTH {
            hashes.len() == WIDTH && level.full.is_some() && fold(&hashes) == level.full
        } else {
            hashes == level.edge
        }
    }

    fn hashes_of(&self, level: u8) -> u64 {
        self.size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
    }
}

impl HashReader for Tree {
    fn node(&self, level: u8, index: u64) -> Option<Digest> {
        let (tile_level, height) = (level / TILE_HEIGHT, u32::from(level % TILE_HEIGHT));
        let edge = &self.levels.get(usize::from(tile_level))?.edge;
        let first = self.hashes_of(tile_level).checked_sub(u64::try_from(edge.len()).ok()?)?;
        let start = usize::try_from(index.checked_shl(height)?.checked_sub(first)?).ok()?;
        fold(edge.get(start..start.checked_add(1 << height)?)?)
    }
}

/// The hash over a complete subtree.
fn fold(hashes: &[Digest]) -> Option<Digest> {
    match hashes {
        [] => None,
        [hash] => Some(*hash),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            Some(node_hash(&fold(left)?, &fold(right)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tlog::{Node, new_nodes_for_append};

    fn leaf(number: u64) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[test]
    fn its_root_is_that_of_the_stored_tree_at_every_size() {
        let (mut tree, mut nodes) = (Tree::default(), HashMap::<Node, Digest>::new());
        assert!(tree.is_sound());
        for size in 0..1_100u64 {
            assert_eq!(tree.root(), root(size, &nodes).unwrap(), "{size}");
            tree.push(leaf(size)).unwrap();
            let new = new_nodes_for_append(size, &[leaf(size)], &nodes).unwrap();
            nodes.extend(new);
            assert!(tree.is_sound(), "{size}");
        }
    }

    #[test]
    fn the_last_tiles_are_those_of_the_stored_tree_and_no_others() {
        let (mut tree, mut nodes) = (Tree::default(), HashMap::<Node, Digest>::new());
        for place in 0..66_000u64 {
            tree.push(leaf(place)).unwrap();
            let new = new_nodes_for_append(place, &[leaf(place)], &nodes).unwrap();
            nodes.extend(new);
        }
        let hashes = tree.last_tiles().into_iter().filter(|tile| tile.kind != TileKind::Entries);
        let hashes: Vec<Tile> = hashes.collect();
        let paths: Vec<String> = hashes.iter().map(Tile::to_string).collect();
        assert_eq!(paths, ["0/256", "0/257.p/208", "1/000", "1/001.p/1", "2/000.p/1"]);
        for tile in &hashes {
            let data: Vec<u8> = tile.nodes().flat_map(|node| nodes.get(&node).unwrap().to_vec()).collect();
            assert!(tree.agrees(tile, &data), "{tile}");
            let mut wrong = data.clone();
            wrong[5] ^= 1;
            assert!(!tree.agrees(tile, &wrong), "{tile}");
            assert!(!tree.agrees(tile, &data[32..]), "{tile}");
        }
    }

    #[test]
    fn an_edge_that_does_not_fit_its_size_is_noticed() {
        let mut tree = Tree::default();
        for place in 0..300 {
            tree.push(leaf(place)).unwrap();
        }
        assert!(tree.is_sound());
        assert!(!Tree { size: 301, ..tree.clone() }.is_sound());
        assert!(!Tree { size: 300 + 256, ..tree.clone() }.is_sound());
        tree.levels.truncate(1);
        assert!(!tree.is_sound());
    }
}

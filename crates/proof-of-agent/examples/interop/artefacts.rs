//! The folder that other verifiers read. tests/interop/README.md says what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use proof_of_agent::tlog::{Tile, TileKind};
use proof_of_agent::{Digest, Envelope, Policy, checkpoint, verify};
use serde_json::{Value, json};

use crate::fixture::{NOW, World};
use crate::log::{Log, SIZE, log_key, witness};
use crate::receipts::{Receipts, trust_root};

/// Sizes at which the log was seen before: around a tile, a power of two and its neighbours.
const OLD_SIZES: [u64; 8] = [1, 2, 255, 256, 257, 512, 513, 699];
/// Places of which a proof is written beside those of the receipts.
const PLACES: [u64; 8] = [0, 1, 255, 256, 511, 512, 698, 699];
/// Tiles of larger logs, for the spelling of their paths.
const TILES: [(u8, u64, u64); 9] = [
    (0, 0, 1),
    (0, 0, 256),
    (0, 999, 256),
    (0, 1_000, 256),
    (0, 1_234_067, 17),
    (1, 1_000_000, 255),
    (2, 65_535, 256),
    (3, 7, 9),
    (5, 31, 256),
];

struct Folder(PathBuf);

pub(crate) fn write(path: &Path) {
    let (folder, world) = (Folder(path.to_owned()), World::new());
    let receipts = Receipts::new(&world);
    let log = Log::new(&receipts.placed());
    let root = trust_root(&world);
    folder.put("trust-root.json", root.to_json().unwrap());
    folder.put("policy", policy(&world));
    for receipt in &receipts.all {
        let bundle = receipts.bundle(receipt, &log, &world);
        verify(&bundle, &root, &Policy::default(), NOW).unwrap();
        folder.put(&format!("bundles/{}.json", receipt.name), bundle.to_json().unwrap());
    }
    envelopes(&folder, &receipts, &log, &world);
    folder.put("checkpoint", log.note(SIZE, &world));
    for (tile, bytes) in log.tiles() {
        folder.put(&format!("tile/{tile}"), bytes);
    }
    for old in OLD_SIZES {
        folder.put(&format!("old/{old}"), log.note(old, &world));
    }
    folder.put_json("proofs.json", &proofs(&log));
    folder.put_json("paths.json", &paths());
    folder.put_json("keys.json", &keys(&world));
}

/// Each envelope on its own, and the proof that its entry is in the log.
fn envelopes(folder: &Folder, receipts: &Receipts, log: &Log, world: &World) {
    let note = log.note(SIZE, world);
    let put = |name: &str, envelope: &Envelope, index: u64| {
        folder.put(&format!("envelopes/{name}.json"), envelope.to_json());
        let proof = checkpoint::tlog_proof(index, &log.inclusion(index, SIZE), &note);
        folder.put(&format!("tlog-proofs/{name}.tlog-proof"), proof);
    };
    put("key-event", &receipts.registration, 0);
    put("agent-version", &receipts.version, 1);
    for receipt in &receipts.all {
        for (envelope, index) in receipt.envelopes() {
            put(&format!("{}-{index}", receipt.name), envelope, index);
        }
    }
}

/// The witnesses of the trust root as a C2SP policy.
fn policy(world: &World) -> String {
    let (log, witness) = (log_key(world), witness(world));
    format!(
        "log {log}\nwitness w1 {witness} https://witness.example/w1\ngroup quorum-of-1 1 w1\nquorum quorum-of-1\n"
    )
}

fn proofs(log: &Log) -> Value {
    let inclusion = |index: u64, size: u64| {
        json!({
            "index": index,
            "size": size,
            "leaf": log.leaf_hash(index),
            "root": log.checkpoint(size).root,
            "proof": log.inclusion(index, size),
        })
    };
    let consistency = |old: u64, new: u64| {
        json!({
            "old": old,
            "oldRoot": log.checkpoint(old).root,
            "new": new,
            "newRoot": log.checkpoint(new).root,
            "proof": log.consistency(old, new),
        })
    };
    let small = (1..=17).flat_map(|size| (0..size).map(move |index| (index, size)));
    let small_pairs = (1..=17).flat_map(|new| (1..=new).map(move |old| (old, new)));
    let of_all = PLACES.into_iter().map(|index| (index, SIZE));
    let from_old = OLD_SIZES.into_iter().map(|old| (old, SIZE));
    json!({
        "inclusion": of_all.chain(small).map(|(index, size)| inclusion(index, size)).collect::<Vec<_>>(),
        "consistency": from_old.chain(small_pairs).map(|(old, new)| consistency(old, new)).collect::<Vec<_>>(),
    })
}

fn paths() -> Value {
    let path = |kind, index, width| Tile { kind, index, width }.to_string();
    let rows = TILES.into_iter().map(|(level, index, width)| {
        json!({
            "level": level,
            "index": index,
            "width": width,
            "path": path(TileKind::Hashes(level), index, width),
            "entries": path(TileKind::Entries, index, width),
        })
    });
    rows.collect()
}

fn keys(world: &World) -> Value {
    let signers = [&world.platform, &world.agent, &world.requester, &world.arbiter].map(|key| {
        let did = proof_of_agent::DidKey::of(key);
        // The seeds of test keys: whoever signs the same with them gets the same bytes.
        json!({
            "keyid": did,
            "publicKey": Digest::new(*did.as_bytes()),
            "seed": Digest::new(key.to_bytes()),
        })
    });
    json!({
        "log": log_key(world),
        "logSeed": Digest::new(world.log.to_bytes()),
        "witness": witness(world),
        "signers": signers,
        "time": NOW.unix_timestamp(),
    })
}

// === impl Folder ===

impl Folder {
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn put_json(&self, name: &str, value: &Value) {
        self.put(name, serde_json::to_vec_pretty(value).unwrap());
    }
}

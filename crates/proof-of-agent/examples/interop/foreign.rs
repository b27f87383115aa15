//! What another implementation has signed: its log's checkpoint with its witness's cosignature, an inclusion proof and a
//! consistency proof of its tree.

use std::fs;
use std::path::Path;

use proof_of_agent::note::Note;
use proof_of_agent::tlog::{leaf_hash, verify_consistency, verify_inclusion};
use proof_of_agent::witness::{AddCheckpoint, Seen};
use proof_of_agent::{Checkpoint, Digest, LogKey, WitnessKey};
use serde::Deserialize;

#[derive(Deserialize)]
struct Foreign {
    log: LogKey,
    witness: WitnessKey,
    checkpoint: String,
    old: String,
    consistency: Vec<Digest>,
    index: u64,
    entry: String,
    inclusion: Vec<Digest>,
    add_checkpoint: String,
}

pub(crate) fn read(folder: &Path) {
    let foreign: Foreign = serde_json::from_slice(&fs::read(folder.join("foreign.json")).unwrap()).unwrap();
    let log = [foreign.log.clone()];
    let new = Checkpoint::open(&foreign.checkpoint, &log).unwrap();
    let old = Checkpoint::open(&foreign.old, &log).unwrap();
    let witnesses = [foreign.witness.clone()];
    assert_eq!(
        Checkpoint::cosigners(&foreign.checkpoint, &witnesses).unwrap().len(),
        1,
        "one witness has signed"
    );
    let at = Note::parse(&foreign.checkpoint).unwrap().cosigned_by(&foreign.witness).unwrap();
    assert!(at > 1_700_000_000, "a moment in seconds: {at}");
    let leaf = leaf_hash(foreign.entry.as_bytes());
    verify_inclusion(&leaf, foreign.index, new.size, &foreign.inclusion, &new.root).unwrap();
    verify_consistency(old.size, &old.root, new.size, &new.root, &foreign.consistency).unwrap();
    let request = AddCheckpoint::parse(foreign.add_checkpoint.as_bytes()).unwrap();
    let seen = Seen { size: old.size, root: old.root };
    assert_eq!(request.judge(&log, Some(seen)), Ok(new.clone()));
    let flips = flipped(&foreign, &new);
    println!("{}: size {}, cosigned at {at}, {flips} flipped bits refused", new.origin, new.size);
}

/// No bit of the checkpoint may flip: the log's signature, or the witness's, is gone then, or the text is another.
fn flipped(foreign: &Foreign, genuine: &Checkpoint) -> usize {
    let (log, witnesses) = ([foreign.log.clone()], [foreign.witness.clone()]);
    let bytes = foreign.checkpoint.as_bytes();
    let mut refused = 0;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = String::from_utf8(changed) else {
            refused += 1;
            continue;
        };
        match (Checkpoint::open(&changed, &log), Checkpoint::cosigners(&changed, &witnesses)) {
            (Ok(checkpoint), Ok(cosigners)) if !cosigners.is_empty() => {
                assert_eq!(&checkpoint, genuine, "bit {bit}");
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => refused += 1,
        }
    }
    assert!(refused * 100 >= bytes.len() * 8 * 99, "{refused} of {}", bytes.len() * 8);
    refused
}
